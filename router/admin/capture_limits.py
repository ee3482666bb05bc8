"""How much operators may capture, and what they capture now; see `captures`."""

from dataclasses import dataclass, field


@dataclass
class CaptureLimits:
    """What operators may capture."""

    enabled: bool = False
    max_bytes: int = 100_000_000
    max_s: float = 300.0
    max_concurrent: int = 2
    running: set[str] = field(default_factory=set)
    """Ids of participants that are being captured."""
