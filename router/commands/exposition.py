"""Reads `/metrics`: Prometheus' text format 0.0.4, as far as the router writes it. Left out: HELP, TYPE, timestamps."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

_SAMPLE: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')

Labels = tuple[tuple[str, str], ...]


class Samples:
    """All samples of one scrape.

    >>> samples = Samples.read('sfu_rtp_packets_total{direction="in"} 7\\nsfu_rtp_packets_total{direction="out"} 9')
    >>> samples.total("sfu_rtp_packets_total"), samples.total("sfu_rtp_packets_total", direction="in")
    (16.0, 7.0)
    """

    def __init__(self, values: Mapping[str, Mapping[Labels, float]]) -> None:
        self._values = values

    @classmethod
    def read(cls, text: str) -> "Samples":
        """From the text; a line that is no sample is passed over."""
        values: dict[str, dict[Labels, float]] = {}
        for name, labels, value in _read_lines(text):
            values.setdefault(name, {})[labels] = value
        return cls(values)

    def has(self, name: str) -> bool:
        """Whether there is any of this name."""
        return name in self._values

    def total(self, name: str, **labels: str) -> float:
        """The sum of those with these labels."""
        wanted = labels.items()
        return sum(value for given, value in self._values.get(name, {}).items() if wanted <= dict(given).items())

    def by(self, name: str, label: str) -> dict[str, float]:
        """Sums by the values of one label."""
        sums: dict[str, float] = {}
        for labels, value in self._values.get(name, {}).items():
            key = dict(labels).get(label, "")
            sums[key] = sums.get(key, 0.0) + value
        return sums


def read_quantile(quantile: float, before: Mapping[str, float], after: Mapping[str, float]) -> float | None:
    """The bucket of a histogram in which a quantile lies: its upper bound; None without observations.

    >>> read_quantile(0.99, {}, {"0.001": 98, "0.01": 100, "+Inf": 100})
    0.01
    """
    counts = sorted((float(bound), count - before.get(bound, 0.0)) for bound, count in after.items())
    if not counts or counts[-1][1] <= 0:
        return None
    return next(bound for bound, count in counts if count >= quantile * counts[-1][1])


def _read_lines(text: str) -> Iterator[tuple[str, Labels, float]]:
    for line in text.splitlines():
        found = _SAMPLE.match(line)
        if found is None:
            continue
        try:
            value = float(found[3])
        except ValueError:
            continue
        yield found[1], tuple(_LABEL.findall(found[2] or "")), value
