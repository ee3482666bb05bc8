"""What the snapshot of a peer means for its path, its handshake and its keys. Pure functions, in causal order.

Thresholds are patience, not protocol: browsers check every 50 ms at first, and a handshake takes two round trips.
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from router.diagnosis.facts import IceFacts, Judgement, PeerFacts

PATIENCE_S = 3.0
"""A first check, a first ClientHello, a handshake: what takes longer is worth a look."""
STALE_S = 7.0
"""Without anything authentic: browsers send checks every 2.5 s, and we one every 5."""
SILENT_S = 15.0
"""The engine sends no more media then."""
MUCH = 0.1
"""The share of bad packets that is no accident."""

ALERTS = {
    0: "close_notify",
    10: "unexpected_message",
    40: "handshake_failure: no cipher suite or signature in common",
    42: "bad_certificate: it does not accept ours, its a=fingerprint for us may be another session's",
    43: "unsupported_certificate",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version: we speak DTLS 1.2",
    71: "insufficient_security",
    80: "internal_error",
}
REFUSED = {
    "bad-integrity": "the peer signs with another password: it uses an old offer, or its answer was changed on the way",
    "foreign-peer": "the checks come from another peer than the one whose SDP came",
    "role-conflict": "the peer insists on the controlled role, which is ours as a lite agent: is it a lite agent too?",
}


def judge_ice(peer: PeerFacts) -> Judgement:
    """Whether there is a path."""
    ice = peer.ice
    if peer.plain:
        return Judgement("not applicable", "a plain RTP peer has fixed addresses and no ICE")
    if ice.selected is not None:
        return _judge_consent(ice, ice.selected.remote)
    if not ice.checks_received:
        return _judge_no_checks(peer)
    if not ice.described:
        return Judgement("waiting", "checks arrive; the answer with the peer's own credentials has not come yet")
    return _judge_unproven(peer)


def _judge_no_checks(peer: PeerFacts) -> Judgement:
    ice = peer.ice
    if ice.checks_refused:
        reason = max(ice.checks_refused, key=lambda name: ice.checks_refused[name])
        count, source = sum(ice.checks_refused.values()), ice.last_check_from or "an unknown address"
        return Judgement("broken", f"{count} STUN checks came from {source}, none was right: {REFUSED[reason]}")
    if not ice.local_candidates:
        return Judgement("broken", "we announced no candidate: look at media.addresses and media.announced_addresses")
    announced = ", ".join(ice.local_candidates)
    if peer.age_s < PATIENCE_S and peer.ended is None:
        return Judgement("waiting", f"no STUN check yet, after {peer.age_s:.1f} s; we announced {announced}")
    said = f"no STUN check arrived from the peer for {peer.age_s:.0f} s: UDP blocked, or announced address wrong: "
    return Judgement("broken", f"{said}{announced}{_doubt_addresses(ice.local_candidates)}")


def _doubt_addresses(candidates: Sequence[str]) -> str:
    addresses = [ip_address(candidate.rpartition(":")[0].strip("[]").partition("%")[0]) for candidate in candidates]
    if all(address.is_loopback for address in addresses):
        return " (loopback: only this machine can reach it, set media.announced_addresses)"
    if all(address.is_private for address in addresses):
        return " (private: peers outside of this network need media.announced_addresses)"
    return ""


def _judge_unproven(peer: PeerFacts) -> Judgement:
    ice = peer.ice
    asked = sum(path.challenges_sent for path in ice.paths)
    where = ", ".join(path.remote for path in ice.paths) or ice.last_check_from or "the peer"
    if peer.age_s < PATIENCE_S and peer.ended is None:
        return Judgement("waiting", f"checks arrive from {where}, and our own are on their way")
    if not ice.paths:
        return Judgement("broken", f"checks came from {where}, the last {_ago(ice.last_check_s)}: the peer went away")
    return Judgement(
        "broken",
        f"checks arrive from {where}, but none of our {asked} to there was answered: what we send is lost on the way "
        "(a firewall that lets packets in and not out, or a NAT that dropped the mapping)",
    )


def _judge_consent(ice: IceFacts, remote: str) -> Judgement:
    silent_s = ice.last_consent_s
    changes = ice.pair_changes - 1
    moved = f", after {changes} {'change' if changes == 1 else 'changes'} of address" if changes > 0 else ""
    if silent_s is not None and silent_s >= STALE_S:
        return Judgement(
            "broken" if silent_s >= SILENT_S else "waiting",
            f"nothing authentic came from {remote} for {silent_s:.0f} s: the peer is asleep or its network changed; "
            f"media stops after {SILENT_S:.0f} s, the session ends after {ice.consent_timeout_s:.0f} s",
        )
    trip = f", round trip {ice.round_trip_s * 1000:.0f} ms" if ice.round_trip_s is not None else ""
    return Judgement("ok", f"media goes to {remote}{trip}{moved}")


def judge_dtls(peer: PeerFacts) -> Judgement:
    """Whether there is an association with the right peer."""
    dtls = peer.dtls
    if peer.plain:
        return Judgement("not applicable", "a plain RTP peer's keys were agreed beforehand")
    if dtls.fingerprint == "mismatch":
        return Judgement(
            "broken",
            "the peer's certificate is not the one that its SDP names in a=fingerprint: the SDP was changed on the "
            "way, is of another connection, or somebody else answered",
        )
    if dtls.state == "new":
        return _judge_no_hello(peer)
    if dtls.state == "failed":
        return Judgement("broken", f"the handshake failed: {dtls.reason}{_say_alert(dtls.alert)}")
    if dtls.state == "closed":
        return Judgement("ok", f"the association was {dtls.reason or 'closed'}")
    if dtls.state == "handshaking":
        return _judge_handshake(peer)
    if dtls.fingerprint == "unknown":
        return Judgement("waiting", "the handshake is over; the answer with the peer's fingerprint has not come yet")
    took = "" if dtls.handshake_s is None else f" took {dtls.handshake_s * 1000:.0f} ms"
    return Judgement("ok", f"the handshake{took}, we were the {dtls.role}, the fingerprint is right")


def _judge_no_hello(peer: PeerFacts) -> Judgement:
    selected_s = peer.ice.selected_s
    if selected_s is None:
        return Judgement("waiting", "waits for a path: see ICE")
    if selected_s < PATIENCE_S and peer.ended is None:
        return Judgement("waiting", "the path is there, the peer's ClientHello is not yet")
    return Judgement(
        "broken",
        f"the path has worked for {selected_s:.0f} s, but no ClientHello came: the peer waits for ours (a=setup of its "
        "answer?), or a middlebox lets STUN pass and not DTLS",
    )


def _judge_handshake(peer: PeerFacts) -> Judgement:
    dtls = peer.dtls
    since_s = dtls.began_s or 0.0
    counts = f"{dtls.datagrams_received} datagrams received, {dtls.datagrams_sent} sent"
    if since_s < PATIENCE_S and dtls.alert is None and peer.ended is None:
        return Judgement("waiting", f"the handshake is under way: {counts}")
    trouble = _say_alert(dtls.alert) or (f"; {dtls.reason}" if dtls.reason else "")
    lost = "" if trouble else "; if those sent do not arrive, look for an MTU below 1200 bytes or a firewall"
    return Judgement("broken", f"the handshake has not ended after {since_s:.0f} s: {counts}{trouble}{lost}")


def _say_alert(alert: int | None) -> str:
    return "" if alert is None else f"; the peer sent alert {alert} ({ALERTS.get(alert, 'see RFC 8446 section 6')})"


def judge_srtp(peer: PeerFacts) -> Judgement:
    """Whether packets can be decrypted, and belong to something."""
    srtp = peer.srtp
    early = srtp.count("rtp-before-keys")
    if not srtp.keyed:
        said = f"; {early} packets came too early" if early else ""
        return Judgement("waiting", f"no keys: see DTLS{said}")
    failed, replayed = srtp.count("srtp-auth"), srtp.count("srtp-replay")
    strange, many = srtp.count("unknown-stream", "unknown-payload-type", "rtx-unknown"), srtp.count("ssrc-limit")
    good = srtp.packets_accepted
    if failed and failed > MUCH * (good + failed):
        return Judgement(
            "broken",
            f"{failed} packets failed authentication, {good} did not: the peer encrypts with other keys than those of "
            "this handshake (it began anew?), or its packets are changed on the way",
        )
    if strange and strange > MUCH * (good + strange):
        return Judgement(
            "broken",
            f"{strange} packets belong to no m-line ({_say(srtp.dropped, 'unknown-stream', 'unknown-payload-type')}): "
            "neither MID, RID, SSRC nor payload type is one of the SDP, or it was not granted",
        )
    if many:
        return Judgement("broken", f"{many} packets dropped: the peer sends with more SSRCs than one peer may have")
    if replayed and replayed > MUCH * (good + replayed):
        return Judgement("broken", f"{replayed} packets are repetitions: the network doubles them, or somebody replays")
    few = f", but for {failed + replayed + strange} bad ones" if failed + replayed + strange else ""
    return Judgement("ok", f"keyed with {srtp.profile or 'agreed keys'}, {good} media packets were right{few}")


def _say(dropped: Mapping[str, int], *reasons: str) -> str:
    return ", ".join(f"{reason} {dropped.get(reason, 0)}" for reason in reasons if dropped.get(reason))


def _ago(seconds: float | None) -> str:
    return "at an unknown time" if seconds is None else f"{seconds:.0f} s ago"
