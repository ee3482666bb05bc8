import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.admin.conftest import Router, census, counters, ways


async def scrape(client: httpx.AsyncClient) -> dict[str, dict[tuple[str, ...], float]]:
    reply = await client.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(reply.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


async def test_engine_totals_are_summed_over_workers(router: Router, client: httpx.AsyncClient) -> None:
    router.workers = [
        counters(
            0, rtp_packets_received=5, datagrams_received=9, dropped={"replay": 1, "auth-failed": 0}, busy_us=1_500_000
        ),
        counters(
            1,
            rtp_packets_received=7,
            rtp_packets_sent=3,
            dropped={"replay": 2, "auth-failed": 4},
            kernel_drops=9,
            gso_segments=8,
            send_dropped={"control": 0, "audio": 0, "video_key": 1, "video": 5, "video_layer": 6},
        ),
        counters(2, gro_segments=50, gro_datagrams=6, receive_buffer_bytes=212_992, send_buffer_bytes=65_536),
    ]
    metrics = await scrape(client)
    assert metrics["sfu_rtp_packets_total"] == {("in",): 12, ("out",): 3}
    assert metrics["sfu_datagrams_total"] == {("in",): 9, ("out",): 0}
    assert metrics["sfu_rtp_packets_dropped_total"] == {("replay",): 3, ("auth-failed",): 4}
    assert metrics["sfu_kernel_drops_total"] == {("0",): 0, ("1",): 9, ("2",): 0}
    assert (metrics["sfu_gro_datagrams_total"][("2",)], metrics["sfu_gro_segments_total"][("2",)]) == (6, 50)
    assert metrics["sfu_receive_buffer_bytes"][("2",)] == 212_992
    assert metrics["sfu_send_buffer_bytes"][("2",)] == 65_536
    assert metrics["sfu_gso_segments_total"] == {("0",): 0, ("1",): 8, ("2",): 0}
    assert metrics["sfu_send_dropped_total"][("video",)] == 5
    assert metrics["sfu_worker_busy_seconds_total"][("0",)] == 1.5
    assert metrics["sfu_engine_up"][()] == 1


async def test_forward_delay_is_cumulative(router: Router, client: httpx.AsyncClient) -> None:
    router.workers = [counters(forward_delay_us=[1, 2, 0, 0, 0, 0, 0, 0, 0, 4], forward_delay_sum_us=700_000)]
    metrics = await scrape(client)
    buckets = metrics["sfu_forward_delay_seconds_bucket"]
    assert metrics["sfu_forward_delay_seconds_sum"][()] == 0.7
    assert buckets[("5e-05",)] == 1
    assert buckets[("0.0001",)] == 3
    assert buckets[("+Inf",)] == 7


async def test_quality_is_summed_over_workers(router: Router, client: httpx.AsyncClient) -> None:
    good = {"buckets": [0, 0, 0, 0, 1, 0, 0, 2], "sum": 12.5}
    poor = {"buckets": [1, 0, 0, 0, 0, 0, 0, 0], "sum": 1.0}
    shown = {"180": 1, "720": 4, "none": 0}
    router.workers = [
        counters(0, census=census(video_sent=good, freezes=2, frozen_us=1_500_000, pictures=shown)),
        counters(1, census=census(video_sent=poor, freezes=1, limited={"none": 3, "bandwidth": 1, "size": 0})),
    ]
    metrics = await scrape(client)
    buckets = metrics["sfu_quality_score_bucket"]
    assert [buckets[("out", "video", bound)] for bound in ("1.2", "3.1", "3.6", "4.3", "+Inf")] == [1, 1, 2, 2, 4]
    assert metrics["sfu_quality_score_count"] == {
        ("in", "audio"): 0,
        ("out", "audio"): 0,
        ("in", "video"): 0,
        ("out", "video"): 4,
    }
    assert metrics["sfu_quality_score_sum"][("out", "video")] == 13.5
    assert (metrics["sfu_freezes_total"][()], metrics["sfu_frozen_seconds_total"][()]) == (3, 1.5)
    assert metrics["sfu_video_slots_limited"] == {("none",): 3, ("bandwidth",): 1, ("size",): 0}
    assert metrics["sfu_video_slots_shown"] == {("180",): 1, ("720",): 4, ("none",): 0}


async def test_rooms_and_durations(router: Router, client: httpx.AsyncClient) -> None:
    room = router.registry.create_room("a")
    router.registry.add_session(router.add_session(room, "ada"))
    published, shown = {"audio": 1, "video": 2}, {"audio": 3, "video": 4}
    router.workers = [counters(census=census(tracks=published, subscriptions=shown))] * 2
    router.metrics.record_moderation("mute")
    router.metrics.record_join(0.2)
    router.metrics.record_handshake(0.04)
    router.metrics.record_handshake(3, "failed")
    metrics = await scrape(client)
    assert (metrics["sfu_rooms"][()], metrics["sfu_participants"][()], metrics["sfu_forks"][()]) == (1, 1, 1)
    assert metrics["sfu_tracks_published"] == {("audio",): 2, ("video",): 4}
    assert metrics["sfu_subscriptions"] == {("audio",): 6, ("video",): 8}
    assert metrics["sfu_moderation_actions_total"][("mute",)] == 1
    assert metrics["sfu_join_duration_seconds_count"][()] == 1
    handshakes = {result: count for (result,), count in metrics["sfu_dtls_handshakes_total"].items()}
    assert handshakes == {"ok": 1, "failed": 1, "timeout": 0, "fingerprint-mismatch": 0, "abandoned": 0}
    assert metrics["sfu_dtls_handshake_duration_seconds_count"][()] == 1
    assert list(metrics["sfu_build_info"].values()) == [1]


async def test_ways_by_direction(router: Router, client: httpx.AsyncClient) -> None:
    spread = {"buckets": [5, 0, 0, 0, 0, 0, 1, 0, 0, 2], "sum": 1.25}
    sent = ways(loss=spread, lost_packets={"audio": 1, "video": 9})
    received = ways(round_trip=spread)
    router.workers = [counters(census=census(sent=sent, received=received)), counters(census=census(sent=sent))]
    metrics = await scrape(client)
    loss = metrics["sfu_rtp_loss_ratio_bucket"]
    assert [loss[("out", bound)] for bound in ("0.0", "0.05", "0.1", "0.5", "+Inf")] == [10, 10, 12, 12, 16]
    assert (loss[("in", "+Inf")], metrics["sfu_rtp_loss_ratio_sum"][("out",)]) == (0, 2.5)
    assert metrics["sfu_round_trip_seconds_count"] == {("in",): 8, ("out",): 0}
    assert metrics["sfu_rtp_packets_lost_total"][("out", "video")] == 18


async def test_known_labels_are_there_before_anything_happens(router: Router, client: httpx.AsyncClient) -> None:
    metrics = await scrape(client)
    assert metrics["sfu_join_failures_total"][("no-check", "ice")] == 0
    assert metrics["sfu_peers_lost_total"][("consent-expired",)] == 0
    assert set(metrics["sfu_sessions_started_total"]) == {("whip",), ("whep",), ("fork",)}


async def test_a_dead_engine_does_not_hide_the_rest(router: Router, client: httpx.AsyncClient) -> None:
    router.engine_alive = False
    metrics = await scrape(client)
    assert metrics["sfu_engine_up"][()] == 0
    assert metrics["sfu_rooms"][()] == 0


async def test_labels_never_name_users(router: Router, client: httpx.AsyncClient) -> None:
    router.add_session(router.registry.create_room("canary-room"), "canary-identity")
    text = (await client.get("/metrics")).text
    assert "canary" not in text
    assert "_created" not in text
