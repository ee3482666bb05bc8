"""Where forks are born: by measured load, by number, at home, and where their peers knocked."""

from itertools import pairwise

import pytest

from router.errors import ConfigError, ConflictError
from router.rtc import ForkOnCheck, RTCConnection, RTCSocket, RTCSocketOptions
from router.rtc.ice import parse_check
from router.rtc.placement import NEAR_FORKS, Placement, WorkerLoads
from tests.rtc.fake_engine import FakeEngine
from tests.rtc.peers import write_check

SECOND_US = 1_000_000
SOURCE = ("127.0.0.1", 9)


def measured(*shares: float, seconds: int = 60) -> WorkerLoads:
    """Workers that have been busy for so large a share of the time, for long."""
    loads = WorkerLoads(len(shares))
    for second in range(seconds):
        loads.measure(second * SECOND_US, [int(share * second * SECOND_US) for share in shares])
    return loads


def test_the_least_busy_worker_is_chosen() -> None:
    loads = measured(0.7, 0.3, 0.5)
    assert [loads.least(among) for among in ([0, 1, 2], [0, 2], [0])] == [1, 2, 0]
    assert loads.load(0) == pytest.approx(0.7, abs=0.01)


def test_a_burst_spreads_over_idle_workers() -> None:
    loads = WorkerLoads(4)
    for _ in range(400):
        loads.enter(loads.least(range(4)))
    assert loads.forks == [100] * 4


def test_a_burst_fills_up_those_that_do_less() -> None:
    loads = measured(0.8, 0.2)
    for _ in range(30):
        loads.enter(loads.least(range(2)))
    assert loads.forks == [0, 30], "a fork is expected to cost a hundredth of a core"
    for _ in range(170):
        loads.enter(loads.least(range(2)))
    assert 60 <= loads.forks[0] <= 75
    assert loads.load(0) == pytest.approx(loads.load(1), abs=0.03)


