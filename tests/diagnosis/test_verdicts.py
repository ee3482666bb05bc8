"""What each snapshot means: one line for each thing that can be wrong, and that the first cause is the one named."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.diagnosis.facts import (
    DtlsFacts,
    EncodingFacts,
    EndFacts,
    IceFacts,
    LinkFacts,
    PathFacts,
    PeerFacts,
    QualityFacts,
    RightsFacts,
    SlotFacts,
    SrtpFacts,
    TrackFacts,
)
from router.diagnosis.media_verdicts import JUDGES, judge, judge_down, judge_events, judge_rights, judge_up, summarize
from router.diagnosis.transport_verdicts import judge_dtls, judge_ice, judge_srtp

FROZEN = QualityFacts(score=1.1, category="lost", impairment="freezes")
FAIR = QualityFacts(score=3.0, category="fair", impairment="delay")
ANNOUNCED = ("10.0.0.5:8080",)
GONE = EndFacts(reason="left", ago_s=3)


def path(**changes: Any) -> PathFacts:
    values: dict[str, Any] = {
        "local": "10.0.0.5:8080",
        "remote": "198.51.100.7:4000",
        "validated": True,
        "nominated": True,
        "selected": True,
        "checks_received": 3,
        "challenges_sent": 2,
        "answers_received": 2,
        "last_alive_s": 0.2,
    }
    return PathFacts(**(values | changes))


def good_ice(**changes: Any) -> IceFacts:
    values: dict[str, Any] = {
        "local_candidates": ANNOUNCED,
        "checks_received": 3,
        "paths": (path(),),
        "selected_s": 20.0,
        "last_consent_s": 0.1,
        "pair_changes": 1,
    }
    return IceFacts(**(values | changes))


def encoding(**changes: Any) -> EncodingFacts:
    return EncodingFacts(**({"packets": 500, "bitrate_bps": 800_000, "last_packet_s": 0.0, "key_frames": 2} | changes))


def track(**changes: Any) -> TrackFacts:
    values: dict[str, Any] = {"mid": "1", "track_id": "T_1", "kind": "video", "encodings": (encoding(),)}
    return TrackFacts(**(values | changes))


def slot(**changes: Any) -> SlotFacts:
    values: dict[str, Any] = {"mid": "4", "kind": "video", "track_id": "T_2", "layer": 1, "packets": 500}
    return SlotFacts(**(values | changes))


GOOD = PeerFacts(
    state="connected",
    age_s=21.0,
    ice=good_ice(),
    dtls=DtlsFacts(state="connected", fingerprint="match", began_s=20.0, handshake_s=0.04),
    srtp=SrtpFacts(keyed=True, profile="AEAD_AES_128_GCM", packets_accepted=500),
    tracks=(track(),),
    slots=(slot(),),
    events=1,
    rights=RightsFacts(names=("canPublish", "canSubscribe")),
)


def peer(**changes: Any) -> PeerFacts:
    return replace(GOOD, **changes)


def silent(age_s: float, candidates: tuple[str, ...] = ANNOUNCED, **changes: Any) -> PeerFacts:
    return PeerFacts(age_s=age_s, ice=IceFacts(local_candidates=candidates, **changes))


def unproven(age_s: float, **changes: Any) -> PeerFacts:
    paths = (path(selected=False, validated=False, answers_received=0, challenges_sent=7),)
    return PeerFacts(age_s=age_s, ice=good_ice(paths=paths, selected_s=None, **changes))


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (GOOD, "ok", "media goes to 198.51.100.7:4000"),
        (peer(plain=True), "not applicable", "plain RTP peer"),
        (silent(1.0), "waiting", "no STUN check yet"),
        (
            silent(12.0, ("203.0.113.5:8080",)),
            "broken",
            "no STUN check arrived from the peer for 12 s: UDP blocked, or announced address wrong: 203.0.113.5:8080",
        ),
        (silent(12.0), "broken", "10.0.0.5:8080 (private: peers outside"),
        (silent(12.0, ("[::1]:8080", "127.0.0.1:8080")), "broken", "(loopback: only this machine"),
        (silent(12.0, ("198.51.100.1:1", "10.0.0.5:8080")), "broken", "198.51.100.1:1, 10.0.0.5:8080"),
        (replace(silent(0.5), ended=GONE), "broken", "no STUN check arrived"),
        (silent(12.0, ()), "broken", "announced no candidate"),
        (silent(1.0, checks_refused={"bad-integrity": 4}), "broken", "4 STUN checks"),
        (silent(1.0, checks_refused={"foreign-peer": 1}), "broken", "another peer than the one whose SDP"),
        (silent(1.0, checks_refused={"role-conflict": 1}), "broken", "controlled role"),
        (unproven(1.0), "waiting", "our own are on their way"),
        (unproven(9.0), "broken", "none of our 7 to there was answered"),
        (unproven(9.0, described=False), "waiting", "answer with the peer's own credentials"),
        (PeerFacts(age_s=90, ice=good_ice(paths=(), last_check_s=61.0)), "broken", "61 s ago: the peer went away"),
        (peer(ice=good_ice(last_consent_s=8.0)), "waiting", "for 8 s: the peer is asleep"),
        (peer(ice=good_ice(last_consent_s=17.0)), "broken", "the session ends after 30 s"),
        (peer(ice=good_ice(pair_changes=3, round_trip_s=0.031)), "ok", "round trip 31 ms, after 2 changes of address"),
    ],
)
def test_ice(facts: PeerFacts, verdict: str, said: str) -> None:
    judged = judge_ice(facts)
    assert judged.verdict == verdict
    assert said in judged.sentence


def dtls(ice: IceFacts | None = None, ended: EndFacts | None = None, **changes: Any) -> PeerFacts:
    return peer(dtls=DtlsFacts(**changes), ice=ice or good_ice(), ended=ended)


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (GOOD, "ok", "took 40 ms, we were the server, the fingerprint is right"),
        (peer(plain=True), "not applicable", "agreed beforehand"),
        (dtls(ice=IceFacts()), "waiting", "see ICE"),
        (dtls(ice=good_ice(selected_s=1.0)), "waiting", "ClientHello is not yet"),
        (dtls(), "broken", "worked for 20 s, but no ClientHello came"),
        (dtls(ice=good_ice(selected_s=1.0), ended=GONE), "broken", "no ClientHello came"),
        (dtls(state="handshaking", began_s=1.0), "waiting", "under way"),
        (
            dtls(state="handshaking", began_s=9.0, datagrams_received=2, datagrams_sent=6),
            "broken",
            "after 9 s: 2 datagrams received, 6 sent; if those sent do not arrive",
        ),
        (dtls(state="handshaking", began_s=1.0, alert=42), "broken", "alert 42 (bad_certificate"),
        (dtls(state="handshaking", began_s=9.0, reason="no shared cipher"), "broken", "no shared cipher"),
        (dtls(state="failed", reason="no SRTP profile in common"), "broken", "no SRTP profile in common"),
        (dtls(state="failed", reason="x", alert=199), "broken", "alert 199 (see RFC 8446"),
        (dtls(state="connected"), "waiting", "answer with the peer's fingerprint"),
        (dtls(state="connected", fingerprint="mismatch"), "broken", "a=fingerprint"),
        (dtls(state="closed", reason="closed by the peer"), "ok", "closed by the peer"),
    ],
)
def test_dtls(facts: PeerFacts, verdict: str, said: str) -> None:
    judged = judge_dtls(facts)
    assert judged.verdict == verdict
    assert said in judged.sentence


def srtp(accepted: int, **dropped: int) -> PeerFacts:
    reasons = {reason.replace("_", "-"): count for reason, count in dropped.items()}
    return peer(srtp=SrtpFacts(keyed=True, profile="AES128_CM_SHA1_80", packets_accepted=accepted, dropped=reasons))


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (GOOD, "ok", "keyed with AEAD_AES_128_GCM, 500 media packets were right"),
        (PeerFacts(srtp=SrtpFacts(dropped={"rtp-before-keys": 3})), "waiting", "3 packets came too early"),
        (srtp(0, srtp_auth=50), "broken", "50 packets failed authentication, 0 did not"),
        (srtp(1000, srtp_auth=50), "ok", "but for 50 bad ones"),
        (srtp(0, unknown_stream=9), "broken", "9 packets belong to no m-line (unknown-stream 9)"),
        (srtp(10, unknown_payload_type=9), "broken", "unknown-payload-type 9"),
        (srtp(100, ssrc_limit=1), "broken", "more SSRCs"),
        (srtp(100, srtp_replay=90), "broken", "repetitions"),
        (srtp(1000, srtp_replay=9), "ok", "but for 9 bad ones"),
    ],
)
def test_srtp(facts: PeerFacts, verdict: str, said: str) -> None:
    judged = judge_srtp(facts)
    assert judged.verdict == verdict
    assert said in judged.sentence


def publishes(*encodings: EncodingFacts, **changes: Any) -> PeerFacts:
    return peer(tracks=(track(encodings=encodings, **changes),))


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (GOOD, "ok", "video of mid 1: 800 kbit/s"),
        (peer(tracks=()), "not applicable", "publishes nothing"),
        (peer(srtp=SrtpFacts()), "waiting", "see DTLS"),
        (peer(engine_read=False), "waiting", "engine was not asked"),
        (publishes(encoding(), allowed=False), "broken", "no right to publish it"),
        (publishes(encoding(last_packet_s=60.0), moderated=True), "ok", "muted by a moderator"),
        (publishes(), "broken", "no packet in 20 s: the peer sends nothing on this m-line"),
        (replace(publishes(), ice=good_ice(selected_s=2.0)), "waiting", "no packet yet"),
        (publishes(muted=True), "ok", "before its first packet"),
        (replace(publishes(), srtp=srtp(0, srtp_auth=30).srtp), "broken", "30 packets were dropped instead: see SRTP"),
        (publishes(encoding(last_packet_s=7.0)), "broken", "the last packet came 7 s ago, 500 came before"),
        (publishes(encoding(last_packet_s=7.0), encoding(last_packet_s=0.5)), "ok", "kbit/s"),
        (publishes(encoding(last_packet_s=7.0), muted=True), "ok", "muted by its publisher"),
        (publishes(encoding(last_packet_s=7.0, wanted=False)), "ok", "because nobody is shown it"),
        (publishes(encoding(lost=125)), "broken", "20% of its packets are lost"),
        (publishes(encoding(packets=40, lost=10)), "ok", "kbit/s"),
        (
            publishes(encoding(key_frames=0, key_frame_requests=6)),
            "broken",
            "no key frame in 500 packets, 6 were asked",
        ),
        (publishes(encoding(key_frames=0), kind="audio"), "ok", "kbit/s"),
        (publishes(encoding(), quality=FROZEN), "broken", "rated lost, 1.1 of 4.5, for pictures that stand still"),
        (publishes(encoding(), quality=FAIR), "ok", "rated fair"),
        (peer(tracks=(track(mid="0"), track(mid="7", allowed=False))), "broken", "video of mid 7: its publisher"),
    ],
)
def test_streams_up(facts: PeerFacts, verdict: str, said: str) -> None:
    judged = judge_up(facts)
    assert judged.verdict == verdict
    assert said in judged.sentence


def shows(*slots: SlotFacts, **link: Any) -> PeerFacts:
    return peer(slots=slots, link=LinkFacts(**link) if link else None)


THIN = {"limited": True, "limited_by": "delay", "estimate_bps": 840_000, "ideal_bps": 2_500_000}


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (GOOD, "ok", "1 of 1 slots show something"),
        (shows(), "not applicable", "receives nothing"),
        (peer(rights=RightsFacts(may_subscribe=False)), "not applicable", "no right to subscribe"),
        (peer(srtp=SrtpFacts()), "waiting", "see DTLS"),
        (peer(engine_read=False), "waiting", "engine was not asked"),
        (shows(slot(), slot(mid="5", fraction_lost=0.23)), "broken", "slot 5 loses 23%"),
        (shows(slot(packets=10, fraction_lost=0.5)), "ok", "1 of 1"),
        (
            shows(slot(), **THIN),
            "broken",
            "carries 840 kbit/s (limited by delay), all that is to be shown would take 2500",
        ),
        (shows(slot(), **(THIN | {"ideal_bps": 1_000_000})), "ok", "smaller layers are shown"),
        (
            shows(slot(), slot(mid="5", layer=None, limited_by="bandwidth"), **(THIN | {"ideal_bps": 1_000_000})),
            "broken",
            "slots 5 show nothing",
        ),
        (shows(slot(), slot(mid="5", quality=FROZEN)), "broken", "slot 5 (T_2) is rated lost"),
        (shows(slot(quality=FROZEN), **(THIN | {"ideal_bps": 1_000_000})), "broken", "rated lost"),
        (shows(slot(quality=FAIR)), "ok", "1 of 1"),
        (shows(slot(limited_by="codec", layer=None)), "broken", "slots 4: the peer accepts no codec"),
        (shows(slot(limited_by="publisher", layer=None, waiting=True)), "waiting", "4 (T_2) wait for publishers"),
        (shows(slot(layer=None, waiting=True)), "waiting", "4 (T_2) wait for a key frame"),
        (shows(slot(layer=None, track_id=None)), "ok", "nothing to show"),
    ],
)
def test_streams_down(facts: PeerFacts, verdict: str, said: str) -> None:
    judged = judge_down(facts)
    assert judged.verdict == verdict
    assert said in judged.sentence


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (peer(events=2), "ok", "2 events WebSockets"),
        (peer(events=0, endpoint="whip"), "not applicable", "WHIP and WHEP"),
        (peer(events=0, ended=GONE), "not applicable", "any more"),
        (peer(events=0), "broken", "look at the proxy"),
    ],
)
def test_events(facts: PeerFacts, verdict: str, said: str) -> None:
    judged = judge_events(facts)
    assert judged.verdict == verdict
    assert said in judged.sentence


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (GOOD, "ok", "may canPublish, canSubscribe"),
        (peer(rights=RightsFacts(expires_in_s=90)), "ok", "only be there, for 90 s more"),
        (peer(rights=RightsFacts(expires_in_s=9_000)), "ok", "for 2 hours more"),
        (peer(tracks=(track(allowed=False),)), "broken", "no right to publish video of mid 1"),
        (peer(rights=RightsFacts(may_subscribe=False)), "broken", "no right to subscribe"),
    ],
)
def test_rights(facts: PeerFacts, verdict: str, said: str) -> None:
    judged = judge_rights(facts)
    assert judged.verdict == verdict
    assert said in judged.sentence


def test_the_first_cause_is_named() -> None:
    assert summarize(judge(GOOD)).sentence == "everything works"
    whole = summarize(judge(silent(12.0)))
    assert whole.verdict == "broken"
    assert whole.sentence.startswith("ice: no STUN check")
    # No second fault is made of what only follows: the rest waits.
    followed = judge(replace(silent(12.0), endpoint="whip", tracks=(track(encodings=()),), slots=(slot(layer=None),)))
    assert [name for name, one in followed.items() if one.verdict == "broken"] == ["ice"]
    assert summarize(judge(replace(silent(1.0), events=1))).verdict == "waiting"


@given(st.from_type(PeerFacts))
def test_any_snapshot_is_judged_in_one_sentence(facts: PeerFacts) -> None:
    ice = replace(facts.ice, local_candidates=ANNOUNCED, checks_refused={})
    judged = judge(replace(facts, ice=ice))
    assert judged.keys() == JUDGES.keys()
    for one in judged.values():
        assert one.verdict in ("ok", "waiting", "broken", "not applicable")
        assert one.sentence
