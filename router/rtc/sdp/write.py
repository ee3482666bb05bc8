"""`RTCDescription` to SDP (RFC 8866, RFC 9429 section 5.3), compact and with CRLF line ends.

ICE credentials, fingerprints and role are repeated in every live m-line, candidates stand in the first live one only:
FFmpeg takes 8192 bytes at most and the first "typ host" UDP candidate. OBS counts the layers in a=simulcast.
"""

from router.errors import LocalSdpError
from router.rtc.description import RTCDescription, RTCMediaSection
from router.rtc.sdp.codecs import write_codec, write_payload_types
from router.rtc.sdp.extensions import write_extension
from router.rtc.sdp.parse import DATA_PROTOCOL, RTP_PROTOCOL
from router.rtc.sdp.streams import write_streams
from router.rtc.sdp.transport import write_candidate

PORT = 9
"""Discard: the address is a matter of ICE (RFC 8839 section 4.3.1)."""
DATA_CHANNEL_FORMAT = "webrtc-datachannel"


def write(description: RTCDescription, *, session_id: int, version: int = 1) -> str:
    """The text of our offer or answer. `version` grows with each description of one session."""
    live = [section for section in description.media if not section.rejected]
    lines = ["v=0", f"o=- {session_id} {version} IN IP4 0.0.0.0", "s=-", "t=0 0"]
    if description.bundled and live:
        lines.append("a=group:BUNDLE " + " ".join(section.mid for section in live))
    if description.lite:
        lines.append("a=ice-lite")
    if description.trickle:
        lines.append("a=ice-options:trickle")
    if description.allow_mixed_extensions:
        lines.append("a=extmap-allow-mixed")
    if any(section.stream_id is not None for section in live):
        lines.append("a=msid-semantic:WMS *")
    for section in description.media:
        lines += _write_section(description, section, tagged=bool(live) and section is live[0])
    for line in lines:
        if any(character in line for character in "\r\n\0"):
            raise LocalSdpError(f"a description value would break its SDP line: {line[:80]!a}")
    return "\r\n".join(lines) + "\r\n"


def _write_section(description: RTCDescription, section: RTCMediaSection, *, tagged: bool) -> list[str]:
    if section.rejected:
        return [_write_media_line(section), "c=IN IP4 0.0.0.0", f"a=mid:{section.mid}", "a=inactive"]
    attributes = [f"mid:{section.mid}", *_write_transport(description, tagged=tagged)]
    if section.kind == "data":
        attributes.append(section.direction)
        if section.sctp_port is not None:
            attributes.append(f"sctp-port:{section.sctp_port}")
    else:
        attributes += _write_rtp(section)
    bandwidth = []
    if section.max_bitrate_bps is not None:
        bandwidth = [f"b=AS:{-(-section.max_bitrate_bps // 1000)}", f"b=TIAS:{section.max_bitrate_bps}"]
    return [_write_media_line(section), "c=IN IP4 0.0.0.0", *bandwidth, *(f"a={text}" for text in attributes)]


def _write_media_line(section: RTCMediaSection) -> str:
    port = 0 if section.rejected else PORT
    if section.kind == "data":
        return f"m=application {port} {section.protocol or DATA_PROTOCOL} {DATA_CHANNEL_FORMAT}"
    formats = " ".join(write_payload_types(section.codecs)) or "0"
    return f"m={section.kind} {port} {section.protocol or RTP_PROTOCOL} {formats}"


def _write_transport(description: RTCDescription, *, tagged: bool) -> list[str]:
    lines = [f"ice-ufrag:{description.ufrag}", f"ice-pwd:{description.password}"]
    lines += [f"fingerprint:{print_.algorithm} {print_.value}" for print_ in description.fingerprints]
    lines.append(f"setup:{description.dtls_role}")
    if tagged:
        lines += [f"candidate:{write_candidate(candidate)}" for candidate in description.candidates]
        if description.end_of_candidates:
            lines.append("end-of-candidates")
    return lines


def _write_rtp(section: RTCMediaSection) -> list[str]:
    lines = [write_extension(extension) for extension in section.extensions]
    lines += [section.direction, "rtcp-mux"]
    if section.reduced_size_rtcp:
        lines.append("rtcp-rsize")
    for codec in section.codecs:
        lines += write_codec(codec)
    return lines + write_streams(section)
