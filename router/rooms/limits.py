"""Every cap on what clients can make the rooms hold, in one place (threats-and-faults.md T5)."""

from dataclasses import dataclass

from router.errors import ConfigError


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """Caps and delays of all rooms of one router.

    >>> RoomLimits(max_rooms=2).max_rooms
    2
    """

    max_rooms: int = 1_000
    max_participants_per_room: int = 500
    max_sessions_per_participant: int = 8
    """Two for a person (publish and play), and more for reloads whose predecessors have not timed out yet."""
    max_tracks_per_participant: int = 16
    max_slots_per_session: int = 64
    max_watchers_per_room: int = 1_200
    """Events WebSockets."""
    max_watchers_per_identity: int = 8
    max_log_deltas: int = 1_024
    """Changes of a roster kept for watchers that missed some; who missed more is told everything anew."""
    max_log_bytes: int = 1_048_576
    removed_memory_s: float = 86_400.0
    """Tokens of a removed participant are refused for so long; by then they should have expired. How many removals are
    remembered is `revocations.MAX_REMOVALS`, for all rooms."""
    max_changed_rights: int = 1_024
    """Identities of each room whose rights an operator changed; the earliest is forgotten first."""
    max_moderated_tracks: int = 1_024
    """Tracks muted by moderators that stay so when their publishers come back, in each room."""
    max_candidates_per_session: int = 64
    """Remote candidates remembered; more are dropped, since ICE-lite does not need them."""
    max_ended_sessions: int = 4_096
    """Ended sessions remembered, so that DELETE stays idempotent."""
    max_pending_forks: int = 256
    """Forks of one room that wait for their answer."""
    forks_per_s: float = 100.0
    """Forks that checks may make in one room; those above are made by their answers."""
    fork_burst: int = 200
    forks_per_s_per_address: float = 10.0
    """The same for one source address, over all rooms: a whole office may be behind it."""
    fork_burst_per_address: int = 50
    answer_timeout_s: float = 5.0
    """A fork born from a check dies without its answer."""
    counter_offer_timeout_s: float = 30.0
    """WHEP draft: a counter-offer lives so long unless it says otherwise."""
    max_speakers: int = 3
    """Voices that a listener hears at once."""
    empty_room_delay_s: float = 30.0
    """A room closes this long after its last participant and watcher left."""
    connect_timeout_s: float = 30.0
    """A session that has not connected by then is removed."""

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            lowest = 0 if name.endswith("_s") or "_per_s_" in name else 1
            if getattr(self, name) < lowest:
                raise ConfigError(f"{name}: expected at least {lowest}, got {getattr(self, name)!r}")
