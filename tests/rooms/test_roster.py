"""What watchers are told: one welcome, a versioned delta per change, slots for their owner alone."""

from router.rooms import JoinGrant
from tests.rooms.fakes import FakeWatcher, World, fake, publish_offer


async def test_watchers_get_one_welcome_and_a_delta_per_change() -> None:
    world = World()
    await world.publish("ada", "video")
    watcher = FakeWatcher("eve")
    world.room.watch(watcher)
    bob = await world.registry.join("lobby", JoinGrant("lobby", "bob", "Bob"), publish_offer("audio"), "whip")
    fake(bob).connect()
    world.room.declare_tracks(bob, {"0": {"source": "microphone", "muted": True}})
    world.room.declare_tracks(bob, {"0": {"source": "microphone", "muted": True}})
    await world.registry.end_session("lobby", bob.id, "bob")

    welcome, *deltas = watcher.messages
    assert (welcome["type"], welcome["you"], welcome["room"]) == ("welcome", None, "lobby")
    assert [participant["identity"] for participant in welcome["participants"]] == ["ada"]
    assert [delta["type"] for delta in deltas] == ["joined", "changed", "changed", "left"]
    version = welcome["version"]
    assert [delta["version"] for delta in deltas] == [version + 1 + i for i in range(4)]
    contributor = bob.tracks["0"].track.contributor
    track = {"id": f"T_{contributor:08x}", "kind": "audio", "mid": "0", "contributor": contributor}
    assert deltas[2]["participant"] == {
        "id": bob.participant.id,
        "identity": "bob",
        "name": "Bob",
        "metadata": "",
        "recorder": False,
        "tracks": [{**track, "source": "microphone", "live": True, "muted": True, "moderated": False}],
    }
    assert deltas[3] == {"type": "left", "version": version + 4, "participant_id": bob.participant.id, "reason": "left"}


async def test_slots_are_told_to_their_owner_alone() -> None:
    world = World()
    ada = await world.publish("ada", "video")
    eve = await world.play("eve", "video")
    await world.settle()
    owner, other = FakeWatcher("eve"), FakeWatcher("ada")
    world.room.watch(owner)
    world.room.watch(other)
    await world.registry.end_session("lobby", ada.id, "ada")

    told = [message for message in owner.messages if message["type"] == "slots"]
    assert [message["session"] for message in told] == [eve.id, eve.id]
    assert [message["slots"][0]["participant_id"] for message in told] == [ada.participant.id, None]
    assert eve.id not in "".join(other.texts)
    assert ada.id not in "".join(owner.texts)


async def test_a_second_session_is_news_only_for_what_it_publishes() -> None:
    world = World()
    watcher = FakeWatcher("eve")
    world.registry.create_room("lobby").watch(watcher)
    await world.publish("ada", "video")
    await world.play("ada", "video")
    assert [message["type"] for message in watcher.messages] == ["welcome", "joined", "changed"]

    second = await world.publish("ada", "audio")
    await world.registry.end_session("lobby", second.id, "ada")
    assert [message["type"] for message in watcher.messages[3:]] == ["changed", "changed"]
    assert [len(message["participant"]["tracks"]) for message in watcher.messages[1:]] == [0, 1, 2, 1]


async def test_a_new_name_in_the_token_renames() -> None:
    world = World()
    await world.publish("ada", "video")
    await world.registry.join("lobby", JoinGrant("lobby", "ada", "Countess"), publish_offer("audio"), "whip")
    assert world.room.participants["ada"].describe()["name"] == "Countess"
