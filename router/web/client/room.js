/**
 * One person's place in a room: the parts of this folder put together behind one class. Types: ../client.d.ts.
 *
 * The room's static offer is answered once; nothing is renegotiated afterwards. Devices are switched with replaceTrack,
 * who is in a slot is told by the packets themselves, and wishes go over the events WebSocket.
 */

import { Contributors } from "./contributors.js";
import { openCamera, openMicrophone, openScreen } from "./devices.js";
import { EventChannel } from "./events.js";
import { RouterError } from "./http.js";
import { MIDS, Publications, SOURCE_OF_MID } from "./publications.js";
import { Connection } from "./recover.js";
import { mayPublish, readRights, readToken } from "./rights.js";
import { Roster } from "./roster.js";
import { StatsReader } from "./stats.js";
import { Timings } from "./timings.js";
import { Wishes } from "./wishes.js";

/** Slug and reason of what a moderator does to a participant. */
const REMOVED = "removed";
/** Slugs after which coming back is refused, or not wanted, as where an operator ended the room. */
const FINAL = [REMOVED, "room-ended", "token-revoked", "token-expired"];
/** Slugs with which a node lets a room go: it is, or may be opened, at another one. */
const MOVING = ["draining", "shutting-down", "moved", "room-elsewhere"];
/** Not everybody at once. */
const MOVE_JITTER_MS = 1000;

/**
 * Events (`CustomEvent`, payload in `detail`): statechange, participantjoined, participantleft, participantchanged,
 * slotchange, speakerschange, lockchange, metadatachange, rightschange, drainingchange, wishrefused, localtrack,
 * audioblocked, error.
 */
export class Room extends EventTarget {
  #options;
  #connection;
  #publications;
  #roster;
  #contributors;
  #wishes;
  #stats = new StatsReader();
  #events = null;
  #receivers = new Map();
  #sending = new Map();
  #rights;
  #state = "new";
  #draining = null;

