"""The snapshot of a living session: from the room, the connection and the engine, in the moment of the call."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from router import clock
from router.diagnosis.facts import (
    DtlsFacts,
    EncodingFacts,
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
from router.errors import ConnectionClosedError, EngineError
from router.rooms.participant import Participant, PublishedTrack
from router.rooms.rights import describe_rights
from router.rooms.session import Session
from router.rtc.description import RTCCandidate
from router.rtc.transport import PeerTransport

if TYPE_CHECKING:
    from router._engine import TransportStats
    from router.engine_stats import ProducerStats, Quality


def collect(session: Session, *, read_engine: bool = True) -> PeerFacts:
    """The facts of a session; without the engine's, where it has none any more or is not to be asked."""
    now_us = clock.monotonic_us()
    stats = _read_engine(session) if read_engine else None
    transport = session.connection.transport
    participant = session.participant
    return PeerFacts(
        endpoint=session.endpoint,
        state=session.state,
        age_s=_ago(session.join.requested_us, now_us) or 0.0,
        plain=not isinstance(transport, PeerTransport),
        engine_read=stats is not None,
        ice=_read_ice(session, stats, now_us),
        dtls=_read_dtls(transport, now_us) if isinstance(transport, PeerTransport) else DtlsFacts(),
        srtp=_read_srtp(session, stats),
        tracks=tuple(_read_track(track, stats, now_us) for track in session.tracks.values()),
        slots=_read_slots(session, stats),
        link=_read_link(stats),
        events=len(session.room.roster.watchers_of(participant.identity)),
        rights=_read_rights(participant),
    )


def _read_engine(session: Session) -> "TransportStats | None":
    try:
        return session.connection.read_stats()
    except (EngineError, ConnectionClosedError):
        return None


def _ago(then_us: int | None, now_us: int) -> float | None:
    """Rounded, as people read it."""
    return None if then_us is None else round(max(0, now_us - then_us) / 1e6, 3)


def _write_address(address: tuple[str, int]) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


def _write_candidates(candidates: Sequence[RTCCandidate]) -> tuple[str, ...]:
    return tuple(_write_address((item.address, item.port)) for item in candidates)


def _read_ice(session: Session, stats: "TransportStats | None", now_us: int) -> IceFacts:
    connection, transport = session.connection, session.connection.transport
    if not isinstance(transport, PeerTransport):
        return IceFacts(consent_timeout_s=connection.engine.timeout_us / 1e6)
    seen, remote = transport.progress, connection.get_description("remote")
    own = {socket.id: _write_address((socket.address, socket.port)) for socket in connection.get_sockets()}
    paths = tuple(
        PathFacts(
            local=own.get(path["socket"], "a closed socket"),
            remote=_write_address(path["remote_address"]),
            validated=path["validated"],
            nominated=path["nominated"],
            selected=path["selected"],
            checks_received=path["checks_received"],
            challenges_sent=path["challenges_sent"],
            answers_received=path["answers_received"],
            last_alive_s=_ago(path["last_alive_us"], now_us) or 0.0,
        )
        for path in (stats["paths"] if stats else ())
    )
    return IceFacts(
        local_candidates=_write_candidates(session.local.candidates),
        remote_candidates=_write_candidates(remote.candidates),
        checks_received=max(seen.checks, sum(path.checks_received for path in paths)),
        checks_refused={str(reason): count for reason, count in (seen.refused or {}).items()},
        last_check_s=_ago(seen.last_check_us, now_us),
        last_check_from=None if seen.last_check_from is None else _write_address(seen.last_check_from),
        last_consent_s=_ago(stats["last_authenticated_us"], now_us) if stats else None,
        consent_timeout_s=connection.engine.timeout_us / 1e6,
        paths=paths,
        selected_s=_ago(seen.selected_us, now_us),
        pair_changes=stats["selected_pair_changes"] if stats else 0,
        round_trip_s=stats["current_round_trip_time_s"] if stats else None,
    )


def _read_dtls(transport: PeerTransport, now_us: int) -> DtlsFacts:
    seen, session = transport.progress, transport.dtls
    took_us = None if seen.dtls_done_us is None else seen.dtls_done_us - (seen.hello_us or seen.dtls_done_us)
    return DtlsFacts(
        state="new" if session is None else session.state,
        role="client" if session is not None and session.role == "active" else "server",
        fingerprint=seen.fingerprint,
        began_s=_ago(seen.hello_us, now_us),
        handshake_s=None if took_us is None else took_us / 1e6,
        datagrams_received=seen.dtls_received,
        datagrams_sent=seen.dtls_sent,
        restarts=0 if session is None else session.restarts,
        alert=None if session is None else session.alert,
        reason="" if session is None else session.reason,
    )


