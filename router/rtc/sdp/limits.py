"""Caps on what a peer's SDP may hold, so that no text costs more than a few milliseconds (threats H1, H6)."""

MAX_SDP_BYTES = 64 * 1024
MAX_LINES = 5000
MAX_LINE_BYTES = 4096
MAX_SECTIONS = 64
MAX_CANDIDATES = 64
MAX_FORMATS = 128
"""Payload types are seven bits. Chromium 156 lists 34 on a recvonly video m-line."""
MAX_PARAMETERS = 64
"""fmtp parameters of one payload type."""
MAX_FEEDBACK = 32
"""rtcp-fb values of one payload type."""
MAX_EXTENSIONS = 64
MAX_ENCODINGS = 16
"""Simulcast layers of one m-line, either direction."""
MAX_SSRCS = 64
MAX_FINGERPRINTS = 16
MAX_MID_BYTES = 16
"""What a one-byte RTP header extension can carry (RFC 8285 section 4.2)."""
MAX_RID_BYTES = 16
MAX_ID_BYTES = 255
"""MediaStream and track ids, CNAME."""
MAX_URI_BYTES = 255
