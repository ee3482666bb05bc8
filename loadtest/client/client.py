"""One client: a UDP socket, its ICE agent, its DTLS endpoint, and the descriptions of both sides.

    client = Client(identity)                       client = Client(identity)
    offer = client.create_offer([Line("video")])    answer = client.accept_offer(offer)
    client.accept_answer(answer)                    ...
    await client.connect()                          await client.connect()

After `connect` the socket is connected to the server, nobody reads it, and `path` says all that the native part needs.
Descriptions may still be exchanged: a later offer of the server's changes m-lines, not the transport.
"""

import asyncio
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from loadtest.client.dtls import DtlsEndpoint, DtlsError, SrtpKeys
from loadtest.client.ice import Address, IceAgent
from loadtest.client.identity import Identity
from loadtest.client.sdp import (
    AnswerPlan,
    LocalTransport,
    RemoteDescription,
    parse_candidate,
    write_answer,
    write_offer,
)
from loadtest.client.tracks import CODECS, Line, SentTrack, Track

CHECK_RETRY_S, CHECK_RETRY_MAX_S = 0.1, 0.8
CONNECT_TIMEOUT_S = 30.0
DATAGRAM_BYTES = 65536
READS_PER_EVENT = 16


class ConnectError(Exception):
    """No path, or no keys, in time."""


@dataclass(frozen=True, slots=True)
class KeyedPath:
    """What ICE and DTLS agreed on. `remote_username` is what our own checks name, `remote_password` signs them."""

    socket: socket.socket
    remote: Address
    keys: SrtpKeys
    password: str
    remote_username: str
    remote_password: str
    controlling: bool
    clear: bool = False
    """Whether the server sends without SRTP: only the floor can."""


