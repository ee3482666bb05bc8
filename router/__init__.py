"""fork-router, a WebRTC router (SFU): `router.rtc` holds the connection objects, `router.server` the whole router."""

from typing import Final

__version__: Final = "0.1.0"
