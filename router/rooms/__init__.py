"""Rooms: who is in, who may do what, who receives what. Knows `router.rtc` below and no HTTP above."""

from router.rooms.assignment import LiveTracks, SlotView, TrackView, assign_tracks
from router.rooms.limits import RoomLimits
from router.rooms.participant import Participant, PublishedTrack
from router.rooms.registry import RoomRegistry
from router.rooms.rights import JoinGrant
from router.rooms.room import Room
from router.rooms.roster import Roster, Watcher
from router.rooms.session import Session

__all__ = [
    "JoinGrant",
    "LiveTracks",
    "Participant",
    "PublishedTrack",
    "Room",
    "RoomLimits",
    "RoomRegistry",
    "Roster",
    "Session",
    "SlotView",
    "TrackView",
    "Watcher",
    "assign_tracks",
]
