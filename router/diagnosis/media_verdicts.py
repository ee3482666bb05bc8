"""What the snapshot of a peer means for what it publishes and is shown, its events and its rights. Pure functions."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from router.diagnosis.facts import Judgement, LinkFacts, PeerFacts, QualityFacts, SlotFacts, TrackFacts, Verdict
from router.diagnosis.transport_verdicts import judge_dtls, judge_ice, judge_srtp

FIRST_PACKET_S = 5.0
"""Cameras take some time to start."""
GAP_S = 3.0
"""Without a packet: silence in Opus is told several times a second, and encoders make a frame at least each second."""
HEAVY_LOSS = 0.1
MIN_PACKETS = 50
"""Fewer say nothing of loss or key frames."""
SHORT = 0.5
"""A link that carries less than this share of what is to be shown is the trouble, not a detail."""
BAD: Final = ("poor", "lost")
CAUSES: Final = MappingProxyType(
    {
        "none": "nothing in particular",
        "loss": "packets that are lost and never repaired",
        "delay": "long and uneven ways of its packets",
        "size": "a smaller picture than is to be shown",
        "frame-rate": "fewer frames than are to be shown",
        "freezes": "pictures that stand still",
        "paused": "a pause",
    }
)
"""What costs a rating most, by the engine's word."""


def judge_up(peer: PeerFacts) -> Judgement:
    """Whether what the peer publishes arrives."""
    if not peer.tracks:
        return Judgement("not applicable", "publishes nothing: its SDP has no m-line that sends")
    if not peer.srtp.keyed:
        return Judgement("waiting", "no keys: see DTLS")
    if not peer.engine_read:
        return Judgement("waiting", "the engine was not asked")
    judged = [(track, _judge_track(track, peer)) for track in peer.tracks]
    for verdict in ("broken", "waiting"):
        worst = [f"{_name(track)}: {one.sentence}" for track, one in judged if one.verdict == verdict]
        if worst:
            return Judgement(verdict, "; ".join(worst))
    return Judgement("ok", "; ".join(f"{_name(track)}: {one.sentence}" for track, one in judged))


def _name(track: TrackFacts) -> str:
    return f"{track.kind} of mid {track.mid}"


def _judge_track(track: TrackFacts, peer: PeerFacts) -> Judgement:
    if not track.allowed:
        return Judgement("broken", "its publisher has no right to publish it, packets are dropped: see rights")
    if track.moderated:
        return Judgement("ok", "muted by a moderator, nobody is shown it")
    last_s = track.last_packet_s
    if not track.packets or last_s is None:
        return _judge_no_packet(track, peer)
    wanted = any(encoding.wanted for encoding in track.encodings)
    if last_s >= GAP_S and track.muted:
        return Judgement("ok", "muted by its publisher")
    if last_s >= GAP_S and not wanted:
        return Judgement("ok", "paused by its publisher, because nobody is shown it")
    if last_s >= GAP_S:
        return Judgement(
            "broken",
            f"the last packet came {last_s:.0f} s ago, {track.packets} came before: the publisher stopped sending "
            "(device gone, tab asleep, track ended), or its uplink is dead",
        )
    return _judge_flow(track)


def _judge_no_packet(track: TrackFacts, peer: PeerFacts) -> Judgement:
    if track.muted:
        return Judgement("ok", "muted by its publisher before its first packet")
    connected_s = peer.ice.selected_s if peer.ice.selected_s is not None else peer.age_s
    if connected_s < FIRST_PACKET_S and peer.ended is None:
        return Judgement("waiting", "no packet yet")
    elsewhere = peer.srtp.count("unknown-stream", "unknown-payload-type", "srtp-auth")
    why = (
        f"{elsewhere} packets were dropped instead: see SRTP" if elsewhere else "the peer sends nothing on this m-line"
    )
    return Judgement("broken", f"no packet in {connected_s:.0f} s: {why}")


