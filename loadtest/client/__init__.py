"""A WebRTC client for load tests: aioice's STUN, pyOpenSSL's DTLS, pylibsrtp's SRTP; nothing of the router's engine.

It takes either side of offer and answer, so that it fits any server. What it makes is a *keyed path*: a connected UDP
socket, SRTP keys and the tracks agreed on. From then on the native part (`loadtest/native`) sends and counts, and a
client costs Python nothing.

- `client`: `Client`, which ties the rest to one socket. `tracks`: what is sent and wanted.
- `sdp`: descriptions, read and written. `ice`: connectivity checks. `dtls`: the handshake and its keys.
- `identity`: the certificate that many clients share.
"""

from loadtest.client.client import Client, ConnectError, KeyedPath
from loadtest.client.dtls import SrtpKeys
from loadtest.client.identity import Identity
from loadtest.client.tracks import Line, SentTrack, Track

__all__ = ["Client", "ConnectError", "Identity", "KeyedPath", "Line", "SentTrack", "SrtpKeys", "Track"]
