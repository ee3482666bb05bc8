"""ICE and DTLS of one fork, between its sockets and the engine.

Order of things: the description may come before or after the first check and before or after the DTLS handshake. The
engine's transport is made at the first of description and authenticated check; tuples follow authenticated checks;
the SRTP keys go to the engine when the handshake is over *and* the description's fingerprint names the certificate.
Anything wrong with DTLS is fatal to this fork alone; anything wrong with a check is dropped without answer.

DTLS goes over the selected pair, which the engine has proven: a check with a forged source address makes us send
nothing but its answer there. Early datagrams wait until their own path is the pair. Only before the description, when
the engine cannot prove a path yet, does DTLS answer where it came from, with at most three times the bytes it received.
"""

import asyncio
import logging
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, Protocol

from router import clock, metrics
from router.errors import DtlsError, EngineError
from router.rtc.constraints import SrtpProfile
from router.rtc.context import ConnectionContext
from router.rtc.description import RTCDescription, RTCFingerprint
from router.rtc.dtls import DtlsSession, fingerprint_matches
from router.rtc.ice import Address, Check, write_role_conflict, write_success
from router.rtc.progress import TransportProgress

if TYPE_CHECKING:
    from router.rtc.engine import MediaEngine
    from router.rtc.socket import RTCSocket

logger = logging.getLogger(__name__)

OLD_CREDENTIALS_S = 10.0
"""Life of the old credentials once the new ones have been used."""
MAX_EARLY_DATAGRAMS = 4
"""DTLS datagrams of a path kept until it is the pair: browsers send a ClientHello of two right after a check."""
MAX_EARLY_PATHS = 8
"""As many as the engine knows tuples of a peer."""
AMPLIFICATION = 3
"""Bytes sent for each one received on a path that is not proven (as RFC 9000 section 8)."""
DESCRIPTION_TIMEOUT_S = 30.0
"""How long a finished handshake may wait for the description with the fingerprint."""


Path = tuple["RTCSocket", Address]


class TransportOwner(Protocol):
    """The connection."""

    def on_transport_connected(self) -> None:
        """SRTP is keyed, the fingerprint verified."""

    def on_transport_pair(self, socket: "RTCSocket", address: Address) -> None:
        """Media goes there from now on."""

    def on_transport_frame(self, waited_s: float) -> None:
        """The first key frame left for it."""

    def on_transport_failed(self, reason: str) -> None:
        """It is over."""

    def srtp_profiles(self) -> tuple[SrtpProfile, ...]:
        """What may be negotiated."""


