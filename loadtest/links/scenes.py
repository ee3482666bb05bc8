"""What links do to a receiver, as data: each scene is a seed and shapes of both ways over time.

Times are shares of a run plus seconds, so a short run sees the same events. The way up carries only feedback and is
never the bottleneck; where packets are lost, they are lost both ways.
"""

from dataclasses import dataclass, field, replace

from loadtest.link import Shape

QUEUE_S = 0.2
"""A bottleneck's queue, in seconds of its own rate."""
WIRE = Shape(delay_us=20_000)


def bottleneck(rate_bps: int, *, queue_s: float = QUEUE_S, way: Shape = WIRE) -> Shape:
    """A way with this rate."""
    return replace(way, rate_bps=rate_bps, queue_bytes=round(rate_bps * queue_s / 8))


CUT = replace(WIRE, loss=1.0)
FAR = Shape(delay_us=100_000, jitter_us=20_000)


@dataclass(frozen=True, slots=True)
class Step:
    """From a moment on, both ways are like this."""

    down: Shape
    up: Shape = WIRE
    share: float = 0.0
    after_s: float = 0.0

    def begins_s(self, seconds: float) -> float:
        """In a run of that length."""
        return self.share * seconds + self.after_s


@dataclass(frozen=True, slots=True)
class Scene:
    """One link's story."""

    name: str
    title: str
    seed: int
    steps: tuple[Step, ...] = field(default_factory=tuple)

    def capacity_bps(self, at_s: float, seconds: float) -> int | None:
        """What the way down can carry at a moment; None is no limit, 0 a cut."""
        down = [step.down for step in self.steps if step.begins_s(seconds) <= at_s][-1]
        return 0 if down.loss >= 1 else down.rate_bps


def _lossy(share: float) -> Step:
    lossy = replace(WIRE, loss=share)
    return Step(bottleneck(4_000_000, way=lossy), up=lossy)


SCENES = (
    Scene("steady", "2 Mbit/s", 101, (Step(bottleneck(2_000_000)),)),
    Scene(
        "steps",
        "2.5, 0.6, 2.5 Mbit/s",
        102,
        (
            Step(bottleneck(2_500_000)),
            Step(bottleneck(600_000), share=1 / 3),
            Step(bottleneck(2_500_000), share=2 / 3),
        ),
    ),
    Scene(
        "outage",
        "2.5 Mbit/s, cut for 3 s",
        103,
        (
            Step(bottleneck(2_500_000)),
            Step(CUT, up=CUT, share=1 / 3),
            Step(bottleneck(2_500_000), share=1 / 3, after_s=3.0),
        ),
    ),
    Scene("loss-2", "4 Mbit/s, 2 % loss", 104, (_lossy(0.02),)),
    Scene("loss-5", "4 Mbit/s, 5 % loss", 105, (_lossy(0.05),)),
    Scene("far", "2.5 Mbit/s, 100 ms each way, 20 ms jitter", 106, (Step(bottleneck(2_500_000, way=FAR), up=FAR),)),
    Scene(
        "reorder",
        "2.5 Mbit/s, 2 % of packets 5 ms late",
        107,
        (Step(bottleneck(2_500_000, way=replace(WIRE, reorder=0.02))),),
    ),
    Scene("bufferbloat", "1 Mbit/s with a queue of 2 s", 108, (Step(bottleneck(1_000_000, queue_s=2.0)),)),
)
SLOW = Scene("slow", "0.5 Mbit/s", 109, (Step(bottleneck(500_000)),))
CLEAN = Scene("clean", "no limit", 110, (Step(WIRE),))


def find_scenes(names: str) -> tuple[Scene, ...]:
    """Those named, with commas between, or all."""
    by_name = {scene.name: scene for scene in SCENES}
    chosen = list(by_name) if names == "all" else names.split(",")
    if unknown := [name for name in chosen if name not in by_name]:
        raise SystemExit(f"unknown scenes: {', '.join(unknown)}; there are {', '.join(by_name)}")
    return tuple(by_name[name] for name in chosen)