  /** @param {import("../client").RoomOptions} options */
  constructor(options) {
    super();
    this.#options = {
      baseUrl: location.origin,
      publish: true,
      subscribe: true,
      slots: {},
      simulcast: true,
      pauseUnwatched: true,
      iceServers: null,
      ...options,
    };
    this.#rights = readToken(options.token);
    this.participantId = null;
    this.audioBlocked = false;
    this.timings = new Timings();
    this.#connection = this.#createConnection();
    this.#publications = new Publications(this.#options.simulcast, (source, track) => {
      this.#describe();
      this.#emit("localtrack", { source, track });
    });
    this.#roster = new Roster(this.#onRosterEvent, (version) => this.#events.send({ type: "resync", version }));
    this.#contributors = new Contributors(this.#roster, this.#emit, this.timings);
    this.#wishes = new Wishes({
      request: (message) => this.#ask(message),
      onRefused: (error, slots) => this.#emit("wishrefused", { error, slots }),
      slotShowing: (trackId) => this.#slotShowing(trackId)?.mid ?? null,
    });
  }

  get state() { return this.#state; }
  get peerConnection() { return this.#connection.pc; }
  get participants() { return this.#roster.participants; }
  get slots() { return this.#contributors.slots; }
  get speakers() { return this.#roster.speakers; }
  get locked() { return this.#roster.locked; }
  get metadata() { return this.#roster.metadata; }
  get rights() { return this.#rights; }
  get draining() { return this.#draining; }
  get mayModerate() { return this.#rights.moderate; }
  get pins() { return this.#wishes.pins; }

  // -- coming and going ------------------------------------------------------------------------------------------

  async join() {
    if (this.#state !== "new") throw new Error(`join() was called in state ${this.#state}`);
    this.timings.start();
    this.#setState("connecting");
    try {
      await this.#connection.open();
    } catch (error) {
      await this.#close(error);
      throw error;
    }
    addEventListener("pagehide", this.#onPageHide);
    this.#setState("connected");
  }

  leave() { return this.#close(); }

  setToken(token) {
    this.#connection.token = token;
    this.#options.token = token;
    // In the room, the router tells what is in force.
    if (this.#state === "new") this.#rights = readToken(token);
    this.#events?.setToken(token);
  }

  // -- what is sent ----------------------------------------------------------------------------------------------

  async publishCamera(constraints) { return this.#publishOwned("camera", await openCamera(constraints)); }

  async publishMicrophone(constraints) { return this.#publishOwned("microphone", await openMicrophone(constraints)); }

  async publishScreen(options) {
    const { picture, sound } = await openScreen(options);
    picture.addEventListener("ended", () => this.unpublish("screen").then(() => this.unpublish("screen-audio")));
    if (sound) await this.#publishOwned("screen-audio", sound);
    return this.#publishOwned("screen", picture);
  }

  publishTrack(source, track, { owned = false } = {}) { return this.#publications.publish(source, track, owned); }
  unpublish(source) { return this.#publications.unpublish(source); }
  mute(source, muted = true) { return this.#publications.mute(source, muted); }
  unmute(source) { return this.mute(source, false); }
  isMuted(source) { return this.#publications.isMuted(source); }
  localTrack(source) { return this.#publications.track(source); }

  // -- what is received ------------------------------------------------------------------------------------------

  contributors() { return this.#contributors.list(); }

  trackFor(trackId) {
    const slot = this.#slotShowing(trackId);
    return slot ? this.#receivers.get(slot.mid).receiver.track : null;
  }

  receivedTracks() { return [...this.#receivers].map(([mid, { receiver }]) => ({ mid, track: receiver.track })); }

  audioLevels() {
    const levels = new Map();
    for (const { participant, level, kind } of this.contributors()) {
      if (kind === "audio" && participant) levels.set(participant.id, Math.max(levels.get(participant.id) ?? 0, level));
    }
    return levels;
  }

  getStats() { return this.#stats.read(this.peerConnection, this.slots); }

  async startAudio(elements) {
    const plays = await Promise.allSettled([...elements].map((element) => element.play()));
    const blocked = plays.some(({ reason }) => reason?.name === "NotAllowedError");
    if (blocked && !this.audioBlocked) this.#emit("audioblocked", {});
    this.audioBlocked = blocked;
  }

  // -- wishes and moderation -------------------------------------------------------------------------------------

  pin(trackId, { mid } = {}) { this.#wishes.pin(trackId, mid); }
  unpin(trackIdOrMid) { this.#wishes.unpin(trackIdOrMid); }
  pause(mid, paused = true) { this.#wishes.pause(mid, paused); }
  setSize(mid, width, height) { this.#wishes.setSize(mid, width, height); }
  setRates(mid, rates) { this.#wishes.setRates(mid, rates); }
  show(trackIds) { this.#wishes.show([...trackIds]); }
  showDefault() { this.#wishes.show(null); }

  muteRemote(trackId, muted = true) { return this.#ask({ type: "mute", track_id: trackId, muted }); }
  remove(participantId) { return this.#ask({ type: "remove", participant_id: participantId }); }
  lock(locked = true) { return this.#ask({ type: "lock", locked }); }
  describe({ name, metadata }) { return this.#ask({ type: "describe", name, metadata }); }

  // -- inside ----------------------------------------------------------------------------------------------------

  #createConnection() {
    const { baseUrl, room, token, iceServers, offer } = this.#options;
    return new Connection(
      { baseUrl, room, token, iceServers, offer },
      {
        timings: this.timings,
        prepare: (pc) => this.#prepare(pc),
        onPosted: (session) => this.#onPosted(session),
        onLost: () => this.#setState("reconnecting"),
        onMended: () => this.#setState("connected"),
        onGivenUp: (error) => this.#close(error),
        onAttemptFailed: (error) => this.#emit("error", { error }),
      },
    );
  }

  /** Gives each m-line of the offer its direction, before the answer is made. */
  async #prepare(pc) {
    const { slots } = this.#options;
    const left = { audio: slots.audio ?? Infinity, video: slots.video ?? Infinity };
    this.#sending = new Map();
    this.#receivers = new Map();
    for (const transceiver of pc.getTransceivers()) {
      const source = SOURCE_OF_MID.get(transceiver.mid);
      const wanted = source ? this.#sends(source) : this.#receives && left[transceiver.receiver.track.kind]-- > 0;
      if (!wanted) transceiver.direction = "inactive";
      else (source ? this.#sending : this.#receivers).set(transceiver.mid, transceiver);
    }
    this.#contributors.attach(this.#receivers);
    await this.#publications.attach(this.#sending);
  }

  #sends(source) { return this.#options.publish && mayPublish(this.#rights, source); }
  get #receives() { return this.#options.subscribe && this.#rights.subscribe; }

  /** What is in force now. An m-line that this session lacks comes with another one, which takes this one's place. */
  #onRights(rights) {
    this.#rights = rights;
    this.#emit("rightschange", { rights });
    const lacks = Object.entries(MIDS).some(([source, mid]) => this.#sends(source) && !this.#sending.has(mid));
    const { audio = 1, video = 1 } = this.#options.slots;
    if (lacks || (this.#receives && audio + video > 0 && !this.#receivers.size)) this.#connection.replace();
  }

  #onPosted(session) {
    this.participantId = session.participant;
    this.#wishes.detach();
    if (!this.#events) return this.#openEvents();
    this.#events.move(this.#eventsUrl);
    this.#greet();
  }

  get #eventsUrl() {
    const url = new URL(`${this.#connection.baseUrl}/rooms/${encodeURIComponent(this.#options.room)}/events`);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return url;
  }

  #openEvents() {
    this.#events = new EventChannel(this.#eventsUrl, this.#options.token, {
      since: () => this.#roster.onReconnect(),
      // Nobody could tell what is wanted meanwhile.
      onLost: () => this.#publications.follow(null),
      onMessage: (message) => this.#onMessage(message),
    });
  }

  #onMessage(message) {
    if (message.type === "slots") {
      if (message.session === this.#connection.session?.id) this.#contributors.onSlots(message.slots);
    } else if (message.type === "demand") {
      if (message.session === this.#connection.session?.id) this.#publications.follow(message.tracks);
    } else if (message.type === "rights") {
      this.#onRights(readRights(message.rights));
    } else if (message.type === "draining") {
      this.#onDraining(message.draining ? { endsInSeconds: message.ends_in_s } : null);
    } else if (message.type === "error") {
      this.#onError(new RouterError(message));
    } else if (this.#roster.handle(message)) {
      this.#contributors.refresh();
      // A node that drains says so after its welcome.
      if (message.type === "welcome") this.#onDraining(null);
      if (message.type === "welcome") this.participantId = message.you ?? this.participantId;
      if (message.type === "welcome" || message.type === "resumed") this.#greet();
    }
  }

  /** What a new session or a new events connection has to be told. */
  #greet() {
    const { session } = this.#connection;
    if (!session) return;
    this.#describe();
    if (this.#options.pauseUnwatched) this.#events.send({ type: "follow", session: session.id, follows: true });
    this.#wishes.attach(session.id, this.receivedTracks().filter(({ track }) => track.kind === "video").map(({ mid }) => mid));
  }

  /** Tells the room what each m-line is; a track sent but not described shows as "unknown". */
  #describe() {
    const { session } = this.#connection;
    if (session) this.#events?.send({ type: "publish", session: session.id, tracks: this.#publications.describe() });
  }

  #onRosterEvent = (type, detail) => {
    this.#emit(type, detail);
    if (type.startsWith("participant")) this.#wishes.forget((trackId) => this.#roster.findTrack(trackId));
    const isMe = type === "participantleft" && detail.participant.id === this.participantId;
    if (isMe && detail.reason === REMOVED) this.#onError(new RouterError({ slug: REMOVED, detail: "a moderator removed you from the room" }));
  };

  #onError(error) {
    if (FINAL.includes(error.slug)) this.#close(error);
    else if (MOVING.includes(error.slug)) this.#move(error);
    else this.#emit("error", { error });
  }

  /** The session here ends or has ended; another one begins where the room is, unless it did meanwhile. */
  #move({ nodeUrl }) {
    const { session } = this.#connection;
    if (nodeUrl) this.#connection.baseUrl = nodeUrl;
    const replace = () => this.#state !== "closed" && this.#connection.session === session && this.#connection.replace();
    setTimeout(replace, Math.random() * MOVE_JITTER_MS);
  }

  #onDraining(draining) {
    if (!draining && !this.#draining) return;
    this.#draining = draining;
    this.#emit("drainingchange", { draining });
  }

  #slotShowing(trackId) {
    return [...this.slots.values()].find((slot) => slot.trackId === trackId) ?? null;
  }

  #ask(message) {
    if (this.#events) return this.#events.request(message);
    return Promise.reject(new RouterError({ slug: "events-closed", detail: "not in the room" }));
  }

  async #publishOwned(source, track) {
    await this.publishTrack(source, track, { owned: true });
    return track;
  }

  #onPageHide = () => this.#connection.onPageHide();

  async #close(error = null) {
    if (this.#state === "closed") return;
    this.#setState("closed", error);
    removeEventListener("pagehide", this.#onPageHide);
    this.#events?.close();
    this.#wishes.detach();
    this.#contributors.detach();
    this.#publications.stop();
    await this.#connection.close({ ended: FINAL.includes(error?.slug) });
  }

  #setState(state, error = null) {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    this.#emit("statechange", { state, error });
  }

  #emit = (type, detail) => this.dispatchEvent(new CustomEvent(type, { detail }));
}