class PeerTransport:
    """One WebRTC peer; `PlainTransport` is one without ICE and DTLS."""

    lite = True

    def __init__(self, owner: TransportOwner, context: ConnectionContext, ufrag: str, password: str) -> None:
        self.ufrag = ufrag
        self.password = password
        self.id: int | None = None
        """The engine's transport, once there is one."""
        self.connected = False
        self.closed = False
        self.progress = TransportProgress(opened_us=clock.monotonic_us())
        self._owner = owner
        self._context = context
        self._sockets: list[RTCSocket] = []
        self._ssrcs: set[int] = set()
        self._passwords = {ufrag: password}
        self._remote_ufrags: dict[str, str] = {}
        """The peer's fragment that goes with each of ours, as far as known."""
        self._used_ufrag: str | None = None
        self._remote: RTCDescription | None = None
        self._dtls: DtlsSession | None = None
        self._handshake_began_us: int | None = None
        self._selected: Path | None = None
        self._early: dict[Path, list[bytes]] = {}
        self._unproven: Path | None = None
        """Where DTLS came from last, before any pair was proven."""
        self._credits: dict[Path, int] = {}
        """Bytes that each unproven path may still be sent."""
        self._dtls_timer: asyncio.TimerHandle | None = None
        self._description_timer: asyncio.TimerHandle | None = None
        self._old_timer: asyncio.TimerHandle | None = None

    @property
    def engine(self) -> "MediaEngine":
        """The engine of its sockets."""
        return self._sockets[0].engine

    @property
    def fingerprints(self) -> tuple[RTCFingerprint, ...]:
        """Those of our certificate."""
        return (self._context.certificate.fingerprint,)

    @property
    def dtls(self) -> DtlsSession | None:
        """The handshake, once there is one."""
        return self._dtls

    @property
    def checked_by(self) -> str | None:
        """The fragment of the peer whose authentic check came first, whoever it is; None before any."""
        return self._remote_ufrags.get(self.ufrag)

    def allocate_ssrc(self) -> int:
        """A new SSRC to send with, unique on this connection."""
        while (ssrc := secrets.randbits(32)) in self._ssrcs or ssrc == 0:
            pass
        self._ssrcs.add(ssrc)
        return ssrc

    def check_remote(self, remote: RTCDescription, local: RTCDescription) -> None:
        """Whatever is wrong with the peer shows in the handshake."""

    def attach(self, socket: "RTCSocket") -> None:
        """From now on checks on this socket are ours too."""
        self._sockets.append(socket)
        for ufrag in self._passwords:
            socket.add_endpoint(ufrag, self)

    def open(self) -> int:
        """The engine's transport, made at the first call."""
        if self.id is None:
            self.id = self.engine.native.create_transport(
                self._sockets[0].id,
                local_ufrag=self.ufrag,
                local_password=self.password,
                cname=self._context.cname,
                timeout_us=self.engine.timeout_us,
            )
            self.engine.register_transport(self.id, self)
        return self.id

    def set_remote(self, remote: RTCDescription) -> None:
        """The peer's description, whenever it comes."""
        transport = self.open()
        self._remote = remote
        self._remote_ufrags[self.ufrag] = remote.ufrag
        self.engine.native.set_remote_ice(transport, remote.ufrag, remote.password)
        if self._description_timer is not None:
            self._description_timer.cancel()
        if self._dtls is not None:
            self._drive_dtls()

    def restart(self, remote_ufrag: str, remote_password: str) -> tuple[str, str]:
        """New credentials (RFC 8445 section 9); the current ones go on until the new ones are used."""
        transport = self.open()
        # Restarts that were never used leave nothing behind: at most two generations live.
        for ufrag in [ufrag for ufrag in self._passwords if ufrag != (self._used_ufrag or self.ufrag)]:
            self._forget_ufrag(ufrag)
        self.ufrag = self._context.mint_ufrag()
        self.password = self._context.fork_password(self.ufrag)
        self._passwords[self.ufrag] = self.password
        self._remote_ufrags[self.ufrag] = remote_ufrag
        for socket in self._sockets:
            socket.add_endpoint(self.ufrag, self)
        self.engine.native.restart_ice(transport, self.ufrag, self.password)
        self.engine.native.set_remote_ice(transport, remote_ufrag, remote_password)
        return self.ufrag, self.password

    def close(self) -> None:
        """close_notify to the peer, everything freed in the engine. Idempotent."""
        if self.closed:
            return
        self.closed = True
        for timer in (self._dtls_timer, self._description_timer, self._old_timer):
            if timer is not None:
                timer.cancel()
        if self._dtls is not None:
            self._record_handshake("abandoned")
            self._dtls.close()
            self._send_dtls()
        for ufrag in tuple(self._passwords):
            self._forget_ufrag(ufrag)
        if self.id is not None:
            # When the engine was closed first, nothing is left to remove.
            with suppress(EngineError):
                self.engine.native.remove_transport(self.id)

    # -- ICE -----------------------------------------------------------------------------------------------------

    def handle_check(self, socket: "RTCSocket", source: Address, check: Check) -> None:
        """A check that names us: answered and acted upon only if it is authentic and of our peer."""
        password = self._passwords.get(check.local_ufrag)
        now_us = clock.monotonic_us()
        if self.closed or password is None or not check.is_authentic(password):
            metrics.record_check_dropped("bad-integrity")
            self.progress.note_check(source, now_us, "bad-integrity")
            return
        if self._remote_ufrags.setdefault(check.local_ufrag, check.remote_ufrag) != check.remote_ufrag:
            metrics.record_check_dropped("foreign-peer")
            self.progress.note_check(source, now_us, "foreign-peer")
            return
        self.progress.checked_us = self.progress.checked_us or clock.monotonic_us()
        if check.controlled:
            self.progress.note_check(source, now_us, "role-conflict")
            socket.send(source, write_role_conflict(check, password))
            return
        self.progress.note_check(source, now_us)
        self.engine.native.add_tuple(self.open(), socket.id, source, nominated=check.nominated, priority=check.priority)
        answer = write_success(check, source, password)
        socket.send(source, answer)
        if self._selected is None:
            self._give_credit((socket, source), check.size, spent=len(answer))
        self._on_ufrag_used(check.local_ufrag)

    def _give_credit(self, path: Path, received: int, *, spent: int = 0) -> None:
        """Counts bytes of a path that nothing has proven yet."""
        if path in self._credits or len(self._credits) < MAX_EARLY_PATHS:
            self._credits[path] = self._credits.get(path, 0) + AMPLIFICATION * received - spent

    def _on_ufrag_used(self, ufrag: str) -> None:
        if ufrag != self.ufrag or self._used_ufrag == ufrag:
            return
        self._used_ufrag = ufrag
        if len(self._passwords) > 1:
            if self._old_timer is not None:
                self._old_timer.cancel()
            self._old_timer = asyncio.get_running_loop().call_later(OLD_CREDENTIALS_S, self._forget_old)

    def _forget_old(self) -> None:
        for ufrag in [ufrag for ufrag in self._passwords if ufrag not in (self.ufrag, self._used_ufrag)]:
            self._forget_ufrag(ufrag)

    def _forget_ufrag(self, ufrag: str) -> None:
        self._passwords.pop(ufrag, None)
        self._remote_ufrags.pop(ufrag, None)
        for socket in self._sockets:
            socket.remove_endpoint(ufrag)

    def on_pair_selected(self, socket: int, address: Address) -> None:
        """From the engine."""
        chosen = self._find_socket(socket)
        if chosen is None or self.closed:
            return
        self._selected = (chosen, address)
        self.progress.selected_us = self.progress.selected_us or clock.monotonic_us()
        self._credits.clear()
        if self._dtls is None and self._role() == "active":
            self._open_dtls("active")
            self._drive_dtls()
        # Those of other paths may be anybody's: a replayed check makes a path known, but does not prove it.
        early, self._early = self._early.get(self._selected), {}
        if early:
            self._handle_dtls(chosen, address, early)
        self._owner.on_transport_pair(chosen, address)

    def on_first_frame(self, waited_s: float) -> None:
        """From the engine."""
        if not self.closed:
            self._owner.on_transport_frame(waited_s)

    def on_transport_lost(self, reason: str) -> None:
        """From the engine."""
        if not self.closed:
            self._owner.on_transport_failed(reason)

    def _find_socket(self, id_: int) -> "RTCSocket | None":
        for socket in self._sockets:
            if socket.id == id_:
                return socket
        return None

    # -- DTLS ----------------------------------------------------------------------------------------------------

    def on_dtls(self, socket: int, source: Address, datagrams: list[bytes]) -> None:
        """From the engine, and only from tuples whose checks were authentic."""
        chosen = self._find_socket(socket)
        if chosen is None or self.closed:
            return
        self.progress.dtls_received += len(datagrams)
        if self._selected is None and self._remote is not None and self._dtls is None:
            self._keep_early((chosen, source), datagrams)
            return
        self._handle_dtls(chosen, source, datagrams)

    def _keep_early(self, path: Path, datagrams: list[bytes]) -> None:
        if path in self._early or len(self._early) < MAX_EARLY_PATHS:
            kept = self._early.setdefault(path, [])
            kept.extend(datagrams[: MAX_EARLY_DATAGRAMS - len(kept)])

    def _handle_dtls(self, socket: "RTCSocket", source: Address, datagrams: list[bytes]) -> None:
        if self.closed:
            return
        if self._dtls is None:
            self._open_dtls("passive")
        assert self._dtls is not None, "opened above, or when the pair was selected"
        if self._selected is None:
            self._unproven = (socket, source)
            self._give_credit(self._unproven, sum(map(len, datagrams)))
        self._dtls.handle_flight(datagrams, clock.monotonic_us())
        self._drive_dtls()

    def _role(self) -> Literal["active", "passive"]:
        return "active" if self._remote is not None and self._remote.dtls_role == "passive" else "passive"

    def _open_dtls(self, role: Literal["active", "passive"]) -> None:
        context = self._context.dtls_context(self._owner.srtp_profiles())
        self._handshake_began_us = self.progress.hello_us = clock.monotonic_us()
        self._dtls = DtlsSession(context, role, now_us=self._handshake_began_us)
        self._dtls.start(self._handshake_began_us)

    def _record_handshake(self, result: metrics.HandshakeResult) -> None:
        """Once a handshake: what comes after it is not its result."""
        if self._handshake_began_us is not None:
            metrics.record_handshake((clock.monotonic_us() - self._handshake_began_us) / 1e6, result)
            self._handshake_began_us = None
            self.progress.handshake = result

    def _drive_dtls(self) -> None:
        """Sends what is pending, acts on the state, sets the timer: after every input."""
        session = self._dtls
        assert session is not None, "only called with a session"
        self._send_dtls()
        if session.state in ("failed", "closed"):
            self._record_handshake("timeout" if "timed out" in session.reason else "failed")
            self._owner.on_transport_failed(f"dtls: {session.reason}")
            return
        if session.state == "connected" and not self.connected:
            self._verify_peer(session)
        self._arm_timer(session)

    def _send_dtls(self) -> None:
        path = self._selected or self._unproven
        if self._dtls is None or path is None:
            return
        socket, address = path
        for datagram in self._dtls.poll_datagrams():
            if self._selected is None:
                if len(datagram) > self._credits.get(path, 0):
                    return
                self._credits[path] -= len(datagram)
            self.progress.dtls_sent += 1
            try:
                socket.engine.native.send_datagram(socket.id, address, datagram)
            except (OSError, EngineError) as error:
                logger.debug("a DTLS datagram could not be sent: %s", error)

    def _verify_peer(self, session: DtlsSession) -> None:
        self.progress.dtls_done_us = self.progress.dtls_done_us or clock.monotonic_us()
        if self._remote is None:
            if self._description_timer is None:
                loop = asyncio.get_running_loop()
                self._description_timer = loop.call_later(
                    DESCRIPTION_TIMEOUT_S, self._owner.on_transport_failed, "the description never came"
                )
            return
        try:
            if not fingerprint_matches(session.peer_certificate(), self._remote.fingerprints):
                self.progress.fingerprint = "mismatch"
                self._record_handshake("fingerprint-mismatch")
                raise DtlsError("the certificate is not the one of the description")
            keys = session.srtp_keys()
        except DtlsError as error:
            self._record_handshake("failed")
            self._owner.on_transport_failed(f"dtls: {error}")
            return
        self._record_handshake("ok")
        assert self.id is not None, "DTLS comes from a tuple, and a tuple belongs to a transport"
        if self._selected is None and self._unproven is not None:
            socket, address = self._unproven
            self.engine.native.validate_tuple(self.id, socket.id, address)
        self.progress.fingerprint, self.progress.profile = "match", keys.profile
        self.engine.set_srtp(self.id, keys.profile, keys.inbound, keys.outbound)
        session.forget_keys()
        self.connected = True
        self.progress.keyed_us = clock.monotonic_us()
        self._owner.on_transport_connected()

    def _arm_timer(self, session: DtlsSession) -> None:
        if self._dtls_timer is not None:
            self._dtls_timer.cancel()
            self._dtls_timer = None
        if self.closed:
            return
        now_us = clock.monotonic_us()
        deadline_us = session.deadline_us(now_us)
        if deadline_us is not None:
            delay_s = max(0, deadline_us - now_us) / 1_000_000
            self._dtls_timer = asyncio.get_running_loop().call_later(delay_s, self._on_dtls_timer)

    def _on_dtls_timer(self) -> None:
        self._dtls_timer = None
        if self._dtls is not None and not self.closed:
            self._dtls.handle_timeout(clock.monotonic_us())
            self._drive_dtls()
