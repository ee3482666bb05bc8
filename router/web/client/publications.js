/**
 * What this participant sends. Each source has its m-line in every room's offer, so that switching a device on or off is
 * `replaceTrack` and nothing else. A published track outlives the session: it is attached to the next one.
 */

import { Demand } from "./demand.js";

/** Sources by the mid that the static offer gives them. */
export const MIDS = { microphone: "mic", camera: "cam", screen: "scr", "screen-audio": "snd" };
const KINDS = { microphone: "audio", camera: "video", screen: "video", "screen-audio": "audio" };

/** By rid, as the offer asks for them: a quarter, a half and the full picture. */
const CAMERA_LAYERS = {
  q: { scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  h: { scaleResolutionDownBy: 2, maxBitrate: 500_000 },
  f: { scaleResolutionDownBy: 1, maxBitrate: 2_000_000 },
};
const SCREEN_MAX_BITRATE = 2_500_000;

export const SOURCE_OF_MID = new Map(Object.entries(MIDS).map(([source, mid]) => [mid, source]));

export class Publications {
  #simulcast;
  #onChange;
  #entries = new Map();
  #senders = new Map();
  #demand = new Demand();

  /** `onChange(source, track)` is told of every change, for the room to be told and events to be raised. */
  constructor(simulcast, onChange) {
    this.#simulcast = simulcast;
    this.#onChange = onChange;
  }

  /** Takes the sending m-lines of a new session: transceivers by mid, before the answer is made. */
  async attach(transceivers) {
    this.#senders.clear();
    const ready = [];
    for (const [source, mid] of Object.entries(MIDS)) {
      const transceiver = transceivers.get(mid);
      if (!transceiver) continue;
      transceiver.direction = "sendonly";
      this.#senders.set(source, transceiver.sender);
      ready.push(this.#limit(source, transceiver.sender), transceiver.sender.replaceTrack(this.#outgoing(source)));
    }
    await Promise.all(ready);
    this.#demand.attach(new Map([...this.#senders].map(([source, sender]) => [MIDS[source], sender])));
  }

  /** Takes a `demand` message: layers that nobody is shown pause. Null: everything is sent. */
  follow(tracks) { return this.#demand.follow(tracks); }

  async publish(source, track, owned) {
    if (!KINDS[source]) throw new TypeError(`unknown source "${source}": expected ${Object.keys(KINDS).join(", ")}`);
    if (track.kind !== KINDS[source]) throw new TypeError(`source ${source} takes ${KINDS[source]}, not ${track.kind}`);
    const previous = this.#entries.get(source);
    this.#entries.set(source, { track, owned, muted: false });
    await this.#senders.get(source)?.replaceTrack(track);
    if (previous?.owned && previous.track !== track) previous.track.stop();
    this.#onChange(source, track);
  }

  /** Stops sending and releases the device. */
  async unpublish(source) {
    const entry = this.#entries.get(source);
    if (!entry) return;
    this.#entries.delete(source);
    await this.#senders.get(source)?.replaceTrack(null);
    if (entry.owned) entry.track.stop();
    this.#onChange(source, null);
  }

  /** Stops or resumes sending without releasing the device. */
  async mute(source, muted) {
    const entry = this.#entries.get(source);
    if (!entry || entry.muted === muted) return;
    entry.muted = muted;
    entry.track.enabled = !muted;
    await this.#senders.get(source)?.replaceTrack(this.#outgoing(source));
    this.#onChange(source, entry.track);
  }

  isMuted(source) { return this.#entries.get(source)?.muted === true; }

  track(source) { return this.#entries.get(source)?.track ?? null; }

  /** Releases every device that was opened here. */
  stop() {
    for (const { track, owned } of this.#entries.values()) if (owned) track.stop();
    this.#entries.clear();
  }

  /** What each m-line carries, for the roster: a source that is not in use is a muted one. */
  describe() {
    return Object.fromEntries(
      [...this.#senders.keys()].map((source) => [MIDS[source], { source, muted: this.#outgoing(source) === null }]),
    );
  }

  #outgoing(source) {
    const entry = this.#entries.get(source);
    return entry && !entry.muted ? entry.track : null;
  }

  async #limit(source, sender) {
    if (KINDS[source] !== "video") return;
    const parameters = sender.getParameters();
    for (const encoding of parameters.encodings) {
      if (source === "screen") encoding.maxBitrate = SCREEN_MAX_BITRATE;
      else Object.assign(encoding, CAMERA_LAYERS[encoding.rid ?? "f"]);
      if (source === "camera" && !this.#simulcast) encoding.active = (encoding.rid ?? "f") === "f";
    }
    await sender.setParameters(parameters);
  }
}
