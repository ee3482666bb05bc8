"""The offer of a client that joins by WHIP or WHEP, and what it reads of the router's answer."""

from collections.abc import Sequence
from dataclasses import dataclass

MEDIA = (
    "audio 9 UDP/TLS/RTP/SAVPF 111\r\na=sendrecv\r\na=rtpmap:111 opus/48000/2\r\n",
    (
        "video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\n"
        "a=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
    ),
)
"""One audio m-line, sent and received (a pure player would be refused before anybody publishes), one video received."""


def write_offer(ufrag: str, password: str, fingerprint: str, media: Sequence[str]) -> str:
    """An offer of these m-lines, bundled, with mids 0, 1, …"""
    transport = (
        f"c=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n"
        f"a=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\n"
    )
    bundle = " ".join(map(str, range(len(media))))
    sections = (f"m={section}a=mid:{mid}\r\n{transport}" for mid, section in enumerate(media))
    return f"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {bundle}\r\n" + "".join(sections)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client needs of the router's answer."""

    ufrag: str
    password: str
    address: tuple[str, int]

    @classmethod
    def parse(cls, text: str) -> "Answer":
        """Reads credentials and the first UDP candidate."""
        lines = text.splitlines()

        def first(prefix: str) -> str:
            return next(line[len(prefix) :] for line in lines if line.startswith(prefix))

        candidate = first("a=candidate:").split()
        return cls(first("a=ice-ufrag:"), first("a=ice-pwd:"), (candidate[4], int(candidate[5])))
