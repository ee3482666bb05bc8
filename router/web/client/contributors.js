/**
 * Who is in each slot. The router writes the contributor id of the track it shows into every packet (the last CSRC), so
 * the browser itself names it with `RTCRtpReceiver.getContributingSources()`, at the frame at which the picture changes.
 * The `slots` messages of the events WebSocket say why a video slot shows what it shows, and stand in until its first
 * frame. Audio slots are told in band only.
 */

const POLL_MS = 200;
// Until the first sound and picture are here, for the join's timings.
const FIRST_POLL_MS = 20;
const FIRST_LIMIT_MS = 10000;
/** Nobody is in an audio slot that heard nothing for so long. */
const FRESH_MS = 2000;

export class Contributors {
  #roster;
  #emit;
  #timings;
  #receivers = new Map();
  #told = new Map();
  #timer = null;
  #since = 0;
  #firsts = new Set();

  /** `emit(type, detail)` raises the Room's events. */
  constructor(roster, emit, timings) {
    this.#roster = roster;
    this.#emit = emit;
    this.#timings = timings;
    this.slots = new Map();
  }

  /** Starts to watch the slots of a new session: transceivers by mid. */
  attach(transceivers) {
    this.detach();
    for (const [mid, { receiver }] of transceivers) {
      this.#receivers.set(mid, receiver);
      this.slots.set(mid, describe(mid, receiver.track.kind, null, undefined, undefined));
    }
    this.#since = performance.now();
    this.#firsts = new Set(["audio", "video"]);
    this.#emit("slotchange", { mids: [...this.slots.keys()] });
    this.#poll();
  }

  /** Forgets the session's slots. */
  detach() {
    clearTimeout(this.#timer);
    this.#receivers.clear();
    this.#told.clear();
    this.slots.clear();
  }

  /** Takes a `slots` message: only what changed is in it. */
  onSlots(slots) {
    for (const slot of slots) this.#told.set(slot.mid, { ...slot, at: now() });
    this.refresh();
  }

  /** Looks at every slot, and raises `slotchange` if one shows something else than before. */
  refresh() {
    const changed = [];
    for (const [mid, receiver] of this.#receivers) {
      const slot = this.#look(mid, receiver);
      if (isSame(slot, this.slots.get(mid))) continue;
      this.slots.set(mid, slot);
      changed.push(mid);
    }
    if (changed.length) this.#emit("slotchange", { mids: changed });
  }

  /** One entry per slot that shows or plays somebody now. */
  list() {
    return [...this.#receivers].flatMap(([mid, receiver]) => {
      const { kind, contributor, trackId } = this.slots.get(mid);
      if (contributor === null) return [];
      const { participant = null, track = null } = this.#roster.find(contributor) ?? {};
      return [{ mid, kind, contributor, trackId, track, participant, level: readLevel(receiver, kind) }];
    });
  }

  #poll() {
    this.refresh();
    const waiting = this.#firsts.size > 0 && performance.now() - this.#since < FIRST_LIMIT_MS;
    if (waiting) this.#watchFirsts();
    this.#timer = setTimeout(() => this.#poll(), waiting ? FIRST_POLL_MS : POLL_MS);
  }

  /** A synchronization source appears when its first frame was delivered to the track. */
  #watchFirsts() {
    for (const kind of [...this.#firsts]) {
      const first = [...this.#receivers.values()].find(
        (receiver) => receiver.track.kind === kind && receiver.getSynchronizationSources().length,
      );
      if (!first) continue;
      this.#firsts.delete(kind);
      const at = first.getSynchronizationSources()[0].timestamp - performance.timeOrigin;
      this.#timings.mark(kind === "audio" ? "firstAudio" : "firstFrame", Math.min(at, performance.now()));
    }
  }

  #look(mid, receiver) {
    const kind = receiver.track.kind;
    const told = this.#told.get(mid);
    const seen = this.#newest(receiver);
    // Emptied after the last frame that was seen: that frame stands still now.
    const emptied = told?.track_id === null && (!seen || seen.timestamp <= told.at);
    if (seen && !emptied) return describe(mid, kind, seen.source, this.#roster.find(seen.source), told);
    const shown = told?.track_id ? this.#roster.findTrack(told.track_id) : undefined;
    return describe(mid, kind, shown?.track.contributor ?? null, shown, told);
  }

  /** The newest source that the roster knows; others are CSRCs of mixers, from before the packet came here. */
  #newest(receiver) {
    const oldest = now() - FRESH_MS;
    const fresh = receiver.getContributingSources().filter(({ timestamp }) => timestamp > oldest);
    fresh.sort((a, b) => b.timestamp - a.timestamp);
    return fresh.find(({ source }) => this.#roster.find(source)) ?? fresh[0];
  }
}

const now = () => performance.timeOrigin + performance.now();

const describe = (mid, kind, contributor, { participant, track } = {}, { pinned = false, paused = false, reason = "" } = {}) =>
  ({ mid, kind, contributor, trackId: track?.id ?? null, participantId: participant?.id ?? null, pinned, paused, reason });

const isSame = (one, other) => Object.keys(one).every((key) => one[key] === other?.[key]);

/** Loudness 0-1: the mixer's word for the contributor (RFC 6465), else what the browser says of the slot's stream. */
function readLevel(receiver, kind) {
  if (kind !== "audio") return null;
  const sources = [...receiver.getContributingSources(), ...receiver.getSynchronizationSources()];
  const recent = sources.filter(({ timestamp }) => now() - timestamp < FRESH_MS / 2);
  return recent.find(({ audioLevel }) => typeof audioLevel === "number")?.audioLevel ?? 0;
}
