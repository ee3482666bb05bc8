"""What of a publisher's video is in use, told to those publishers that said they follow it (others call it dynacast).

A client follows by one of its events connections, for one session. While it does, layers that nobody is shown may pause
at the publisher, and the engine takes their silence for what it is. Whoever does not follow, such as a plain WHIP
encoder, is told nothing and sends everything; so does, from the router's view, a client whose events connection ended.
"""

from collections.abc import Iterable
from typing import Any

from router.rooms.participant import PublishedTrack
from router.rooms.roster import Watcher, write_message
from router.rooms.session import Session


class Demand:
    """The sessions of one room whose publishers follow."""

    def __init__(self) -> None:
        self._followers: dict[Session, Watcher] = {}

    def follow(self, session: Session, watcher: Watcher, follows: bool) -> None:
        """The client behind this watcher follows for a session, or does not any more. The latest one counts."""
        if not follows:
            self._unfollow(session)
            return
        self._followers[session] = watcher
        for published in _videos(session):
            published.track.follow_demand(True)
        self._tell(session, _videos(session))

    def on_wanted(self, published: PublishedTrack) -> None:
        """Other layers of a track are in use than before."""
        self._tell(published.session, [published])

    def forget_watcher(self, watcher: Watcher) -> None:
        """Nobody can be told by it any more."""
        for session in [session for session, follower in self._followers.items() if follower is watcher]:
            self._unfollow(session)

    def forget_session(self, session: Session) -> None:
        """It has ended."""
        self._followers.pop(session, None)

    def _unfollow(self, session: Session) -> None:
        if self._followers.pop(session, None) is not None:
            for published in _videos(session):
                published.track.follow_demand(False)

    def _tell(self, session: Session, tracks: Iterable[PublishedTrack]) -> None:
        follower = self._followers.get(session)
        described = {published.mid: describe_demand(published) for published in tracks}
        if follower is not None and described:
            follower.send(write_message({"type": "demand", "session": session.id, "tracks": described}))


def describe_demand(published: PublishedTrack) -> list[dict[str, Any]]:
    """Each encoding in the order of the m-line, and whether anybody is shown it."""
    wanted = published.track.wanted
    return [{"rid": rid, "wanted": wanted is None or index in wanted} for index, rid in enumerate(published.track.rids)]


def _videos(session: Session) -> list[PublishedTrack]:
    return [published for published in session.tracks.values() if published.kind == "video"]
