"""Connectivity checks of a full ICE agent with one host candidate (RFC 8445), on aioice's STUN codec.

One component, UDP over IPv4. As controlling agent it nominates one candidate, the first that answers: of several that
are nominated a server may choose another than we do, and its media would come from an address that we do not listen
to. As controlled agent it waits for the server's nomination. Left out: pacing (candidates are few), candidates of other
kinds, consent (the native part keeps it fresh). Time is the caller's: it calls `send_checks`.
"""

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field

from aioice import stun

Address = tuple[str, int]
LETTERS = string.ascii_letters + string.digits
PRIORITY = 0x6E7F00FF
"""Of a peer-reflexive candidate of component 1 (RFC 8445 section 5.1.2)."""
ROLE_CONFLICT = 487


def _token(length: int) -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(length))


@dataclass(slots=True)
class Remote:
    """The other side, from its description."""

    ufrag: str
    password: str


@dataclass(slots=True)
class IceAgent:
    """`send` writes one datagram; `on_selected` is called once, with the server's address."""

    send: Callable[[bytes, Address], None]
    on_selected: Callable[[Address], None]
    ufrag: str = field(default_factory=lambda: _token(8))
    password: str = field(default_factory=lambda: _token(24))
    controlling: bool = True
    selected: Address | None = None
    remote: Remote | None = None
    _tie_breaker: int = field(default_factory=lambda: secrets.randbits(64))
    _candidates: list[Address] = field(default_factory=list)
    _pending: dict[bytes, tuple[Address, bool]] = field(default_factory=dict)
    """Checks under way: to whom, and whether they nominate."""
    _valid: set[Address] = field(default_factory=set)
    _nominated: Address | None = None

    def set_remote(self, ufrag: str, password: str, *, controlling: bool) -> None:
        """Starts checking; a second call is for a new description of the same transport."""
        if self.remote is None:
            self.remote, self.controlling = Remote(ufrag, password), controlling
            self.send_checks()

    def add_candidate(self, address: Address) -> None:
        """Checks one more address of the server."""
        if address not in self._candidates:
            self._candidates.append(address)
            self._check(address)

    def send_checks(self) -> None:
        """A check to each candidate, until one is selected."""
        for address in self._candidates:
            self._check(address)

    def handle(self, data: bytes, source: Address) -> None:
        """A STUN message; what is not authentic is dropped."""
        try:
            message = stun.parse_message(data)
        except ValueError:
            return
        # A request is signed with our password, an answer with the server's (RFC 8445 section 7.1.2).
        is_request = message.message_class == stun.Class.REQUEST
        key = self.password if is_request else self.remote and self.remote.password
        if not key or not message.check_message_integrity(key.encode()):
            return
        if is_request:
            self._on_request(message, source)
        elif message.message_class == stun.Class.RESPONSE:
            self._on_success(message)
        elif message.message_class == stun.Class.ERROR:
            self._on_error(message)

    def _check(self, address: Address) -> None:
        if self.remote is None or self.selected is not None:
            return
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self.remote.ufrag}:{self.ufrag}"
        request.attributes["PRIORITY"] = PRIORITY
        request.attributes["ICE-CONTROLLING" if self.controlling else "ICE-CONTROLLED"] = self._tie_breaker
        nominates = self.controlling and address == self._nominated
        if nominates:
            request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(self.remote.password.encode())
        self._pending[request.transaction_id] = (address, nominates)
        self.send(bytes(request), address)

    def _on_request(self, message: stun.Message, source: Address) -> None:
        response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, message.transaction_id)
        response.attributes["XOR-MAPPED-ADDRESS"] = source
        response.add_message_integrity(self.password.encode())
        self.send(bytes(response), source)
        if "USE-CANDIDATE" in message.attributes and not self.controlling:
            self._nominated = source
        # A triggered check (RFC 8445 section 7.3.1.4), also to an address that no candidate told.
        if source not in self._candidates:
            self.add_candidate(source)
        elif source not in self._valid:
            self._check(source)
        self._follow_nomination()

    def _on_success(self, message: stun.Message) -> None:
        address, nominates = self._pending.pop(message.transaction_id, (None, False))
        if address is None:
            return
        self._valid.add(address)
        if nominates:
            self._select(address)
        elif self.controlling and self._nominated is None:
            self._nominated = address
            self._check(address)
        self._follow_nomination()

    def _on_error(self, message: stun.Message) -> None:
        address, _ = self._pending.pop(message.transaction_id, (None, False))
        if address is not None and message.error_code == ROLE_CONFLICT:
            self.controlling, self._nominated = not self.controlling, None
            self._check(address)

    def _follow_nomination(self) -> None:
        if not self.controlling and self._nominated in self._valid:
            assert self._nominated is not None
            self._select(self._nominated)

    def _select(self, address: Address) -> None:
        if self.selected is None:
            self.selected = address
            self._pending.clear()
            self.on_selected(address)
