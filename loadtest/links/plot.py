"""A run as one picture: bitrate against the link, frames a second, picture height and delay over the same seconds.

Half seconds with a freeze, or with no new picture for `STILL_MS`, are marked in all panels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from loadtest.links.samples import Sample
from loadtest.links.scene_run import SceneRun
from loadtest.svg import COLORS, Axis, write_number

WIDTH, PANEL, GAP = 760, 120, 30
LEFT, RIGHT, TOP, BOTTOM = 60, 12, 34, 34
STILL_MS = 500
LINK_COLOR, FREEZE_COLOR = "#999", "#f6c9cf"
Points = Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Line:
    """One curve; a step line stays until the next point."""

    name: str
    points: Points
    color: str
    steps: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart among several."""

    title: str
    lines: Sequence[Line]


def _panels(samples: Sequence[Sample]) -> list[Panel]:
    blue, orange, green, violet = COLORS[0], COLORS[2], COLORS[3], COLORS[4]

    def line(name: str, field: str, color: str, *, steps: bool = False) -> Line:
        return Line(name, [(sample.time_s, getattr(sample, field)) for sample in samples], color, steps)

    return [
        Panel(
            "bits/s",
            (
                line("link", "capacity_bps", LINK_COLOR, steps=True),
                line("carried", "carried_bps", blue),
                line("estimate", "estimate_bps", orange),
            ),
        ),
        Panel("frames/s", (line("decoded", "frames_per_s", blue),)),
        Panel("height", (line("picture height", "height", green, steps=True),)),
        Panel(
            "ms",
            (
                line("canvas to screen", "delay_ms", blue),
                line("link's queue", "queue_ms", orange),
                line("jitter buffer", "jitter_buffer_ms", violet),
            ),
        ),
    ]


def _text(x: float, y: float, text: str, anchor: str = "middle", size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a panel lies, and its scales."""

    top: float
    seconds: float
    axis: Axis

    def x(self, time_s: float) -> float:
        return LEFT + min(time_s / self.seconds, 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return self.top + PANEL - self.axis.place(value) * PANEL


def _draw_line(line: Line, place: _Place) -> str:
    """Where there is no value the curve is broken."""
    parts: list[str] = []
    before: tuple[float, float] | None = None
    for time_s, value in line.points:
        if value is None:
            before = None
            continue
        x, y = place.x(time_s), place.y(value)
        if before is None:
            parts.append(f"M{x:.1f} {y:.1f}")
        else:
            parts.append(f"H{x:.1f}V{y:.1f}" if line.steps else f"L{x:.1f} {y:.1f}")
        before = (x, y)
    return f'<path d="{"".join(parts)}" fill="none" stroke="{line.color}" stroke-width="1.6"/>'


def _draw_panel(panel: Panel, place: _Place, freezes: Sequence[tuple[float, float]]) -> list[str]:
    parts = [
        f'<rect x="{place.x(start):.1f}" y="{place.top}" width="{place.x(end) - place.x(start):.1f}" '
        f'height="{PANEL}" fill="{FREEZE_COLOR}"/>'
        for start, end in freezes
    ]
    for mark in place.axis.marks():
        y = place.y(mark)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e3e3"/>')
        parts.append(_text(LEFT - 6, y + 4, write_number(mark), "end"))
    x = LEFT + 4.0
    for line in panel.lines:
        parts.append(_draw_line(line, place))
        parts.append(f'<rect x="{x:.0f}" y="{place.top - 12:.0f}" width="9" height="9" fill="{line.color}"/>')
        parts.append(_text(x + 13, place.top - 4, line.name, "start"))
        x += 26 + 6.2 * len(line.name)
    parts.append(_text(LEFT - 6, place.top - 6, panel.title, "end", 10))
    return parts


def draw_run(run: SceneRun) -> str:
    """The whole picture."""
    samples = run.samples
    panels = _panels(samples)
    height = TOP + len(panels) * (PANEL + GAP) + BOTTOM
    starts = [0.0, *(sample.time_s for sample in samples)]
    freezes = [
        (start, sample.time_s)
        for start, sample in zip(starts, samples, strict=False)
        if sample.freezes or sample.longest_gap_ms > STILL_MS
    ]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" fill="#222">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        _text(LEFT, 16, f"{run.scene.title} (seed {run.scene.seed}); red: no new picture", "start", 13),
    ]
    seconds = Axis.around([run.seconds])
    for number, panel in enumerate(panels):
        values = [value for line in panel.lines for _, value in line.points if value is not None]
        place = _Place(TOP + GAP / 2 + number * (PANEL + GAP), run.seconds, Axis.around(values))
        parts += _draw_panel(panel, place, freezes)
    bottom = TOP + len(panels) * (PANEL + GAP) + 6
    parts += [
        _text(LEFT + mark / run.seconds * (WIDTH - LEFT - RIGHT), bottom, f"{mark:g} s")
        for mark in seconds.marks()
        if mark <= run.seconds
    ]
    return "".join([*parts, "</svg>"])
