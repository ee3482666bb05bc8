"""The link bench without browsers: what scenes say of a link, what samples and summaries make of counters, the plot."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.link import Direction, Shape, Use
from loadtest.links.camera import FRAMES_PER_SECOND, Camera
from loadtest.links.plot import draw_run
from loadtest.links.readings import Reading, RouterView
from loadtest.links.samples import Sample, make_sample
from loadtest.links.scene_run import SceneRun
from loadtest.links.scenes import SCENES, find_scenes
from loadtest.links.slow_receiver import Phase, compare
from loadtest.links.summary import Repair, judge, summarise


def reading(number: int, **changes: object) -> Reading:
    """Half a second after the one before: 10 frames, 62,500 bytes, 24,000 samples of which 240 were made up."""
    video = {
        "bytesReceived": 60_000 * number,
        "headerBytesReceived": 2_500 * number,
        "framesReceived": 10 * number,
        "framesDecoded": 10 * number,
        "jitterBufferDelay": 0.5 * number,
        "jitterBufferEmittedCount": 10 * number,
        "frameWidth": 640,
        "frameHeight": 360,
        "packetsLost": number,
        "retransmittedPacketsReceived": number * 3 // 4,
    }
    audio = {
        "totalSamplesReceived": 24_000 * number,
        "concealedSamples": 300 * number,
        "silentConcealedSamples": 60 * number,
    }
    stream = {"qualityLimitationReason": "none", "framesPerSecond": FRAMES_PER_SECOND}
    made = Reading(
        time_s=0.5 * number,
        video=video,
        audio=audio,
        longest_gap_ms=60,
        torn=0,
        shown=[(number, 1_000.0 + 500 * number + 180)],
        drawn={number: 1_000.0 + 500 * number},
        streams=[stream],
        router=RouterView(
            1_500_000, {}, "the best layer", 1_000_000, {"nackCount": number}, {"nack-budget": 2 * number}
        ),
        down=Use(bytes=62_500, lost=1, overflowed=0, queue_us=40_000),
        busy_s=0.4 * number,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch) -> list[Sample]:
    """Twelve seconds on two cores."""
    monkeypatch.setattr("loadtest.links.samples.cores", lambda: 2)
    return [make_sample(reading(number), reading(number + 1), 1_250_000) for number in range(24)]


def test_scenes_have_names_seeds_and_links_of_their_own() -> None:
    assert len({scene.name for scene in SCENES}) == len({scene.seed for scene in SCENES}) == len(SCENES)
    (steps,) = find_scenes("steps")
    assert [steps.capacity_bps(at_s, 60) for at_s in (0, 19.9, 20, 41)] == [2_500_000, 2_500_000, 600_000, 2_500_000]
    (outage,) = find_scenes("outage")
    assert [outage.capacity_bps(at_s, 60) for at_s in (19, 21, 23.5)] == [2_500_000, 0, 2_500_000]
    with pytest.raises(SystemExit, match="unknown scenes: nowhere"):
        find_scenes("steps,nowhere")


@given(st.sampled_from(SCENES), st.floats(6, 600))
def test_steps_come_in_order_whatever_the_length(scene: object, seconds: float) -> None:
    assert scene in SCENES
    begins = [step.begins_s(seconds) for step in scene.steps]
    assert begins == sorted(begins)
    assert begins[0] == 0


def test_a_direction_tells_what_it_did_since_the_last_time() -> None:
    direction = Direction(Shape(rate_bps=8_000, queue_bytes=2_000), seed=1)
    for _ in range(4):
        direction.handle_packet(bytes(1_000), 0)
    while (due := direction.poll_timeout()) is not None:
        direction.poll_packet(due)
    # The second packet waits a second for the first; the queue has no room for a third.
    assert direction.take_use() == Use(bytes=2_000, lost=0, overflowed=2, queue_us=1_000_000)
    assert direction.take_use() == Use()


def test_a_sample_is_the_difference_of_two_readings(samples: list[Sample]) -> None:
    sample = samples[3]
    assert (sample.time_s, sample.carried_bps, sample.received_bps) == (2.0, 1_000_000, 1_000_000)
    assert (sample.frames_per_s, sample.width, sample.height) == (20.0, 640, 360)
    assert (sample.jitter_buffer_ms, sample.delay_ms, sample.queue_ms) == (50.0, 180.0, 40.0)
    assert (sample.audio_samples, sample.audio_concealed) == (24_000, 240)
    assert (sample.estimate_bps, sample.idle) == (1_500_000, 0.6)


def test_a_run_is_summed_up(samples: list[Sample]) -> None:
    found = summarise(reading(0), reading(24), samples)
    assert (found.seconds, found.received_bps, found.used_share) == (12.0, 1_000_000, 0.8)
    assert found.audio_concealed == 0.01
    assert found.heights == {360: 1.0}
    assert found.undecoded == 0
    assert found.inconclusive == []
    assert found.repair == Repair(
        lost_on_link=24,
        overflowed_on_link=0,
        nacks_sent=0,
        asked_again=24,
        retransmitted=0,
        repaired=18,
        lost_video=24,
        unrepaired=6,
        given_up={"nack-budget": 48},
    )


def test_what_nobody_asked_for_was_given_up_by_the_browser(samples: list[Sample]) -> None:
    last = reading(24)
    silent = replace(last, router=replace(last.router, sent={**last.router.sent, "nackCount": 20}))
    asked = summarise(reading(0), silent, samples).repair
    assert (asked.lost_video, asked.asked_again, asked.unrepaired) == (24, 20, 6)
    assert asked.given_up["not-asked-for"] == 4


def test_a_long_queue_is_told_by_its_longest_time(samples: list[Sample]) -> None:
    queues = [0, 400, 400, 0, 500, 500, 500, 0]
    some = [replace(sample, queue_ms=queue) for sample, queue in zip(samples, queues, strict=False)]
    assert summarise(reading(0), reading(8), some).queue_over_300_ms_s == 1.5


def test_a_busy_machine_says_nothing(samples: list[Sample]) -> None:
    assert judge(samples) == []
    assert "saturated" in judge([replace(sample, idle=0.01) for sample in samples[:6]] + samples[6:])[0]
    assert "limited by its CPU" in judge([replace(samples[0], publisher_limited=True), *samples[1:]])[0]
    assert "of 20 frames" in judge([replace(sample, publisher_frames_per_s=12) for sample in samples])[0]


def test_the_router_is_read_with_and_without_an_estimate() -> None:
    slot = {"type": "outbound-rtp", "mid": "v0", "reason": "largest", "bitrate": 5}
    transport = {"type": "transport", "dropped": {"pacer-full": 1}}
    assert RouterView.parse([transport, slot]) == RouterView(None, {}, "largest", 5, slot, {"pacer-full": 1})
    pair = {"type": "candidate-pair", "availableOutgoingBitrate": 7}
    assert RouterView.parse([transport, pair, slot]).estimate_bps == 7


def test_the_others_are_compared_with_themselves() -> None:
    alone = Phase("nine", 1_000_000, 1.0, None, None, 0.5)
    with_slow = Phase("ten", 990_000, 0.99, 400_000, 180, 0.5)
    found = compare([alone, with_slow, replace(alone, others_bps=1_020_000, idle=0.1)])
    assert found.change == pytest.approx(-0.0198, abs=1e-4)
    assert found.change_of_published == pytest.approx(-0.01)
    assert found.noise == pytest.approx(0.02)
    assert found.inconclusive == ["nine: the machine was idle 10% of the time"]


def test_a_run_is_drawn(samples: list[Sample]) -> None:
    frozen = [*samples[:4], replace(samples[4], freezes=1, estimate_bps=None, delay_ms=None), *samples[5:]]
    run = SceneRun(SCENES[0], 12.0, frozen, summarise(reading(0), reading(24), frozen))
    picture = ET.fromstring(draw_run(run))
    texts = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"link", "estimate", "decoded", "canvas to screen", "10 s"} <= set(texts)
    red = [rect for rect in picture.iter("{http://www.w3.org/2000/svg}rect") if rect.get("fill") == "#f6c9cf"]
    assert len(red) == 4


def test_cameras_are_simulcast_or_one_scalable_stream() -> None:
    assert set(Camera("VP8").encodings) == {"q", "h", "f"}
    assert "scalabilityMode" not in Camera("H264").encodings["f"]
    assert Camera("VP9").encodings["f"]["scalabilityMode"] == "L1T3"
    assert list(Camera("AV1", "L2T3").encodings) == [""]