def test_what_is_expected_gives_way_to_what_is_measured() -> None:
    loads = WorkerLoads(2)
    for _ in range(50):
        loads.enter(0)
    assert loads.load(0) == pytest.approx(0.5)
    for second in range(60):
        loads.measure(second * SECOND_US, [second * SECOND_US // 10, 0])
    assert loads.load(0) == pytest.approx(0.1, abs=0.01)
    assert loads.least(range(2)) == 1


def test_equal_loads_are_told_apart_by_forks_and_then_by_homes() -> None:
    loads = measured(0.501, 0.5, 0.505)
    loads.enter(1)
    Placement(loads, [0])
    assert loads.least(range(3)) == 2


def test_clocks_that_stand_and_counters_that_go_back_change_nothing() -> None:
    loads = measured(0.5, 0.1)
    before = [loads.load(0), loads.load(1)]
    loads.measure(59 * SECOND_US, [10**9, 10**9])
    assert [loads.load(0), loads.load(1)] == before
    loads.measure(60 * SECOND_US, [0, 0])
    assert loads.load(0) < before[0]
    with pytest.raises(ConfigError, match="workers: expected at least 1"):
        WorkerLoads(0)


def test_a_room_stays_at_home_until_it_is_large() -> None:
    loads = WorkerLoads(3)
    placement = Placement(loads, [1, 0, 2], spread_above=4)
    assert [placement.place() for _ in range(4)] == [1, 1, 1, 1]
    assert sorted(placement.place() for _ in range(4)) == [0, 0, 2, 2]
    placement.leave(0)
    assert loads.forks == [1, 4, 2]


@pytest.mark.parametrize(("workers", "spread_above"), [([0], 0), ([0, 1], None)])
def test_some_rooms_are_never_spread(workers: list[int], spread_above: int | None) -> None:
    placement = Placement(WorkerLoads(2), workers, spread_above)
    assert {placement.place(1) for _ in range(50)} == {0}
    assert placement.preferred == 0


def test_who_knocks_at_a_worker_that_is_about_as_good_stays_there() -> None:
    loads = WorkerLoads(2)
    placement = Placement(loads, [0, 1], spread_above=0)
    placed = [placement.place(1) for _ in range(40)]
    assert placed[:NEAR_FORKS] == [1] * NEAR_FORKS
    assert abs(loads.forks[0] - loads.forks[1]) <= NEAR_FORKS + 1, "but not if that makes one of them much fuller"


def test_the_offer_names_another_worker_first_once_that_is_clearly_better() -> None:
    loads = WorkerLoads(2)
    placement = Placement(loads, [0, 1], spread_above=0)
    preferred = []
    for _ in range(60):
        preferred.append(placement.preferred)
        placement.place(preferred[-1])
    changes = sum(one != other for one, other in pairwise(preferred))
    assert 2 <= changes <= 8, "newcomers come in turns, and caches keep their copy for a while"
    assert abs(loads.forks[0] - loads.forks[1]) <= NEAR_FORKS + 1


# -- connections ---------------------------------------------------------------------------------------------------


def spread(fake: FakeEngine, origin: RTCConnection, loads: WorkerLoads, above: int = 0) -> list[RTCSocket]:
    """Gives the origin, which is on worker 0, a socket of worker 1."""
    other = RTCSocket(options=RTCSocketOptions(address="127.0.0.1", worker=1), engine=fake)  # type: ignore[arg-type]
    origin.add_socket(other)
    origin.placement = Placement(loads, [0, 1], above)
    return list(origin.get_sockets())


async def test_forks_of_all_workers_have_the_same_sockets(origin: RTCConnection, fake: FakeEngine) -> None:
    loads = WorkerLoads(2)
    sockets = spread(fake, origin, loads)
    forks = [origin.fork() for _ in range(4)]
    assert {fork.worker for fork in forks} == {0, 1}
    for fork in forks:
        assert fork.get_sockets() == origin.get_sockets()
        own = sockets[fork.worker or 0]
        assert fork.get_description("local").candidates == own.candidates
        assert [socket.has_endpoint(fork.transport.ufrag) for socket in sockets] == [own is item for item in sockets]
    assert loads.forks == [2, 2]
    for fork in forks:
        await fork.close()
        await fork.close()
    assert loads.forks == [0, 0]


async def test_closing_the_origin_takes_all_of_it_off_the_load(fake: FakeEngine) -> None:
    loads, origin = WorkerLoads(2), RTCConnection()
    origin.add_socket(RTCSocket(options=RTCSocketOptions(address="127.0.0.1"), engine=fake))  # type: ignore[arg-type]
    spread(fake, origin, loads)
    for _ in range(5):
        origin.fork()
    assert (sum(loads.forks), loads.homes) == (5, [1, 0])
    await origin.close()
    assert (loads.forks, loads.homes) == ([0, 0], [0, 0])


async def test_a_fork_that_cannot_be_is_not_counted(origin: RTCConnection, fake: FakeEngine) -> None:
    loads = WorkerLoads(2)
    spread(fake, origin, loads)
    ufrag = origin.context.mint_ufrag()
    origin.fork_as(ufrag, "password", knocked=0)
    with pytest.raises(ConflictError):
        origin.fork_as(ufrag, "password", knocked=0)
    assert sum(loads.forks) == 1


async def test_a_check_makes_one_fork_and_only_its_worker_answers(origin: RTCConnection, fake: FakeEngine) -> None:
    loads = WorkerLoads(2)
    sockets = spread(fake, origin, loads)
    born: list[RTCConnection] = []
    origin.fork_on_check = ForkOnCheck(password=lambda _: "offerpassword", born=born.append)
    for _ in range(NEAR_FORKS + 1):
        loads.enter(0)
    ufrag = origin.context.mint_ufrag()
    data = write_check(ufrag, "offerpassword")
    assert parse_check(data) is not None
    sockets[0].on_stun(SOURCE, data)
    (fork,) = born
    assert fork.worker == 1, "home is too full to keep who knocks there"
    assert fake.native.sent == []
    sockets[0].on_stun(SOURCE, data)
    assert (len(born), fake.native.sent) == (1, [])
    sockets[1].on_stun(SOURCE, data)
    assert [sent[0] for sent in fake.native.sent] == [sockets[1].id]
    assert len(born) == 1


async def test_candidates_of_the_preferred_worker_come_first(origin: RTCConnection, fake: FakeEngine) -> None:
    loads = WorkerLoads(2)
    sockets = spread(fake, origin, loads)
    plain = [item for socket in sockets for item in socket.candidates]
    first, second = origin.get_candidates()
    assert (first, second.port) == (plain[0], plain[1].port)
    assert first.priority > second.priority > 0
    for _ in range(3 * NEAR_FORKS):
        loads.enter(0)
    first, second = origin.get_candidates()
    assert (first, second.port) == (plain[1], plain[0].port)
    assert first.priority > second.priority
