/**
 * What this participant wants to see: pinned tracks, sizes, rates, pauses, per video slot. Kept here as the wanted whole; only
 * what differs from what the router was told is sent, a few messages a second at most, and all of it to a new session.
 */

const FLUSH_MS = 100;
const MAX_SIZE = 16_384;
const NO_LIMITS = { width: null, height: null, bitrate_bps: null, frame_rate: null };
const UNSAID = { track_id: null, ...NO_LIMITS, paused: false };

export class Wishes {
  #request;
  #onRefused;
  #slotShowing;
  #mids = [];
  #session = null;
  #pins = new Map();
  #wantedIds = [];
  #shown = null;
  #paused = new Set();
  #limits = new Map();
  #said = new Map();
  #timer = null;

  /**
   * `request(message)` sends and resolves when the router agreed; `onRefused(error, slots)` is told otherwise;
   * `slotShowing(trackId)` is the mid of the video slot that shows a track now, or null.
   */
  constructor({ request, onRefused, slotShowing }) {
    this.#request = request;
    this.#onRefused = onRefused;
    this.#slotShowing = slotShowing;
  }

  /** Pinned tracks by id, with their slots. */
  get pins() { return new Map([...this.#pins].map(([mid, trackId]) => [trackId, mid])); }

  /** A session with these video slots. What was said to it before a reconnect may be lost, so it is said again. */
  attach(session, mids) {
    const known = session === this.#session ? [...this.#said.keys()] : [];
    this.#session = session;
    this.#mids = mids;
    this.#said = new Map(known.map((mid) => [mid, {}]));
    this.#replaceShown();
    this.#schedule();
  }

  detach() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#session = null;
  }

  /** Keeps a track in a slot: the given one, the one that shows it, an unpinned one, the one pinned longest. */
  pin(trackId, mid) {
    const place = mid ?? this.#midPinning(trackId) ?? this.#choosePlace(trackId);
    if (!this.#mids.includes(place)) throw new TypeError(`no video slot "${place}"`);
    this.unpin(trackId);
    this.#pins.delete(place);
    this.#pins.set(place, trackId);
    this.#replaceShown();
    this.#schedule();
  }

  /** By track id or mid; what was not pinned is ignored. */
  unpin(trackIdOrMid) {
    const mid = this.#pins.has(trackIdOrMid) ? trackIdOrMid : this.#midPinning(trackIdOrMid);
    if (mid !== null) this.#pins.delete(mid);
    this.#replaceShown();
    this.#schedule();
  }

  /** Wants exactly these in the slots without a pin, and nothing in the others; null leaves it to the router. */
  show(trackIds) {
    this.#shown = trackIds && new Map();
    this.#wantedIds = trackIds ?? [];
    this.#replaceShown();
    this.#schedule();
  }

  pause(mid, paused) {
    if (paused) this.#paused.add(mid);
    else this.#paused.delete(mid);
    this.#schedule();
  }

  setSize(mid, width, height) {
    const pixels = (size) => Math.min(Math.max(1, Math.round(size)), MAX_SIZE);
    this.#limit(mid, { width: pixels(width), height: pixels(height) });
  }

  /** Bits and frames a second; null: as much as there is. What is not named stays. */
  setRates(mid, { maxBitrate, maxFrameRate }) {
    const rate = (value) => value && Math.max(1, Math.round(value));
    this.#limit(mid, {
      ...(maxBitrate !== undefined && { bitrate_bps: rate(maxBitrate) }),
      ...(maxFrameRate !== undefined && { frame_rate: rate(maxFrameRate) }),
    });
  }

  #limit(mid, limits) {
    this.#limits.set(mid, { ...this.#limits.get(mid), ...limits });
    this.#schedule();
  }

  /** Tracks that left need no pin any more. */
  forget(isPresent) {
    for (const [mid, trackId] of this.#pins) if (!isPresent(trackId)) this.unpin(mid);
  }

  #midPinning(trackId) {
    return [...this.#pins].find(([, pinned]) => pinned === trackId)?.[0] ?? null;
  }

  #choosePlace(trackId) {
    const showing = this.#slotShowing(trackId);
    if (showing !== null && !this.#pins.has(showing)) return showing;
    // The last slots hold those whom the router found least interesting.
    return this.#mids.findLast((mid) => !this.#pins.has(mid)) ?? this.#pins.keys().next().value;
  }

  /** Lays the shown tracks into the slots: where they are already, else in order. */
  #replaceShown() {
    if (!this.#shown) return;
    const before = new Map([...this.#shown].map(([mid, trackId]) => [trackId, mid]));
    const pinned = new Set(this.#pins.values());
    const free = new Set(this.#mids.filter((mid) => !this.#pins.has(mid)));
    const wanted = this.#wantedIds.filter((trackId) => !pinned.has(trackId)).slice(0, free.size);
    this.#shown = new Map();
    const place = (trackId, mid) => free.delete(mid) && this.#shown.set(mid, trackId);
    const homeless = wanted.filter((trackId) => !place(trackId, before.get(trackId) ?? this.#slotShowing(trackId)));
    for (const trackId of homeless) place(trackId, free.values().next().value);
  }

  #wanted(mid) {
    const trackId = this.#pins.get(mid) ?? this.#shown?.get(mid) ?? null;
    const unused = this.#shown !== null && trackId === null;
    return { track_id: trackId, ...NO_LIMITS, ...this.#limits.get(mid), paused: unused || this.#paused.has(mid) };
  }

  #schedule() {
    if (this.#session !== null) this.#timer ??= setTimeout(() => this.#flush(), FLUSH_MS);
  }

  #flush() {
    this.#timer = null;
    const slots = {};
    for (const mid of this.#mids) {
      const [wanted, said] = [this.#wanted(mid), this.#said.get(mid) ?? UNSAID];
      const news = Object.entries(wanted).filter(([field, value]) => value !== said[field]);
      if (news.length) slots[mid] = Object.fromEntries(news);
      this.#said.set(mid, wanted);
    }
    if (Object.keys(slots).length) this.#say(slots);
  }

  async #say(slots) {
    try {
      await this.#request({ type: "wish", session: this.#session, slots });
    } catch (error) {
      // Without a connection everything is said again to the next one.
      if (error.slug?.startsWith("events-")) return;
      for (const mid of Object.keys(slots)) {
        this.#said.set(mid, {});
        if (slots[mid].track_id) this.#pins.delete(mid);
      }
      this.#onRefused(error, slots);
    }
  }
}
