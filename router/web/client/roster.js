/**
 * Who is in the room, kept by versioned deltas. A delta whose version does not follow the last one says that something
 * was missed: the router is asked for it, and nothing is applied until the gap is filled or the whole roster came anew.
 */

export class Roster {
  #emit;
  #requestResync;
  #resyncing = false;
  #byContributor = null;

  /** `emit(type, detail)` raises the Room's events; `requestResync(version)` asks for what came after that version. */
  constructor(emit, requestResync) {
    this.#emit = emit;
    this.#requestResync = requestResync;
    this.log = null;
    this.version = null;
    this.participants = new Map();
    this.locked = false;
    this.metadata = "";
    this.speakers = { dominant: null, recent: [] };
  }

  /** `{participant, track}` of a contributor id, or undefined. */
  find(contributor) {
    this.#byContributor ??= new Map(
      [...this.participants.values()].flatMap((participant) =>
        participant.tracks.map((track) => [track.contributor, { participant, track }]),
      ),
    );
    return this.#byContributor.get(contributor);
  }

  /** `{participant, track}` of a track id, or undefined: the id spells the contributor. */
  findTrack(trackId) {
    const found = this.find(Number.parseInt(trackId.slice(2), 16));
    return found?.track.id === trackId ? found : undefined;
  }

  /** Applies one message; false for messages that are none of the roster's. */
  handle(message) {
    if (message.type === "welcome") this.#onWelcome(message);
    else if (message.type === "batch") message.deltas.forEach((delta) => this.#onDelta(delta));
    else if (message.type === "resumed") this.#resyncing = false;
    else if (this.#deltas[message.type]) this.#onDelta(message);
    else return false;
    return true;
  }

  /** What a new connection names as known, null before the first welcome; requests of the old one are void. */
  onReconnect() {
    this.#resyncing = false;
    return this.log === null ? null : { log: this.log, version: this.version };
  }

  #deltas = {
    joined: ({ participant }) => this.#put(participant),
    changed: ({ participant }) => this.#put(participant),
    left: ({ participant_id: id, reason }) => this.#remove(id, reason),
    speakers: (message) => this.#setSpeakers(message),
    locked: ({ locked }) => this.#setLocked(locked),
    metadata: ({ metadata }) => this.#setMetadata(metadata),
  };

  #onDelta(message) {
    if (this.version === null || message.version <= this.version) return;
    if (message.version > this.version + 1) {
      if (!this.#resyncing) this.#requestResync(this.version);
      this.#resyncing = true;
      return;
    }
    this.version = message.version;
    this.#deltas[message.type](message);
  }

  #onWelcome(message) {
    this.#resyncing = false;
    Object.assign(this, { log: message.log ?? null, version: message.version });
    const present = new Set(message.participants.map(({ id }) => id));
    for (const id of [...this.participants.keys()]) if (!present.has(id)) this.#remove(id, "resync");
    for (const participant of message.participants) this.#put(participant);
    this.#setLocked(message.locked ?? false);
    this.#setMetadata(message.metadata ?? "");
    this.#setSpeakers(message.speakers ?? { dominant: null, recent: [] });
  }

  #put(participant) {
    const known = this.participants.get(participant.id);
    if (known && JSON.stringify(known) === JSON.stringify(participant)) return;
    this.participants.set(participant.id, participant);
    this.#byContributor = null;
    this.#emit(known ? "participantchanged" : "participantjoined", { participant });
  }

  #remove(id, reason) {
    const participant = this.participants.get(id);
    if (!participant) return;
    this.participants.delete(id);
    this.#byContributor = null;
    this.#emit("participantleft", { participant, reason });
  }

  #setSpeakers({ dominant, recent }) {
    const before = JSON.stringify(this.speakers);
    this.speakers = { dominant, recent };
    if (JSON.stringify(this.speakers) !== before) this.#emit("speakerschange", this.speakers);
  }

  #setLocked(locked) {
    if (this.locked === locked) return;
    this.locked = locked;
    this.#emit("lockchange", { locked });
  }

  #setMetadata(metadata) {
    if (this.metadata === metadata) return;
    this.metadata = metadata;
    this.#emit("metadatachange", { metadata });
  }
}