def _judge_flow(track: TrackFacts) -> Judgement:
    lost = sum(max(0, encoding.lost) for encoding in track.encodings)
    share = lost / (track.packets + lost)
    if track.packets >= MIN_PACKETS and share > HEAVY_LOSS:
        return Judgement("broken", f"{share:.0%} of its packets are lost on the way here: look at the peer's uplink")
    keys = sum(encoding.key_frames for encoding in track.encodings)
    if track.kind == "video" and track.packets >= MIN_PACKETS and not keys:
        asked = sum(encoding.key_frame_requests for encoding in track.encodings)
        return Judgement(
            "broken",
            f"no key frame in {track.packets} packets, {asked} were asked for: nobody can be shown it; does the "
            "publisher obey PLI and FIR?",
        )
    if track.quality is not None and track.quality.category in BAD:
        return Judgement(
            "broken", f"{_rate(track.quality)}: look at the peer's uplink, and whether its encoder keeps up"
        )
    rate = sum(encoding.bitrate_bps for encoding in track.encodings)
    return Judgement("ok", f"{rate / 1000:.0f} kbit/s{_mention(track.quality)}")


def _rate(quality: QualityFacts) -> str:
    return f"rated {quality.category}, {quality.score:.1f} of 4.5, for {CAUSES[quality.impairment]}"


def _mention(quality: QualityFacts | None) -> str:
    return "" if quality is None or quality.category == "good" else f", {_rate(quality)}"


def judge_down(peer: PeerFacts) -> Judgement:
    """Whether what the peer is to be shown leaves for it, and arrives."""
    if not peer.slots:
        return Judgement("not applicable", "receives nothing: its SDP has no m-line that receives")
    if not peer.rights.may_subscribe:
        return Judgement("not applicable", "has no right to subscribe: see rights")
    if not peer.srtp.keyed:
        return Judgement("waiting", "no keys: see DTLS")
    if not peer.engine_read:
        return Judgement("waiting", "the engine was not asked")
    lossy = [slot for slot in peer.slots if slot.packets >= MIN_PACKETS and slot.fraction_lost > HEAVY_LOSS]
    if lossy:
        worst = max(lossy, key=lambda slot: slot.fraction_lost)
        return Judgement(
            "broken", f"slot {worst.mid} loses {worst.fraction_lost:.0%}, by the peer's reports: look at its downlink"
        )
    limited = _judge_limited(peer.link, peer.slots) if peer.link is not None and peer.link.limited else None
    if limited is not None and limited.verdict == "broken":
        return limited
    return _judge_quality(peer.slots) or limited or _judge_slots(peer.slots)


def _judge_quality(slots: tuple[SlotFacts, ...]) -> Judgement | None:
    bad = [(slot.quality, slot) for slot in slots if slot.quality is not None and slot.quality.category in BAD]
    if not bad:
        return None
    quality, worst = min(bad, key=lambda one: one[0].score)
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return Judgement(
        "broken",
        f"slot {worst.mid} ({worst.track_id}) is {_rate(quality)}{more}: look at the page of its publisher, then at "
        "the peer's downlink",
    )


def _judge_limited(link: LinkFacts, slots: tuple[SlotFacts, ...]) -> Judgement:
    short = [slot for slot in slots if slot.limited_by == "bandwidth"]
    dark = [slot for slot in short if slot.layer is None]
    estimate = link.estimate_bps or 0
    said = (
        f"the link carries {estimate / 1000:.0f} kbit/s (limited by {link.limited_by}), all that is to be shown "
        f"would take {link.ideal_bps / 1000:.0f}: "
    )
    said += f"slots {', '.join(slot.mid for slot in dark)} show nothing" if dark else "smaller layers are shown"
    verdict: Verdict = "broken" if dark or estimate < SHORT * link.ideal_bps else "ok"
    return Judgement(verdict, f"{said}; look at the peer's downlink, or ask for less")


