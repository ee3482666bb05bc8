"""SDP to and from `RTCDescription`, and trickle ICE fragments. Limits on the peer's text are in `limits`.

>>> from router.rtc.sdp import parse_fragment
>>> parse_fragment("a=ice-ufrag:abcd\\r\\na=ice-pwd:0123456789012345678901\\r\\n").ufrag
'abcd'
"""

from router.rtc.sdp.fragment import IceFragment, parse_fragment, write_fragment
from router.rtc.sdp.parse import parse
from router.rtc.sdp.transport import parse_candidate, write_candidate
from router.rtc.sdp.write import write

__all__ = ["IceFragment", "parse", "parse_candidate", "parse_fragment", "write", "write_candidate", "write_fragment"]
