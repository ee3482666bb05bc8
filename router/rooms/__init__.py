"""Rooms: who is in, who may do what, who receives what. Knows `router.rtc` below and no HTTP above."""

from router.rooms.assignment import Assignment, SlotView, assign_tracks
from router.rooms.limits import RoomLimits
from router.rooms.participant import Participant, PublishedTrack
from router.rooms.ranking import Ranking, TrackView
from router.rooms.registry import RoomRegistry
from router.rooms.rights import JoinGrant
from router.rooms.room import Room
from router.rooms.roster import Roster, Since, Watcher
from router.rooms.session import Session
from router.rooms.settlement import Settlement
from router.rooms.wishes import SlotWish

__all__ = [
    "Assignment",
    "JoinGrant",
    "Participant",
    "PublishedTrack",
    "Ranking",
    "Room",
    "RoomLimits",
    "RoomRegistry",
    "Roster",
    "Session",
    "Settlement",
    "Since",
    "SlotView",
    "SlotWish",
    "TrackView",
    "Watcher",
    "assign_tracks",
]
