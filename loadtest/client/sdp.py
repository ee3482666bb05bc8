"""Session descriptions of the load client, read and written (RFC 8866, RFC 9429), as far as servers need them.

Everything is bundled on the first m-line's transport. RTX, FEC and transport-wide feedback are not negotiated: no
packet is repeated, so a lost one is counted as lost. Unknown lines are skipped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadtest.client.tracks import Direction, Kind, Line, SentTrack, Track

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
MIRRORED: dict[str, Direction] = {
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "sendrecv": "sendrecv",
    "inactive": "inactive",
}
MEDIA_PROTOCOL = "UDP/TLS/RTP/SAVPF"
CODECS = {
    "opus": (111, "opus/48000/2", "minptime=10;useinbandfec=1"),
    "VP8": (96, "VP8/90000", ""),
    "H264": (98, "H264/90000", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
}
VIDEO_FEEDBACK = ("goog-remb", "ccm fir", "nack", "nack pli")
EXTENSIONS: dict[Kind, dict[str, int]] = {"audio": {MID: 4, AUDIO_LEVEL: 1}, "video": {MID: 4}}


@dataclass(frozen=True, slots=True)
class LocalTransport:
    """What the client's descriptions say of its transport."""

    ufrag: str
    password: str
    fingerprint: str
    address: tuple[str, int]

    def lines(self, setup: str) -> Iterator[str]:
        """The same in each m-section."""
        host, port = self.address
        yield f"a=ice-ufrag:{self.ufrag}"
        yield f"a=ice-pwd:{self.password}"
        yield "a=ice-options:trickle"
        yield f"a=fingerprint:sha-256 {self.fingerprint}"
        yield f"a=setup:{setup}"
        yield "a=rtcp-mux"
        yield f"a=candidate:1 1 udp 2130706431 {host} {port} typ host"
        yield "a=end-of-candidates"


@dataclass(frozen=True, slots=True)
class RemoteLine:
    """One m-section of the server's."""

    kind: str
    mid: str
    direction: Direction
    rejected: bool
    lines: tuple[str, ...]

    @classmethod
    def parse(cls, lines: tuple[str, ...]) -> "RemoteLine":
        """From `m=` to before the next one."""
        kind, port, *_ = lines[0][2:].split()
        mid = next((line[6:] for line in lines if line.startswith("a=mid:")), "")
        found: list[Direction] = [MIRRORED[MIRRORED[line[2:]]] for line in lines if line[2:] in MIRRORED]
        return cls(kind, mid, found[0] if found else "sendrecv", port == "0", lines)

    @property
    def extensions(self) -> dict[str, int]:
        """URI to id."""
        fields = (line[9:].split() for line in self.lines if line.startswith("a=extmap:"))
        return {uri: int(number.partition("/")[0]) for number, uri, *_ in fields}

    def payload_types(self, codec: str) -> list[int]:
        """Those of this codec; of H264 only packetization mode 1, which any sender may use."""
        found = []
        for line in self.lines:
            number, _, name = line.partition(" ")
            if line.startswith("a=rtpmap:") and name.partition("/")[0].lower() == codec.lower():
                payload_type = int(number[9:])
                if codec != "H264" or "packetization-mode=1" in self.format(payload_type):
                    found.append(payload_type)
        return found

    def format(self, payload_type: int) -> str:
        """Its parameters."""
        start = f"a=fmtp:{payload_type} "
        return next((line[len(start) :] for line in self.lines if line.startswith(start)), "")

    def agree(self, track: Track) -> SentTrack:
        """The track as this line takes it."""
        for codec in track.codecs:
            for payload_type in self.payload_types(codec):
                extensions = self.extensions
                mid_id, level_id = extensions.get(MID), extensions.get(AUDIO_LEVEL)
                return SentTrack(track.kind, codec, track.ssrc, payload_type, self.mid, mid_id, level_id)
        raise ValueError(f"line {self.mid} takes none of {track.codecs}")


@dataclass(frozen=True, slots=True)
class RemoteDescription:
    """What the client keeps of the server's description."""

    ufrag: str
    password: str
    setup: str
    lite: bool
    fingerprints: tuple[tuple[str, str], ...]
    candidates: tuple[tuple[str, int], ...]
    media: tuple[RemoteLine, ...]

    @classmethod
    def parse(cls, text: str) -> "RemoteDescription":
        """Transport attributes may stand in the session or in an m-section: the first of each counts."""
        lines = text.splitlines()
        sections: list[list[str]] = []
        for line in lines:
            if line.startswith("m="):
                sections.append([])
            if sections:
                sections[-1].append(line)

        def values(name: str) -> list[str]:
            start = f"a={name}:"
            return [line[len(start) :] for line in lines if line.startswith(start)]

        candidates = (parse_candidate(value) for value in values("candidate"))
        return cls(
            ufrag=values("ice-ufrag")[0],
            password=values("ice-pwd")[0],
            setup=(values("setup") or ["actpass"])[0],
            lite="a=ice-lite" in lines,
            fingerprints=tuple(dict.fromkeys(_fingerprint(value) for value in values("fingerprint"))),
            candidates=tuple(dict.fromkeys(address for address in candidates if address)),
            media=tuple(RemoteLine.parse(tuple(section)) for section in sections),
        )


