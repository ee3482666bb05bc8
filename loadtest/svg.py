"""Charts as SVG text: lines over a logarithmic or linear axis, and grouped bars. No library, nothing to load."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 48
COLORS = ("#1f6fb4", "#7f7f7f", "#d9632a", "#2c9c4b", "#8a56b8", "#b8860b", "#c2375f", "#17a2a2")
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """From low to high, with marks."""

    low: float
    high: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        if self.logarithmic:
            low, high, value = math.log10(self.low), math.log10(self.high), math.log10(max(value, self.low))
        else:
            low, high = self.low, self.high
        return min(max((value - low) / (high - low), 0.0), 1.0)

    def marks(self) -> list[float]:
        """Powers of ten, or five round steps."""
        if self.logarithmic:
            return [10.0**n for n in range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)]
        step = 10 ** math.floor(math.log10(self.high / 4))
        step *= next(factor for factor in (1, 2, 2.5, 5, 10) if self.high / (step * factor) <= 5)
        return [step * n for n in range(int(self.high / step) + 1)]

    @classmethod
    def around(cls, values: Sequence[float], *, logarithmic: bool = False) -> "Axis":
        """Wide enough for these; a linear one begins at 0."""
        positive = [value for value in values if value > 0] or [1.0]
        if logarithmic:
            low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
            return cls(10.0**low, 10.0 ** max(high, low + 1), logarithmic=True)
        return cls(0.0, max(positive) * 1.1)


def write_number(value: float) -> str:
    """Short, with a letter for thousands."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _text(x: float, y: float, text: str, anchor: str = "middle", size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'


def _frame(title: str, y_axis: Axis, y_title: str) -> list[str]:
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" fill="#222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        _text(LEFT, 18, title, "start", 13),
        f'<g transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)">{_text(0, 0, y_title)}</g>',
    ]
    for mark in y_axis.marks():
        y = _y(y_axis.place(mark))
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 6, y + 4, write_number(mark), "end"))
    return parts


def _legend(names: Sequence[str]) -> list[str]:
    parts, x = [], float(LEFT)
    for index, name in enumerate(names):
        color = COLORS[index % len(COLORS)]
        parts.append(f'<rect x="{x:.0f}" y="25" width="9" height="9" fill="{color}"/>')
        parts.append(_text(x + 13, 33, name, "start"))
        x += 22 + 6.3 * len(name)
    return parts


def draw_lines(
    title: str, titles: tuple[str, str], series: Mapping[str, Points], *, log_x: bool = False, log_y: bool = False
) -> str:
    """One line for each name; `titles` are those of the axes."""
    points = [point for line in series.values() for point in line]
    x_axis = Axis.around([x for x, _ in points], logarithmic=log_x)
    y_axis = Axis.around([y for _, y in points], logarithmic=log_y)
    parts = _frame(title, y_axis, titles[1])
    parts += [_text(_x(x_axis.place(mark)), HEIGHT - BOTTOM + 16, write_number(mark)) for mark in x_axis.marks()]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, titles[0]))
    for index, line in enumerate(series.values()):
        color = COLORS[index % len(COLORS)]
        at = [(_x(x_axis.place(x)), _y(y_axis.place(y))) for x, y in sorted(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in at]
    return "".join([*parts, *_legend(list(series)), "</svg>"])


def draw_bars(title: str, y_title: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    """A group for each outer name, in it a bar for each inner one; values stand above the bars."""
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    y_axis = Axis.around([value for group in groups.values() for value in group.values()])
    parts = _frame(title, y_axis, y_title)
    width = (WIDTH - LEFT - RIGHT) / max(len(groups), 1)
    bar = 0.8 * width / max(len(names), 1)
    for position, (label, group) in enumerate(groups.items()):
        start = LEFT + position * width + 0.1 * width
        parts.append(_text(start + 0.4 * width, HEIGHT - BOTTOM + 16, label))
        for name, value in group.items():
            index = names.index(name)
            x, y = start + index * bar, _y(y_axis.place(value))
            color = COLORS[index % len(COLORS)]
            height = HEIGHT - BOTTOM - y
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{bar * 0.92:.1f}" height="{height:.1f}" fill="{color}"/>'
            )
            parts.append(_text(x + bar / 2, y - 3, write_number(float(f"{value:.3g}")), size=9))
    return "".join([*parts, *_legend(names), "</svg>"])
