"""One scenario against one server, once."""

import asyncio
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from loadtest import proc
from loadtest.churn import keep_churning
from loadtest.knee import find_knee
from loadtest.result import ChurnResult, JoinsResult, MemoryResult, Run, Step
from loadtest.scenario import Scenario
from loadtest.servers import Server, Unavailable, Unsupported, Wanted
from loadtest.servers.registry import create_server
from loadtest.session import Cores, Notify, Session, open_session_of
from loadtest.verdict import MAX_GENERATOR_BUSY

FIRST_PACKETS_S = 0.5
FURTHER_TRACKS = 9
"""Of a memory scenario: one track is received, then so many more."""


async def run_scenario(scenario: Scenario, server_name: str, cores: Cores, notify: Notify) -> Run:
    """Measures; a server that cannot be had, or lacks the feature, is skipped with the reason."""
    server = create_server(server_name)
    run = Run(scenario=scenario.name, server=server_name, version="", started_at=_now())
    if cores.generator is not None:
        os.sched_setaffinity(0, {cores.generator})
    try:
        await KINDS[scenario.kind](scenario, server, cores, notify, run)
    except (Unavailable, Unsupported) as error:
        run.skipped = str(error)
    run.version = run.version or server.version
    return run


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")  # noqa: TID251


async def _run_fan_out(scenario: Scenario, server: Server, cores: Cores, notify: Notify, run: Run) -> None:
    # Who vanishes stays with the server until consent has run out (RFC 7675: 30 s).
    passers = scenario.churn.joins_per_s * (2 * scenario.churn.stay_s + 60) if scenario.churn else 0
    most = max(scenario.receivers) + scenario.publishers + int(passers)
    async with open_session_of(server, scenario, cores, notify, most) as session:
        run.version = server.version
        await _publish_all(session, scenario.publishers)
        for receivers in scenario.receivers:
            notify(f"{receivers} receivers join")
            # Before they are there: at the rate of fewer receivers, more of them would be too much.
            session.set_scale(_scale_of(scenario, scenario.loads[0], scenario.subscriptions(receivers)))
            wanted = session.wanted(scenario.publishers)
            names = range(session.receivers, receivers)
            await session.in_parallel(lambda number: session.subscribe(f"receiver-{number}", wanted), names)  # noqa: B023
            await _measure_loads(session, scenario.subscriptions(receivers), run)


async def _run_all_to_all(scenario: Scenario, server: Server, cores: Cores, notify: Notify, run: Run) -> None:
    for people in scenario.receivers:
        async with open_session_of(server, scenario, cores, notify, people) as session:
            run.version = server.version
            await _publish_all(session, people)
            notify(f"{people} people receive one another")
            wanted = session.wanted(people - 1)
            await session.in_parallel(lambda number: session.subscribe(f"publisher-{number}", wanted), range(people))  # noqa: B023
            await _measure_loads(session, scenario.subscriptions(people), run)


async def _run_slots(scenario: Scenario, server: Server, cores: Cores, notify: Notify, run: Run) -> None:
    wanted = Wanted(scenario.slots.get("audio", 0), scenario.slots.get("video", 0))
    most = max(scenario.receivers) + scenario.publishers
    async with open_session_of(server, scenario, cores, notify, most) as session:
        run.version = server.version
        for number in range(scenario.publishers):
            await session.join(f"publisher-{number}", wanted, publishes=True)
        for receivers in scenario.receivers:
            notify(f"{receivers} people join by the static offer")
            names = range(session.receivers - scenario.publishers, receivers)
            join = _joiner(session, wanted)
            await session.in_parallel(join, names)
            # Who is seen by whom is the server's choice, so only gaps are loss.
            await _measure_loads(session, None, run)


def _joiner(session: Session, wanted: Wanted) -> Callable[[int], "asyncio.Future[None]"]:
    return lambda number: asyncio.ensure_future(session.join(f"receiver-{number}", wanted, publishes=False))


async def _publish_all(session: Session, publishers: int) -> None:
    session.notify(f"{publishers} publish")
    await session.in_parallel(lambda number: session.publish(f"publisher-{number}"), range(publishers))
    # Some servers announce a track once its first packets have come.
    await asyncio.sleep(FIRST_PACKETS_S)


async def _measure_loads(session: Session, subscriptions: int | None, run: Run) -> None:
    scenario = session.scenario
    if scenario.knee:
        run.knee = await find_knee(session, scenario.knee, subscriptions or session.receivers)
        return
    for load in scenario.loads:
        session.set_scale(_scale_of(scenario, load, subscriptions))
        await asyncio.sleep(scenario.warm_up_s)
        session.notify(f"measuring {scenario.seconds:g} s at load {session.scale:g}")
        if scenario.churn:
            step, run.churn = await _measure_churn(session, scenario.seconds)
        else:
            step = await session.measure(scenario.seconds, subscriptions)
        run.steps.append(step)


def _scale_of(scenario: Scenario, load: float, subscriptions: int | None) -> float:
    if scenario.packets_per_s is None or scenario.video is None or not subscriptions:
        return load
    return load * scenario.packets_per_s / (subscriptions * scenario.video.packets_per_s)


