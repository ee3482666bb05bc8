"""Brings the slots of a room in line with its ranking and the wishes of its subscribers.

Only sessions whose result can change are looked at. For each session it is remembered how much of the ranking decided
its slots (`Assignment.depth`); it is looked at again when other tracks come to stand in that part, when a track that it
pinned goes on or off, when its wishes change, or, while a slot of it is empty, when any track comes or goes. So whoever
joins a large room whose slots are full costs one look, at the newcomer. What concerns everybody, such as a new speaker
in a room of a thousand, is done in slices of `SLICE_US`, one for each turn of the loop.

Invariant: between two turns, whatever is not in the queue is settled for the ranking whose beginning is `_prefix`.
Every look reads the state of its moment, so the last one always leaves the true state.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

from router import clock
from router.errors import RouterError
from router.rooms.assignment import SlotView, assign_tracks
from router.rooms.participant import PublishedTrack
from router.rooms.ranking import Ranking, TrackView
from router.rooms.session import Session
from router.rooms.wishes import NO_WISH, FindTrack, SlotWish
from router.rtc.slot import Priority

logger = logging.getLogger(__name__)

SLICE_US = 5_000
"""So much of a turn of the event loop may be spent here; ICE, DTLS and HTTP of all rooms wait meanwhile."""

TellSlots = Callable[[Session, Iterable[str]], None]


class Settlement:
    """Decides for all sessions of one room."""

    def __init__(
        self, find_track: FindTrack, tell_slots: TellSlots, *, now_us: Callable[[], int] = clock.monotonic_us
    ) -> None:
        self.ranking = Ranking()
        self._find_track = find_track
        self._tell_slots = tell_slots
        self._now_us = now_us
        self._video: dict[Session, list[str]] = {}
        """Sessions with video slots, and the mids of these."""
        self._depths: dict[Session, int | None] = {}
        self._by_depth: dict[int | None, dict[Session, None]] = {}
        """Settled sessions by what decided them; None: by all there is."""
        self._pins: dict[str, dict[Session, None]] = {}
        """By track id, who has pinned it."""
        self._prefix: list[str] = []
        self._order_changed = False
        self._members_changed = False
        self._queue: OrderedDict[Session, None] = OrderedDict()
        self._untold: dict[Session, set[str]] = {}
        """Mids whose owners have yet to hear that a wish counts."""
        self._turn: asyncio.Handle | None = None

    # -- what changes --------------------------------------------------------------------------------------------

    def add_session(self, session: Session) -> None:
        """A newcomer."""
        mids = [mid for mid, slot in session.slots.items() if slot.kind == "video"]
        if mids:
            self._video[session] = mids
            self._look_at(session)

    def remove_session(self, session: Session) -> None:
        """It ended; its slots are gone with its connection."""
        if self._video.pop(session, None) is None:
            return
        self._unfile(session)
        self._queue.pop(session, None)
        self._untold.pop(session, None)
        for wish in session.wishes.values():
            self._unpin(session, wish)

    def update_track(self, track: PublishedTrack) -> None:
        """It may have begun or ceased to be something to show, or be of another source."""
        if track.kind != "video":
            return
        before = self.ranking.get(track.id)
        if track.showable:
            view = TrackView(track.id, track.session.participant.id, track.source)
            changed = self.ranking.put(view)
        else:
            changed = self.ranking.discard(track.id)
        if changed:
            self._on_ranking(members=before is None or not track.showable)
            self._look_at(*self._pins.get(track.id, ()))

    def remove_track(self, track: PublishedTrack) -> None:
        """It is gone for good: whoever pinned it gets the slot back."""
        if self.ranking.discard(track.id):
            self._on_ranking(members=True)
        for session in self._pins.pop(track.id, ()):
            for mid, wish in session.wishes.items():
                if wish.track_id == track.id:
                    session.wishes[mid] = replace(wish, track_id=None)
                    self._untold.setdefault(session, set()).add(mid)
            self._look_at(session)

    def update_session(self, session: Session) -> None:
        """Its right to receive has changed."""
        if session in self._video:
            self._look_at(session)

    def set_speakers(self, participant_ids: list[str]) -> None:
        """Who spoke recently, the latest first."""
        if self.ranking.set_speakers(participant_ids):
            self._on_ranking(members=False)

    def set_wishes(self, session: Session, wishes: dict[str, SlotWish]) -> None:
        """Checked wishes, by mid of a video slot of this session."""
        for mid, wish in wishes.items():
            before = session.wishes.get(mid, NO_WISH)
            if wish == before:
                continue
            self._unpin(session, before)
            session.wishes[mid] = wish
            session.slots[mid].want(wish.limits(), (wish.width, wish.height))
            if (wish.track_id, wish.paused) != (before.track_id, before.paused):
                self._untold.setdefault(session, set()).add(mid)
                self._look_at(session)
        for wish in session.wishes.values():
            if wish.track_id is not None:
                self._pins.setdefault(wish.track_id, {})[session] = None

    def explain(self, session: Session, mid: str) -> str:
        """Why a video slot shows what it shows, for people."""
        wish, shown = session.wishes.get(mid, NO_WISH), session.shown[mid]
        if wish.paused:
            return "paused by wish"
        if wish.track_id is not None:
            return "pinned" if shown == wish.track_id else "pinned track is off"
        return "nobody left to show" if shown is None else self.ranking.explain(shown)

    def _unpin(self, session: Session, wish: SlotWish) -> None:
        if wish.track_id is not None and wish.track_id in self._pins:
            self._pins[wish.track_id].pop(session, None)
            if not self._pins[wish.track_id]:
                del self._pins[wish.track_id]

    # -- which sessions are looked at ----------------------------------------------------------------------------

    def _on_ranking(self, *, members: bool) -> None:
        self._order_changed = True
        self._members_changed |= members
        self._schedule()

    def _look_at(self, *sessions: Session) -> None:
        self._queue.update(dict.fromkeys(sessions))
        self._schedule()

    def _schedule(self) -> None:
        if self._turn is None:
            self._turn = asyncio.get_running_loop().call_soon(self.settle)

    def _queue_affected(self) -> None:
        if not self._order_changed:
            return
        after = self.ranking.prefix(self._deepest())
        for depth, sessions in self._by_depth.items():
            if self._members_changed if depth is None else set(self._prefix[:depth]) != set(after[:depth]):
                self._queue.update(sessions)
        self._order_changed = self._members_changed = False

    def _deepest(self) -> int:
        return max((depth for depth in self._by_depth if depth is not None), default=0)

    # -- looking at them -----------------------------------------------------------------------------------------

    def settle(self) -> None:
        """One slice of the work; schedules the next."""
        self.stop()
        self._queue_affected()
        end_us = self._now_us() + SLICE_US
        try:
            while self._queue:
                session, _ = self._queue.popitem(last=False)
                self._settle_session(session)
                if self._now_us() >= end_us:
                    break
        finally:
            self._prefix = self.ranking.prefix(self._deepest())
            if self._queue:
                self._schedule()

    def stop(self) -> None:
        """Forgets the next slice."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _settle_session(self, session: Session) -> None:
        mids = self._video[session]
        views = []
        for mid in mids:
            wish = session.wishes.get(mid, NO_WISH)
            views.append(SlotView(mid, session.shown[mid], wish.track_id, wish.paused or not session.subscribes))

        def can_show(slot: SlotView, track: TrackView) -> bool:
            published = self._find_track(track.id)
            return published is not None and session.slots[slot.mid].can_show(published.track)

        result = assign_tracks(views, self.ranking, receiver_id=session.participant.id, can_show=can_show)
        self._file(session, result.depth)
        told = self._untold.pop(session, set())
        for slot, track_id in zip(views, result.shows, strict=True):
            if slot.shows != track_id:
                self._show(session, slot.mid, track_id)
                told.add(slot.mid)
            self._weigh(session, slot, track_id)
        if told:
            self._tell_slots(session, [mid for mid in mids if mid in told])

    def _show(self, session: Session, mid: str, track_id: str | None) -> None:
        published = self._find_track(track_id)
        try:
            session.slots[mid].assign(published.track if published else None)
        except RouterError:
            # The connection is going away; its `disconnected` ends the session.
            logger.debug("slot refused a track", exc_info=True, extra={"room": session.room.name})
        session.shown[mid] = track_id

    def _weigh(self, session: Session, slot: SlotView, track_id: str | None) -> None:
        """What was pinned goes before a shared screen, and that before cameras, when bandwidth is short."""
        track = None if track_id is None else self.ranking.get(track_id)
        is_screen = track is not None and track.source == "screen"
        priority: Priority = "pinned" if slot.pin is not None else "preferred" if is_screen else "ordinary"
        with suppress(RouterError):
            session.slots[slot.mid].set_priority(priority, "detail" if is_screen else "motion")

    def _file(self, session: Session, depth: int | None) -> None:
        self._unfile(session)
        self._depths[session] = depth
        self._by_depth.setdefault(depth, {})[session] = None

    def _unfile(self, session: Session) -> None:
        if session in self._depths:
            depth = self._depths.pop(session)
            del self._by_depth[depth][session]
            if not self._by_depth[depth]:
                del self._by_depth[depth]