class Client:
    """One connection to the server. Call `close` when done with it, also after `path` was handed on."""

    def __init__(self, identity: Identity, host: str = "127.0.0.1") -> None:
        self._identity = identity
        self._loop = asyncio.get_running_loop()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((host, 0))
        self._loop.add_reader(self.socket, self._on_readable)
        self._reads = True
        self._ice = IceAgent(self._send_to, self._on_selected)
        self._dtls: DtlsEndpoint | None = None
        self._remote: RemoteDescription | None = None
        self._lines: Sequence[Line] = ()
        self._is_dtls_client = True
        self._timer: asyncio.TimerHandle | None = None
        self._done: asyncio.Future[KeyedPath] = self._loop.create_future()
        self.sent: tuple[SentTrack, ...] = ()
        """The tracks that this client publishes, once they were agreed on."""
        self.mids: tuple[str, ...] = ()
        """Mids on which it receives, once they were agreed on."""
        self.video_types: frozenset[int] = frozenset()
        """Payload types of the video that it receives."""

    # -- Descriptions ---------------------------------------------------------------------------------------------

    @property
    def ufrag(self) -> str:
        """Its own ICE user name fragment."""
        return self._ice.ufrag

    @property
    def _transport(self) -> LocalTransport:
        address = self.socket.getsockname()
        return LocalTransport(self._ice.ufrag, self._ice.password, self._identity.fingerprint, address)

    def create_offer(self, lines: Sequence[Line]) -> str:
        """An offer with these m-lines; their mids are 0, 1, …"""
        self._lines = lines
        return write_offer(self._transport, lines)

    def accept_answer(self, text: str) -> None:
        """The server's answer to the offer: checks start."""
        remote = RemoteDescription.parse(text)
        pairs = list(zip(self._lines, remote.media, strict=True))
        self.sent = tuple(
            answered.agree(line.track) for line, answered in pairs if line.track and not answered.rejected
        )
        receiving = ("sendonly", "sendrecv")
        self.mids = tuple(answered.mid for line, answered in pairs if line.receives and answered.direction in receiving)
        self._note_video_types(remote)
        # The answerer chose: passive leaves the client's part to us.
        self._is_dtls_client = remote.setup != "active"
        self._begin(remote, controlling=True)

    def accept_offer(self, text: str, tracks: Sequence[Track] = (), receive: Collection[str] | None = None) -> str:
        """The answer to an offer of the server's: tracks go onto the first m-lines of their kind that take them.

        `receive` names the mids to receive; None takes whatever is sent.
        """
        remote = RemoteDescription.parse(text)
        free = [line for line in remote.media if line.direction in ("recvonly", "sendrecv") and not line.rejected]
        placed: dict[str, Track] = {}
        for track in tracks:
            line = next(line for line in free if line.kind == track.kind)
            free.remove(line)
            placed[line.mid] = track
        media = (line for line in remote.media if line.kind != "application" and not line.rejected)
        mids = [line.mid for line in media if line.direction in ("sendonly", "sendrecv")]
        self.mids = tuple(mid for mid in mids if receive is None or mid in receive)
        self.sent = tuple(line.agree(placed[line.mid]) for line in remote.media if line.mid in placed)
        self._note_video_types(remote)
        self._is_dtls_client = remote.setup != "active"
        plan = AnswerPlan(placed, frozenset(self.mids), "active" if self._is_dtls_client else "passive")
        # The offerer controls, unless it is lite (RFC 8445 section 6.1.1).
        self._begin(remote, controlling=remote.lite)
        return write_answer(self._transport, remote, plan)

    def add_candidate(self, text: str) -> None:
        """A trickled candidate of the server's; those that are not for us are skipped."""
        address = parse_candidate(text)
        if address and self._reads:
            self._ice.add_candidate(address)

    def _note_video_types(self, remote: RemoteDescription) -> None:
        lines = [line for line in remote.media if line.mid in self.mids and line.kind == "video"]
        types = (number for line in lines for codec in CODECS["video"] for number in line.payload_types(codec))
        self.video_types = frozenset(types)

    def _begin(self, remote: RemoteDescription, *, controlling: bool) -> None:
        if self._remote is not None:
            return
        self._remote = remote
        self._dtls = DtlsEndpoint(self._identity, self._send, client=self._is_dtls_client)
        self._dtls.expect(remote.fingerprints)
        self._ice.set_remote(remote.ufrag, remote.password, controlling=controlling)
        for address in remote.candidates:
            self._ice.add_candidate(address)
        self._retry_checks(CHECK_RETRY_S)

    # -- The transport --------------------------------------------------------------------------------------------

    async def connect(self, timeout_s: float = CONNECT_TIMEOUT_S) -> KeyedPath:
        """Waits for path and keys; raises `ConnectError`."""
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(self._done)
        except TimeoutError:
            stage = "DTLS" if self._ice.selected else "ICE"
            raise ConnectError(f"no {stage} within {timeout_s:g} s") from None
        except DtlsError as error:
            raise ConnectError(str(error)) from error

    @property
    def path(self) -> KeyedPath:
        """The result of `connect`."""
        return self._done.result()

    def adopt(self, remote: Address, keys: SrtpKeys, sent: Sequence[SentTrack] = (), *, clear: bool = False) -> None:
        """Takes path and keys as given, without ICE and DTLS: for servers that have neither."""
        self.sent = tuple(sent)
        password = self._ice.password
        self._finish(KeyedPath(self.socket, remote, keys, password, "", "", controlling=False, clear=clear))

    def release(self) -> int:
        """Gives its connected socket away, as a descriptor; nothing is left to close."""
        self._stop_reading()
        return self.socket.detach()

    def close(self) -> None:
        """Frees the port; to the server the client has vanished."""
        self._stop_reading()
        self.socket.close()
        if not self._done.done():
            self._done.cancel()

    def _stop_reading(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._reads:
            self._reads = False
            self._loop.remove_reader(self.socket)

    def _finish(self, path: KeyedPath) -> None:
        self._stop_reading()
        self.socket.connect(path.remote)
        if not self._done.done():
            self._done.set_result(path)

    def _send(self, data: bytes) -> None:
        assert self._ice.selected
        self._send_to(data, self._ice.selected)

    def _send_to(self, data: bytes, address: Address) -> None:
        try:
            self.socket.sendto(data, address)
        except OSError:
            # No route to that candidate, or an ICMP error of an earlier check: another one may do.
            return

    def _retry_checks(self, delay_s: float) -> None:
        def again() -> None:
            self._ice.send_checks()
            self._retry_checks(min(2 * delay_s, CHECK_RETRY_MAX_S))

        self._timer = self._loop.call_later(delay_s, again)

    def _on_selected(self, _address: Address) -> None:
        if self._timer:
            self._timer.cancel()
        self._handshake(b"")

    def _on_readable(self) -> None:
        for _ in range(READS_PER_EVENT):
            if not self._reads:
                return
            try:
                data, source = self.socket.recvfrom(DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue
            if data and data[0] < 4:
                self._ice.handle(data, source)
            elif data and 20 <= data[0] < 64 and self._ice.selected:
                self._handshake(data)

    def _handshake(self, data: bytes) -> None:
        assert self._dtls
        assert self._ice.remote
        assert self._ice.selected
        try:
            keys = self._dtls.handle(data)
        except DtlsError as error:
            self._stop_reading()
            if not self._done.done():
                self._done.set_exception(error)
            return
        if keys is None:
            self._arm_dtls_timer()
            return
        ice, remote = self._ice, self._ice.remote
        username = f"{remote.ufrag}:{ice.ufrag}"
        self._finish(
            KeyedPath(self.socket, self._ice.selected, keys, ice.password, username, remote.password, ice.controlling)
        )

    def _arm_dtls_timer(self) -> None:
        assert self._dtls
        if self._timer:
            self._timer.cancel()
        delay_s = self._dtls.timeout_s()
        if delay_s is not None:
            self._timer = self._loop.call_later(delay_s, self._on_dtls_timeout)

    def _on_dtls_timeout(self) -> None:
        assert self._dtls
        self._dtls.on_timeout()
        self._arm_dtls_timer()
