/** One participant's statistics (W3C webrtc-stats, several sessions), as the view of a peer shows them. */

import { sourceName } from "./format.js";
import { Rates } from "./history.js";

const ORDER = ["good", "fair", "poor", "lost"];
const FORGET_MS = 20_000;
const MAX_NAMES = 64;
const MAX_LOOKUPS = 12;

export class PeerReader {
  #rates = new Rates();
  #names = new Map();

  constructor(api, room) {
    Object.assign(this, { api, room });
  }

  async read(id, signal) {
    const path = ["rooms", this.room, "participants", id];
    const [participant, { stats }] = await Promise.all([
      this.api.get(path, { signal }),
      this.api.get([...path, "stats"], { signal }),
    ]);
    await this.#learnNames(participant, signal);
    const tracks = new Map(participant.tracks.map((track) => [track.id, track]));
    const byId = new Map(stats.map((stat) => [stat.id, stat]));
    const transports = stats.filter(({ type }) => type === "transport").map((stat) => readTransport(stat, byId));
    const inbound = stats.filter(({ type }) => type === "inbound-rtp").filter(({ packetsReceived }) => packetsReceived > 0).map((stat) => this.#readInbound(stat, byId, tracks));
    const outbound = stats.filter(({ type }) => type === "outbound-rtp").map((stat) => this.#readOutbound(stat, byId, participant));
    const categories = [...inbound, ...outbound].map(({ quality }) => ORDER.indexOf(quality));
    const quality = ORDER[Math.max(-1, ...categories)] ?? null;
    return { participant, transports, inbound, outbound, quality, link: summarise(transports, inbound, outbound) };
  }

  /** Names of those who are in slots: asked for one by one, a few at a time, and kept for a while. */
  async #learnNames(participant, signal) {
    const now = performance.now();
    const shown = participant.sessions.flatMap(({ slots }) => slots.map((slot) => slot.participant_id)).filter(Boolean);
    const unknown = [...new Set(shown)].filter((id) => !(this.#names.get(id)?.until > now)).slice(0, MAX_LOOKUPS);
    const found = await Promise.allSettled(unknown.map((id) => this.api.get(["rooms", this.room, "participants", id], { signal })));
    found.forEach(({ value }, index) => this.#names.set(unknown[index], { person: value ?? null, until: now + FORGET_MS }));
    while (this.#names.size > MAX_NAMES) this.#names.delete(this.#names.keys().next().value);
  }

  #readInbound(stat, byId, tracks) {
    const track = tracks.get(stat.trackIdentifier);
    const seconds = stat.timestamp / 1000;
    const [lost, received] = ["packetsLost", "packetsReceived"].map((key) => this.#rates.next(`${stat.id} ${key}`, seconds, stat[key]));
    const share = lost === null || received === null || lost + received === 0 ? null : lost / (lost + received);
    const source = sourceName(track?.source, stat.kind);
    return {
      ...pickMedia(stat, byId),
      source,
      label: stat.rid ? `${source} ${stat.rid}` : source,
      rid: stat.rid ?? null,
      loss: share,
      received,
      lost,
      layers: stat.layers ?? [],
      repaired: stat.retransmittedPacketsReceived,
      nacks: stat.nackCount,
      keyFrames: stat.keyFramesReceived,
      keyFrameRequests: stat.pliCount === undefined ? null : stat.pliCount + (stat.firCount ?? 0),
      muted: Boolean(track?.muted),
      moderated: Boolean(track?.moderated),
    };
  }

  #readOutbound(stat, byId, participant) {
    const remote = byId.get(stat.remoteId);
    const slot = findSlot(participant, stat);
    const person = this.#names.get(slot?.participant_id)?.person ?? null;
    const track = person?.tracks.find(({ id }) => id === stat.trackIdentifier);
    return {
      ...pickMedia(stat, byId),
      active: stat.active,
      personId: slot?.participant_id ?? null,
      personName: person ? person.name || person.identity : null,
      source: sourceName(track?.source, stat.kind),
      pinned: Boolean(slot?.pinned),
      paused: Boolean(slot?.paused),
      choice: slot?.reason ?? "",
      reason: stat.reason ?? "",
      limitedBy: stat.limitedBy,
      loss: remote?.fractionLost ?? null,
      rtt: remote?.roundTripTime ?? null,
      nacks: stat.nackCount,
      keyFrameRequests: stat.pliCount === undefined ? null : stat.pliCount + (stat.firCount ?? 0),
    };
  }
}

/** The roster's slot of this stream. m-lines of several sessions may have the same name: then what is shown decides. */
function findSlot(participant, stat) {
  const slots = participant.sessions.flatMap((session) => session.slots).filter(({ mid }) => mid === stat.mid);
  return slots.find((slot) => slot.track_id === (stat.trackIdentifier ?? null)) ?? slots[0];
}

function pickMedia(stat, byId) {
  return {
    id: stat.id,
    kind: stat.kind,
    mid: stat.mid,
    codec: byId.get(stat.codecId)?.mimeType.split("/")[1] ?? null,
    bitrate: stat.bitrate,
    width: stat.frameWidth,
    height: stat.frameHeight,
    framesPerSecond: stat.framesPerSecond,
    jitter: stat.jitter ?? null,
    quality: stat.quality?.category ?? null,
    impairment: stat.quality?.impairment ?? null,
    freezes: stat.freezeCount ?? null,
  };
}

function readTransport(stat, byId) {
  const pair = byId.get(stat.selectedCandidatePairId);
  const { address = null, port = null } = byId.get(pair?.remoteCandidateId) ?? {};
  const { iceState, dtlsState, worker, dropped, bandwidth = null, selectedCandidatePairChanges: changes } = stat;
  return { iceState, dtlsState, worker, dropped, bandwidth, changes, address, port, rtt: pair?.currentRoundTripTime ?? null };
}

/** What the charts of the link draw. Of several sessions: the sums, and the worst. */
function summarise(transports, inbound, outbound) {
  const links = transports.map(({ bandwidth }) => bandwidth).filter(Boolean);
  const total = (list, key) => (list.some((each) => each[key] !== undefined && each[key] !== null) ? list.reduce((sum, each) => sum + (each[key] ?? 0), 0) : null);
  const worst = (values) => values.reduce((most, value) => (value === null || value === undefined ? most : Math.max(most ?? 0, value)), null);
  const [lost, received] = [total(inbound, "lost"), total(inbound, "received")];
  return {
    estimate: total(links, "estimate"),
    ideal: total(links, "ideal"),
    sent: total(outbound, "bitrate"),
    rtt: worst(transports.map(({ rtt }) => rtt)),
    lossIn: lost === null || !(lost + received) ? null : lost / (lost + received),
    lossOut: worst([...links.map(({ loss }) => loss), ...(links.length ? [] : outbound.map(({ loss }) => loss))]),
    limitedBy: links.find(({ limited }) => limited)?.limitedBy ?? links[0]?.limitedBy ?? "",
  };
}
