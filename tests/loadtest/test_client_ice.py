"""The load client's connectivity checks (RFC 8445), both sides in one thread: messages wait in a list."""

from aioice import stun

from loadtest.client.ice import Address, IceAgent

CLIENT: Address = ("192.0.2.1", 1000)
SERVERS: list[Address] = [("192.0.2.9", 9000), ("198.51.100.9", 9001), ("203.0.113.9", 9002)]


class Wire:
    """An agent here, and one behind each address of a server."""

    def __init__(self, *, controlling: bool) -> None:
        self.sent: list[tuple[Address, Address, bytes]] = []
        self.selected: list[Address] = []
        self.agent = IceAgent(lambda data, to: self.sent.append((CLIENT, to, data)), self.selected.append)
        self.server = IceAgent(self._answer, lambda _: None, controlling=not controlling)
        self._asked = SERVERS[0]
        self.agent.set_remote(self.server.ufrag, self.server.password, controlling=controlling)
        self.server.set_remote(self.agent.ufrag, self.agent.password, controlling=not controlling)
        self.nominated: list[Address] = []
        self.lost_nominations = 0

    def _answer(self, data: bytes, to: Address) -> None:
        self.sent.append((self._asked, to, data))

    def carry(self) -> None:
        """All that is on the way, and what that makes."""
        while self.sent:
            source, to, data = self.sent.pop(0)
            if to == CLIENT:
                self.agent.handle(data, source)
                continue
            message = stun.parse_message(data)
            if "USE-CANDIDATE" in message.attributes:
                self.nominated.append(to)
                if len(self.nominated) <= self.lost_nominations:
                    continue
            self._asked = to
            self.server.handle(data, source)


def test_of_several_candidates_one_is_nominated() -> None:
    wire = Wire(controlling=True)
    for address in SERVERS:
        wire.agent.add_candidate(address)
    wire.carry()
    assert wire.selected == [SERVERS[0]]
    assert wire.nominated == [SERVERS[0]]


def test_the_first_that_answers_is_nominated() -> None:
    wire = Wire(controlling=True)
    for address in SERVERS:
        wire.agent.add_candidate(address)
    wire.sent = [packet for packet in wire.sent if packet[1] == SERVERS[2]]
    wire.carry()
    assert (wire.selected, wire.nominated) == ([SERVERS[2]], [SERVERS[2]])


def test_a_nomination_that_is_lost_is_repeated() -> None:
    wire = Wire(controlling=True)
    wire.lost_nominations = 1
    wire.agent.add_candidate(SERVERS[1])
    wire.carry()
    assert (wire.selected, wire.nominated) == ([], [SERVERS[1]])
    wire.agent.send_checks()
    wire.carry()
    assert (wire.selected, wire.nominated) == ([SERVERS[1]], [SERVERS[1]] * 2)


def test_who_is_controlled_takes_what_is_nominated() -> None:
    wire = Wire(controlling=False)
    wire.server.add_candidate(CLIENT)
    wire.carry()
    assert wire.selected == [SERVERS[0]]