def _judge_slots(slots: tuple[SlotFacts, ...]) -> Judgement:
    refused = [slot for slot in slots if slot.limited_by == "codec"]
    if refused:
        return Judgement(
            "broken",
            f"slots {', '.join(slot.mid for slot in refused)}: the peer accepts no codec that the track is sent with",
        )
    silent = [slot for slot in slots if slot.waiting and slot.limited_by == "publisher"]
    if silent:
        mids = ", ".join(f"{slot.mid} ({slot.track_id})" for slot in silent)
        return Judgement("waiting", f"slots {mids} wait for publishers that send nothing: look at their pages")
    waiting = [slot for slot in slots if slot.waiting and slot.kind == "video" and slot.limited_by != "paused"]
    if waiting:
        mids = ", ".join(f"{slot.mid} ({slot.track_id})" for slot in waiting)
        return Judgement("waiting", f"slots {mids} wait for a key frame of their publishers")
    shown = sum(slot.layer is not None for slot in slots)
    if not shown:
        return Judgement("ok", "there is nothing to show: nobody else publishes, or nothing was asked for")
    rate = sum(slot.bitrate_bps for slot in slots)
    return Judgement("ok", f"{shown} of {len(slots)} slots show something, {rate / 1000:.0f} kbit/s")


def judge_events(peer: PeerFacts) -> Judgement:
    """Whether the client is told who is there."""
    if peer.events:
        return Judgement("ok", f"{peer.events} events WebSocket{'s' if peer.events > 1 else ''} of this identity")
    if peer.endpoint != "fork":
        return Judgement("not applicable", "no events WebSocket, which WHIP and WHEP clients need not have")
    if peer.ended is not None:
        return Judgement("not applicable", "no events WebSocket any more")
    return Judgement(
        "broken",
        "no events WebSocket of this identity: the client hears of no roster and can ask for nothing; look at the "
        "proxy (upgrade to WebSocket, idle timeout) and at the token's expiry",
    )


def judge_rights(peer: PeerFacts) -> Judgement:
    """Whether the peer may do what its SDP offers."""
    rights = peer.rights
    refused = [_name(track) for track in peer.tracks if not track.allowed]
    if refused:
        return Judgement(
            "broken", f"no right to publish {', '.join(refused)}: look at the token's grants or at changes"
        )
    if peer.slots and not rights.may_subscribe:
        return Judgement("broken", "no right to subscribe, and its SDP wants to receive: look at the token's grants")
    left = "" if rights.expires_in_s is None else f", for {_write_span(rights.expires_in_s)} more"
    return Judgement("ok", f"may {', '.join(rights.names) or 'only be there'}{left}")


def _write_span(seconds: float) -> str:
    """As people say it.

    >>> _write_span(90), _write_span(5400), _write_span(200_000)
    ('90 s', '90 minutes', '2 days')
    """
    for unit, length_s in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds // length_s:.0f} {unit}"
    return f"{seconds:.0f} s"


JUDGES: Final[Mapping[str, Callable[[PeerFacts], Judgement]]] = MappingProxyType(
    {
        "ice": judge_ice,
        "dtls": judge_dtls,
        "srtp": judge_srtp,
        "streams_up": judge_up,
        "streams_down": judge_down,
        "events": judge_events,
        "rights": judge_rights,
    }
)
"""Each section in causal order: the first that is broken is the one to look at."""


def judge(peer: PeerFacts) -> dict[str, Judgement]:
    """Every section."""
    return {name: judge_section(peer) for name, judge_section in JUDGES.items()}


def summarize(judged: Mapping[str, Judgement]) -> Judgement:
    """The whole, in the words of the first section that is broken, else of the first that waits."""
    for verdict in ("broken", "waiting"):
        for name, one in judged.items():
            if one.verdict == verdict:
                return Judgement(verdict, f"{name.replace('_', ' ')}: {one.sentence}")
    return Judgement("ok", "everything works")
