"""The room's order of video tracks, step by step and against a plain sort."""

from hypothesis import given
from hypothesis import strategies as st

from router.rooms.ranking import Ranking, TrackView
from router.rooms.sources import Source


def make(*tracks: TrackView) -> Ranking:
    ranking = Ranking()
    for track in tracks:
        ranking.put(track)
    return ranking


def camera(name: str) -> TrackView:
    return TrackView(f"{name}-camera", name)


def screen(name: str) -> TrackView:
    return TrackView(f"{name}-screen", name, "screen")


def order(ranking: Ranking) -> list[str]:
    return [track.id for track in ranking]


def test_screens_then_speakers_then_who_came_first() -> None:
    ranking = make(camera("ada"), camera("bob"), camera("cyd"), screen("dan"), camera("dan"))
    assert order(ranking) == ["dan-screen", "ada-camera", "bob-camera", "cyd-camera", "dan-camera"]

    assert ranking.set_speakers(["cyd", "bob"])
    assert order(ranking) == ["dan-screen", "cyd-camera", "bob-camera", "ada-camera", "dan-camera"]
    reasons = [ranking.explain(track.id) for track in ranking]
    assert reasons == ["screen share", "recent speaker", "recent speaker", "order of joining", "order of joining"]


def test_a_camera_that_comes_back_goes_to_the_end_unless_its_owner_speaks() -> None:
    ranking = make(camera("ada"), camera("bob"), camera("cyd"))
    ranking.discard("ada-camera")
    ranking.put(camera("ada"))
    assert order(ranking) == ["bob-camera", "cyd-camera", "ada-camera"]

    ranking.set_speakers(["cyd"])
    ranking.discard("cyd-camera")
    ranking.put(camera("cyd"))
    assert order(ranking) == ["cyd-camera", "bob-camera", "ada-camera"]


def test_a_speaker_is_seen_by_one_track_the_camera() -> None:
    slides, whiteboard = TrackView("slides", "ada", "unknown"), TrackView("whiteboard", "ada", "unknown")
    ranking = make(camera("bob"), slides, whiteboard)
    ranking.set_speakers(["ada"])
    assert order(ranking) == ["slides", "bob-camera", "whiteboard"]

    ranking.put(camera("ada"))
    assert order(ranking) == ["ada-camera", "bob-camera", "slides", "whiteboard"]


def test_a_change_says_whether_it_was_one() -> None:
    ranking = make(camera("ada"), camera("bob"))
    assert not ranking.put(camera("ada"))
    assert ranking.put(TrackView("ada-camera", "ada", "screen"))
    assert order(ranking) == ["ada-camera", "bob-camera"]
    assert ranking.explain("ada-camera") == "screen share"
    assert ranking.discard("ada-camera")
    assert not ranking.discard("ada-camera")
    assert not ranking.set_speakers(["ada"]), "who shows nothing changes nothing"
    assert ranking.set_speakers(["bob"])
    assert not ranking.set_speakers(["bob", "ada"])


names = st.sampled_from("abcdef")
sources: st.SearchStrategy[Source] = st.sampled_from(["camera", "screen", "unknown"])
steps = st.one_of(
    st.tuples(st.just("put"), names, st.integers(0, 2), sources),
    st.tuples(st.just("discard"), names, st.integers(0, 2)),
    st.tuples(st.just("speakers"), st.lists(names, unique=True, max_size=4)),
)


@given(st.lists(steps, max_size=40))
def test_increments_agree_with_sorting_from_scratch(history: list[tuple]) -> None:  # type: ignore[type-arg]
    ranking, present, speakers = Ranking(), dict[str, TrackView](), list[str]()
    for kind, *arguments in history:
        if kind == "speakers":
            (speakers,) = arguments
            ranking.set_speakers(speakers)
            continue
        track_id = f"{arguments[0]}{arguments[1]}"
        if kind == "put":
            track = TrackView(track_id, arguments[0], arguments[2])
            if present.get(track_id) != track:
                present.pop(track_id, None)
                present[track_id] = track
            ranking.put(track)
        else:
            present.pop(track_id, None)
            ranking.discard(track_id)
    assert order(ranking) == sort_from_scratch(list(present.values()), speakers)
    assert len(ranking) == len(present)
    assert all(ranking.get(track_id) == track for track_id, track in present.items())


def sort_from_scratch(tracks: list[TrackView], speakers: list[str]) -> list[str]:
    screens = [track.id for track in tracks if track.source == "screen"]
    promoted = []
    for speaker in speakers:
        own = [track for track in tracks if track.participant_id == speaker and track.source != "screen"]
        own.sort(key=lambda track: track.source != "camera")
        promoted += [track.id for track in own[:1]]
    return screens + promoted + [t.id for t in tracks if t.id not in {*screens, *promoted}]
