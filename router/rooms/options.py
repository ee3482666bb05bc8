"""What a room is asked to be, beyond the router's own settings: its caps, its delays, its offer, its text.

Options travel: an operator gives them, the store keeps them for other nodes, an answer shows them. None of them may
go beyond `RoomLimits`, which are the node's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from router.errors import RequestError
from router.rooms.limits import RoomLimits
from router.rooms.names import check_metadata
from router.rooms.static_offer import OfferLayout
from router.rtc.offer import DEFAULT_CODECS

MAX_TIMEOUT_S: Final = 86_400.0
MAX_AUDIO_SLOTS: Final = 16
MAX_VIDEO_SLOTS: Final = 44


@dataclass(frozen=True, slots=True)
class RoomOptions:
    """Of one room; None: as the node has it.

    >>> RoomOptions(max_participants=5).limit_participants(RoomLimits())
    5
    """

    max_participants: int | None = None
    empty_timeout_s: float | None = None
    """It closes this long after it was made, if nobody came."""
    departure_timeout_s: float | None = None
    """It closes this long after everybody left."""
    metadata: str = ""
    """The application's own text about the room, told to everybody in it."""
    audio_slots: int | None = None
    """These three make its static offer, and last as long as the room."""
    video_slots: int | None = None
    codecs: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        check_metadata(self.metadata)
        _check_range("max_participants", self.max_participants, 1, 10_000)
        _check_range("empty_timeout_s", self.empty_timeout_s, 1, MAX_TIMEOUT_S)
        _check_range("departure_timeout_s", self.departure_timeout_s, 0, MAX_TIMEOUT_S)
        _check_range("audio_slots", self.audio_slots, 1, MAX_AUDIO_SLOTS)
        _check_range("video_slots", self.video_slots, 0, MAX_VIDEO_SLOTS)
        if self.codecs is not None:
            _check_codecs(self.codecs)

    def limit_participants(self, limits: RoomLimits) -> int:
        """How many may be in the room."""
        if self.max_participants is None:
            return limits.max_participants_per_room
        return min(self.max_participants, limits.max_participants_per_room)

    def arrange(self, layout: OfferLayout) -> OfferLayout:
        """The room's offer, where `layout` is the node's."""
        given = {name: getattr(self, name) for name in ("audio_slots", "video_slots", "codecs")}
        return replace(layout, **{name: value for name, value in given.items() if value is not None})

    def limit_empty(self, limits: RoomLimits, *, was_used: bool) -> float:
        """Seconds without anybody after which the room closes."""
        own = self.departure_timeout_s if was_used else self.empty_timeout_s
        return limits.empty_room_delay_s if own is None else own

    def describe(self) -> dict[str, Any]:
        """As a store keeps it: only what was asked for."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        if self.codecs is not None:
            fields["codecs"] = list(self.codecs)
        return {name: value for name, value in fields.items() if value not in (None, "")}

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> "RoomOptions":
        """From a store, which is not trusted: `RequestError` for what `describe` does not make.

        >>> RoomOptions.read(RoomOptions(codecs=("VP8", "opus")).describe()).codecs
        ('VP8', 'opus')
        """
        unknown = config.keys() - cls.__dataclass_fields__.keys()
        if unknown:
            raise _refuse("room options: unknown fields")
        fields = dict(config)
        codecs = fields.get("codecs")
        if codecs is not None:
            if not isinstance(codecs, list) or not all(isinstance(name, str) for name in codecs):
                raise _refuse("codecs: expected a list of names")
            fields["codecs"] = tuple(codecs)
        return cls(**fields)


def _check_range(name: str, value: object, lowest: float, highest: float) -> None:
    if value is None:
        return
    kinds, what = ((int, float), "a number") if name.endswith("_s") else ((int,), "a whole number")
    if type(value) not in kinds or not lowest <= value <= highest:  # type: ignore[operator] # a number, by its type
        raise _refuse(f"{name}: expected {what} from {lowest:g} to {highest:g}")


def _check_codecs(codecs: tuple[Any, ...]) -> None:
    """The static offer has m-lines for sound and for pictures, whatever its slots: each needs a codec."""
    if len(set(codecs)) != len(codecs) or not set(codecs) <= set(DEFAULT_CODECS):
        raise _refuse(f"codecs: expected some of {', '.join(DEFAULT_CODECS)}, each once")
    if "opus" not in codecs or set(codecs) <= {"opus", "red"}:
        raise _refuse("codecs: expected opus and one for video")


def _refuse(detail: str) -> RequestError:
    return RequestError(detail, slug="bad-room-options")