def parse_candidate(text: str) -> tuple[str, int] | None:
    """The address of a UDP candidate of component 1 over IPv4; None for any other (RFC 8839 section 5.1)."""
    fields = text.removeprefix("a=").removeprefix("candidate:").split()
    if len(fields) < 6 or fields[1] != "1" or fields[2].lower() != "udp" or ":" in fields[4]:
        return None
    return (fields[4], int(fields[5])) if not fields[4].endswith(".local") else None


def write_offer(transport: LocalTransport, lines: Sequence[Line]) -> str:
    """An offer of these m-lines, with mids 0, 1, …"""
    written = [*_session([str(number) for number in range(len(lines))])]
    for number, line in enumerate(lines):
        codecs = [CODECS[name] for name in line.codecs]
        written += [f"m={line.kind} 9 {MEDIA_PROTOCOL} {' '.join(str(codec[0]) for codec in codecs)}"]
        written += ["c=IN IP4 0.0.0.0", f"a=mid:{number}", f"a={line.direction}", *transport.lines("actpass")]
        for payload_type, name, parameters in codecs:
            written += _codec(line.kind, payload_type, name, parameters)
        written += [f"a=extmap:{number} {uri}" for uri, number in EXTENSIONS[line.kind].items()]
        written += _source(line.track) if line.track else ()
    return "\r\n".join(written) + "\r\n"


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """What is answered to each m-line of an offer: tracks to send, by mid, and the mids to receive."""

    tracks: dict[str, Track]
    receives: frozenset[str]
    setup: str

    def direction(self, line: RemoteLine) -> Direction:
        """Of the answer's m-line."""
        sends, receives = line.mid in self.tracks, line.mid in self.receives
        if sends and receives:
            return "sendrecv"
        return "sendonly" if sends else "recvonly" if receives else "inactive"


def write_answer(transport: LocalTransport, offer: RemoteDescription, plan: AnswerPlan) -> str:
    """The answer: all m-lines in their order, with the payload types and extension ids of the offer."""
    written = [*_session([line.mid for line in offer.media if not line.rejected])]
    for line in offer.media:
        written += _answer_line(transport, line, plan)
    return "\r\n".join(written) + "\r\n"


def _answer_line(transport: LocalTransport, line: RemoteLine, plan: AnswerPlan) -> Iterator[str]:
    if line.kind == "application":
        # Taken, because it may carry the bundle's transport; nothing is ever sent on it.
        port = "0" if line.rejected else "9"
        yield f"m=application {port} UDP/DTLS/SCTP webrtc-datachannel"
        yield from ("c=IN IP4 0.0.0.0", f"a=mid:{line.mid}", "a=sctp-port:5000", *transport.lines(plan.setup))
        return
    kind: Kind = "audio" if line.kind == "audio" else "video"
    track = plan.tracks.get(line.mid)
    names = track.codecs if track else tuple(CODECS)
    types = [(number, name) for name in names for number in line.payload_types(name)]
    if not types or line.rejected:
        yield f"m={line.kind} 0 {MEDIA_PROTOCOL} {line.lines[0].split()[3]}"
        yield from ("c=IN IP4 0.0.0.0", f"a=mid:{line.mid}", "a=inactive")
        return
    yield f"m={line.kind} 9 {MEDIA_PROTOCOL} {' '.join(str(number) for number, _ in types)}"
    yield from ("c=IN IP4 0.0.0.0", f"a=mid:{line.mid}", f"a={plan.direction(line)}", *transport.lines(plan.setup))
    for number, name in types:
        yield from _codec(kind, number, CODECS[name][1], line.format(number))
    known = EXTENSIONS[kind]
    yield from (f"a=extmap:{number} {uri}" for uri, number in line.extensions.items() if uri in known)
    if track:
        yield from _source(track)


def _session(mids: Sequence[str]) -> Iterator[str]:
    yield from ("v=0", "o=- 4611731400430051336 2 IN IP4 127.0.0.1", "s=-", "t=0 0")
    yield f"a=group:BUNDLE {' '.join(mids)}"
    yield "a=msid-semantic: WMS *"


def _codec(kind: Kind, payload_type: int, name: str, parameters: str) -> Iterator[str]:
    yield f"a=rtpmap:{payload_type} {name}"
    if parameters:
        yield f"a=fmtp:{payload_type} {parameters}"
    if kind == "video":
        yield from (f"a=rtcp-fb:{payload_type} {feedback}" for feedback in VIDEO_FEEDBACK)


def _source(track: Track) -> Iterator[str]:
    yield f"a=msid:loadtest {track.track_id}"
    yield f"a=ssrc:{track.ssrc} cname:loadtest"
    yield f"a=ssrc:{track.ssrc} msid:loadtest {track.track_id}"


def _fingerprint(value: str) -> tuple[str, str]:
    algorithm, _, digest = value.partition(" ")
    return algorithm.lower(), digest.strip()