async def _measure_churn(session: Session, seconds: float) -> tuple[Step, ChurnResult]:
    assert session.scenario.churn
    pids = session.server.pids
    memory, files = proc.memory(pids).pss_kib, _descriptors(session)
    churning = asyncio.ensure_future(keep_churning(session, session.scenario.churn, seconds))
    # Who comes and goes has other gaps than those who stay; only gaps are told here.
    step = await session.measure(seconds, None)
    churned = await churning
    await asyncio.sleep(session.scenario.settle_s)
    churned.pss_growth_kib = proc.memory(pids).pss_kib - memory
    churned.descriptors_growth = _descriptors(session) - files
    return step, churned


def _descriptors(session: Session) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in session.server.pids)


async def _run_joins(scenario: Scenario, server: Server, cores: Cores, notify: Notify, run: Run) -> None:
    _require_peers(server)
    joins = scenario.receivers[0]
    async with open_session_of(server, scenario, cores, notify, 2 * joins + 1) as session:
        run.version = server.version
        await _publish_all(session, scenario.publishers)
        session.load.set_running(False)
        wanted = session.wanted(scenario.publishers)
        # The first wave warms up: pools, caches, compiled code.
        for wave in (range(joins), range(joins, 2 * joins)):
            notify(f"{joins} join")
            started, cpu, busy = time.perf_counter(), sum(proc.cpu_s(server.pids)), _busy(cores.generator)
            await session.in_parallel(lambda number: session.subscribe(f"receiver-{number}", wanted), wave)
            seconds, cpu_s = time.perf_counter() - started, sum(proc.cpu_s(server.pids)) - cpu
            generator_busy = (_busy(cores.generator) - busy) / seconds
            await asyncio.sleep(scenario.settle_s)
        run.joins = describe_joins(joins, seconds, cpu_s, generator_busy)


def _require_peers(server: Server) -> None:
    if server.name.startswith("floor"):
        raise Unsupported("the floor shakes no hands and keeps no peers")


def describe_joins(joins: int, seconds: float, cpu_s: float, generator_busy: float) -> JoinsResult:
    """The figures of the second wave."""
    reasons = []
    if generator_busy > MAX_GENERATOR_BUSY and cpu_s / seconds < MAX_GENERATOR_BUSY:
        used = f"their core was {generator_busy:.0%} busy, the server used {cpu_s / seconds:.0%}"
        reasons.append(f"per_s is the clients' limit: {used}")
    return JoinsResult(
        joins=joins,
        seconds=round(seconds, 3),
        per_s=round(joins / seconds, 1),
        per_server_core_s=round(joins / max(cpu_s, 1e-9), 1),
        server_cpu_ms=round(cpu_s * 1000 / joins, 3),
        inconclusive=reasons,
    )


def _busy(core: int | None) -> float:
    return 0.0 if core is None else proc.core_busy_s(core)


async def _run_memory(scenario: Scenario, server: Server, cores: Cores, notify: Notify, run: Run) -> None:
    """Idle, active, and with more subscriptions: three sessions of a server, so that none starts from used memory."""
    _require_peers(server)
    peers = scenario.receivers[0]
    idle, active = await _grow(scenario, server, cores, notify, run, tracks=1)
    further: float | None = None
    if scenario.publishers > FURTHER_TRACKS:
        _, more = await _grow(scenario, create_server(run.server), cores, notify, run, tracks=1 + FURTHER_TRACKS)
        further = round((more - active) / peers / FURTHER_TRACKS, 2)
    run.memory = MemoryResult(
        peers=peers,
        idle_peer_kib=round(idle / peers, 1),
        active_receiver_kib=round(active / peers, 1),
        further_subscription_kib=further,
    )


async def _grow(
    scenario: Scenario, server: Server, cores: Cores, notify: Notify, run: Run, *, tracks: int
) -> tuple[int, int]:
    """KiB that receivers of so many tracks add: while nothing is sent, and while everything is."""
    peers = scenario.receivers[0]
    wanted = Wanted(tracks if scenario.audio else 0, tracks if scenario.video else 0)
    async with open_session_of(server, scenario, cores, notify, 2 * peers + scenario.publishers) as session:
        run.version = server.version
        await _publish_all(session, scenario.publishers)
        notify("first peers, which warm the server up")
        await session.in_parallel(lambda number: session.subscribe(f"first-{number}", wanted), range(peers // 4))
        await asyncio.sleep(scenario.warm_up_s)
        session.load.set_running(False)
        await asyncio.sleep(scenario.settle_s)
        base = proc.memory(server.pids).pss_kib
        notify(f"{peers} peers with {tracks} tracks")
        await session.in_parallel(lambda number: session.subscribe(f"receiver-{number}", wanted), range(peers))
        await asyncio.sleep(scenario.settle_s)
        idle = proc.memory(server.pids).pss_kib - base
        session.load.set_running(True)
        await asyncio.sleep(scenario.warm_up_s)
        run.steps.append(await session.measure(scenario.seconds, (peers + peers // 4) * tracks))
        return idle, proc.memory(server.pids).pss_kib - base


KINDS = {
    "fan-out": _run_fan_out,
    "all-to-all": _run_all_to_all,
    "slots": _run_slots,
    "joins": _run_joins,
    "memory": _run_memory,
}
