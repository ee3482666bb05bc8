"""The seed's objects: connections that fork, sockets they share, streams, tracks, slots, constraints and events.

>>> import asyncio
>>> from router.rtc import MediaEngine, RTCConnection, RTCSocket, RTCSocketOptions
>>> async def main():
...     async with MediaEngine() as engine:
...         socket = RTCSocket(options=RTCSocketOptions(address="127.0.0.1"), engine=engine)
...         socket.oncandidate = lambda candidate: print(candidate.type, candidate.address)
...         socket.oncandidatesdone = lambda: print("that is all")
...         await socket.bind()
...         origin = RTCConnection()
...         origin.add_socket(socket)
...         alice, bob = origin.fork(), origin.fork()
...         print(alice.get_description("local").ufrag.startswith(origin.context_id))
...         await alice.close()
...         print(bob.closed, socket.closed)
...         await origin.close()
...         print(bob.closed, socket.closed)
>>> asyncio.run(main())
host 127.0.0.1
that is all
True
False False
True True
"""

from router.rtc.connection import RTCConnection
from router.rtc.constraints import RTCConstraints
from router.rtc.description import (
    RTCCandidate,
    RTCCandidatePair,
    RTCCodec,
    RTCDescription,
    RTCEncoding,
    RTCFingerprint,
    RTCHeaderExtension,
    RTCMediaSection,
    RTCStreamDescription,
    RTCTrackDescription,
)
from router.rtc.dtls import RTCCertificate
from router.rtc.engine import MediaEngine
from router.rtc.family import ForkOnCheck
from router.rtc.ice import AnnouncedAddress
from router.rtc.slot import RTCSlot
from router.rtc.socket import RTCSocket, RTCSocketOptions, RTCSocketServer, RTCSocketServers
from router.rtc.speakers import RTCSpeakers
from router.rtc.stream import RTCContributor, RTCMediaStream, RTCMediaStreamTrack

__all__ = [
    "AnnouncedAddress",
    "ForkOnCheck",
    "MediaEngine",
    "RTCCandidate",
    "RTCCandidatePair",
    "RTCCertificate",
    "RTCCodec",
    "RTCConnection",
    "RTCConstraints",
    "RTCContributor",
    "RTCDescription",
    "RTCEncoding",
    "RTCFingerprint",
    "RTCHeaderExtension",
    "RTCMediaSection",
    "RTCMediaStream",
    "RTCMediaStreamTrack",
    "RTCSlot",
    "RTCSocket",
    "RTCSocketOptions",
    "RTCSocketServer",
    "RTCSocketServers",
    "RTCSpeakers",
    "RTCStreamDescription",
    "RTCTrackDescription",
]