def _read_srtp(session: Session, stats: "TransportStats | None") -> SrtpFacts:
    transport = session.connection.transport
    encodings = [encoding for producer in (stats["producers"] if stats else ()) for encoding in producer["encodings"]]
    return SrtpFacts(
        keyed=stats["secured"] if stats else transport.connected,
        profile=transport.progress.profile if isinstance(transport, PeerTransport) else None,
        packets_accepted=sum(it["packets_received"] + it["retransmitted_packets_received"] for it in encodings),
        dropped=dict(stats["dropped"]) if stats else {},
    )


def _read_track(track: PublishedTrack, stats: "TransportStats | None", now_us: int) -> TrackFacts:
    found = [it for it in (stats["producers"] if stats else ()) if it["contributor"] == track.track.contributor]
    return TrackFacts(
        mid=track.mid,
        track_id=track.id,
        kind="audio" if track.kind == "audio" else "video",
        source=track.source,
        codec=found[0]["codec"] if found else None,
        allowed=track.allowed,
        muted=track.muted,
        moderated=track.moderated,
        quality=_read_quality(found[0]["quality"]) if found else None,
        encodings=_read_encodings(found[0], track.track.wanted, now_us) if found else (),
    )


def _read_quality(quality: "Quality | None") -> QualityFacts | None:
    if quality is None:
        return None
    score = round(quality["score"], 1)
    return QualityFacts(score=score, category=quality["category"], impairment=quality["impairment"])


def _read_encodings(
    producer: "ProducerStats", wanted: tuple[int, ...] | None, now_us: int
) -> tuple[EncodingFacts, ...]:
    return tuple(
        EncodingFacts(
            rid=it["rid"],
            ssrc=it["ssrc"],
            wanted=wanted is None or index in wanted,
            packets=it["packets_received"],
            bitrate_bps=it["bitrate_bps"],
            lost=it["packets_lost"],
            last_packet_s=_ago(it["last_packet_us"], now_us),
            key_frames=it["key_frames_received"],
            key_frame_requests=it["pli_count"] + it["fir_count"],
            nacks=it["nack_count"],
            size=f"{it['frame_width']}x{it['frame_height']}" if it["frame_width"] and it["frame_height"] else None,
        )
        for index, it in enumerate(producer["encodings"])
    )


def _read_slots(session: Session, stats: "TransportStats | None") -> tuple[SlotFacts, ...]:
    by_mid = {slot["mid"]: slot for slot in (stats["slots"] if stats else ())}
    # The room has no reasons for those who left it.
    described = [] if session.state == "ended" else session.describe_slots()
    whys = {slot["mid"]: slot for slot in described}
    facts = []
    for mid, slot in session.slots.items():
        why, sent = whys.get(mid, {}), by_mid.get(mid)
        known = SlotFacts(mid=mid, kind=slot.kind, track_id=why.get("track_id"), why=why.get("reason", ""))
        if sent is not None:
            known = SlotFacts(
                mid=mid,
                kind=slot.kind,
                track_id=known.track_id,
                why=known.why,
                layer=sent["encoding"],
                layer_why=sent["reason"],
                limited_by=sent["limited_by"],
                waiting=sent["waiting"],
                bitrate_bps=sent["bitrate_bps"],
                packets=sent["packets_sent"],
                nacks=sent["nack_count"],
                key_frame_requests=sent["pli_count"] + sent["fir_count"],
                retransmitted=sent["retransmitted_packets_sent"],
                fraction_lost=sent["fraction_lost"],
                freezes=sent["freeze_count"],
                quality=_read_quality(sent["quality"]),
            )
        facts.append(known)
    return tuple(facts)


def _read_link(stats: "TransportStats | None") -> LinkFacts | None:
    link = stats["bandwidth"] if stats else None
    if link is None:
        return None
    return LinkFacts(
        estimate_bps=link["estimate_bps"],
        limited_by=link["limit"],
        granted_bps=link["granted_bps"],
        ideal_bps=link["ideal_bps"],
        limited=link["is_limited"],
        loss=round(link["loss"], 4),
        queue_s=round(link["queue_s"], 3),
    )


def _read_rights(participant: Participant) -> RightsFacts:
    rights, left_s = participant.rights, participant.expires_at_s - clock.wall_s()
    names = tuple(name for name, value in describe_rights(rights).items() if value is True)
    return RightsFacts(
        names=names,
        may_publish=rights.publishes,
        may_subscribe=rights.may_subscribe,
        expires_in_s=round(left_s) if 0 < left_s < float("inf") else None,
    )
