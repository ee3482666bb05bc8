/**
 * fork-router's browser client: one dependency-free ES module.
 *
 * One WHEP request joins both ways (draft-ietf-wish-whep with sendrecv m-lines): a fixed set of sending m-lines
 * (microphone, camera, screen, screen sound) and of receiving m-lines, the slots. Nothing is renegotiated afterwards:
 * a device is switched on and off with replaceTrack, and who is in a slot is told over the events WebSocket.
 * Connection loss is mended in two stages: an ICE restart (RFC 9725 section 4.3.3), then a full rejoin.
 * Local descriptions are never edited. Types: client.d.ts.
 */

const RECONNECT_DELAYS_MS = [0, 300, 1200, 2700, 4800, 7000, 7000, 7000, 7000, 7000];
const RESUME_ATTEMPTS = 2;
const DISCONNECTED_GRACE_MS = 3000;
const CONNECT_TIMEOUT_MS = 10000;
const PING_INTERVAL_MS = 15000;
const REQUEST_TIMEOUT_MS = 8000;
// The token has expired or does not give the right: trying again would change nothing.
const REFUSED = [401, 403];

/** The m-lines that send, in the order in which they are offered. */
const SOURCES = [
  { source: "microphone", kind: "audio" },
  { source: "camera", kind: "video" },
  { source: "screen", kind: "video" },
  { source: "screen-audio", kind: "audio" },
];

/** Three layers by default: a quarter, a half and the full picture. */
const CAMERA_ENCODINGS = [
  { rid: "q", scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 500_000 },
  { rid: "f", maxBitrate: 2_000_000 },
];

/** The codecs the router forwards, in few variants: a Chromium offer of 24 m-lines with all of them tops 64 KiB. */
const wantedCodecs = (kind) =>
  RTCRtpReceiver.getCapabilities(kind).codecs.filter(
    ({ mimeType, sdpFmtpLine = "" }) =>
      /\/(opus|VP8|AV1|rtx)$/i.test(mimeType) ||
      (/\/VP9$/i.test(mimeType) && /profile-id=0|^$/.test(sdpFmtpLine)) ||
      (/\/H264$/i.test(mimeType) && /packetization-mode=1/.test(sdpFmtpLine)),
  );

/** What getStats() keeps of the browser's figures: counters start at 0, gauges are null while unknown. */
const INBOUND = {
  counters: ["packetsLost", "packetsReceived", "framesDecoded", "freezeCount", "concealedSamples", "totalSamplesReceived"],
  gauges: ["jitter", "framesPerSecond", "frameWidth", "frameHeight", "audioLevel"],
};
const OUTBOUND = {
  counters: ["packetsSent", "nackCount", "pliCount"],
  gauges: ["framesPerSecond", "frameWidth", "frameHeight", "qualityLimitationReason"],
};

const pick = (stat, { counters, gauges }) =>
  Object.fromEntries([...counters.map((name) => [name, stat[name] ?? 0]), ...gauges.map((name) => [name, stat[name] ?? null])]);

/** A refusal of the router: RFC 9457 problem JSON as an exception. */
export class RouterError extends Error {
  constructor(problem, status, retryAfterSeconds = null) {
    super(problem.detail || problem.title || `HTTP ${status}`);
    this.name = "RouterError";
    this.slug = problem.slug || "unknown";
    this.status = status;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

async function request(url, options, token) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  const response = await fetch(url, { signal, ...options, headers });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({ title: response.statusText }));
  throw new RouterError(problem, response.status, Number(response.headers.get("Retry-After")) || null);
}

const delay = (ms, signal) =>
  new Promise((resolve, reject) => {
    setTimeout(resolve, ms);
    signal.addEventListener("abort", () => reject(signal.reason));
  });

const attribute = (sdp, name) => sdp.match(new RegExp(`^a=${name}:(.*)$`, "m"))?.[1].trim();

/** The answer in force with another ICE generation in place of its own: what a restart's fragment means. */
function applyFragment(sdp, fragment) {
  const ufrag = attribute(fragment, "ice-ufrag");
  const password = attribute(fragment, "ice-pwd");
  if (!ufrag || !password) throw new RouterError({ slug: "bad-fragment", detail: "restart reply without credentials" }, 502);
  return sdp.replace(/^a=ice-ufrag:.*$/gm, `a=ice-ufrag:${ufrag}`).replace(/^a=ice-pwd:.*$/gm, `a=ice-pwd:${password}`);
}

/** The offer's first m-section as a trickle-ice-sdpfrag (RFC 8840). */
function writeFragment(sdp) {
  const attributes = ["mid", "ice-ufrag", "ice-pwd"].map((name) => `a=${name}:${attribute(sdp, name)}`);
  return [sdp.match(/^m=.*$/m)[0].trim(), ...attributes, ""].join("\r\n");
}

/** The events WebSocket of one room: reconnects by itself until closed. */
class EventChannel {
  #url;
  #token;
  #onMessage;
  #socket = null;
  #closed = false;
  #attempt = 0;
  #timer = null;
  #ping = null;

  constructor(url, token, onMessage) {
    this.#url = url;
    this.#token = token;
    this.#onMessage = onMessage;
    this.#open();
  }

  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  close() {
    this.#closed = true;
    [this.#timer, this.#ping].forEach(clearTimeout);
    this.#socket?.close(1000);
  }

  #open() {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onopen = () => {
      this.#attempt = 0;
      socket.send(JSON.stringify({ type: "auth", token: this.#token }));
      clearInterval(this.#ping);
      this.#ping = setInterval(() => this.send({ type: "ping" }), PING_INTERVAL_MS);
    };
    socket.onmessage = (event) => this.#onMessage(JSON.parse(event.data));
    socket.onclose = ({ code }) => {
      clearInterval(this.#ping);
      if (this.#closed || socket !== this.#socket || REFUSED.includes(code - 4000)) return;
      const wait = RECONNECT_DELAYS_MS[Math.min(this.#attempt++, RECONNECT_DELAYS_MS.length - 1)];
      this.#timer = setTimeout(() => this.#open(), Math.max(wait, 300) + Math.random() * 500);
    };
  }
}

/**
 * One person's place in a room.
 *
 * Events (`CustomEvent`, payload in `detail`): statechange, participantjoined, participantleft, participantchanged,
 * slotchange, localtrack, audioblocked, error.
 */
export class Room extends EventTarget {
  #options;
  #pc = null;
  #session = null;
  #events = null;
  #senders = new Map();
  #receivers = new Map();
  #localTracks = new Map();
  #muted = new Map();
  #state = "new";
  #abort = new AbortController();
  #recovering = false;
  #graceTimer = null;
  #previousStats = new Map();

  /** @param {import("./client").RoomOptions} options */
  constructor(options) {
    super();
    this.#options = {
      baseUrl: location.origin,
      publish: true,
      subscribe: true,
      slots: { audio: 8, video: 12 },
      simulcast: true,
      iceServers: [],
      ...options,
    };
    this.participants = new Map();
    this.slots = new Map();
    this.participantId = null;
    this.audioBlocked = false;
  }

  get state() { return this.#state; }

  get peerConnection() { return this.#pc; }

  /** Connects: resolves once media can flow. Tracks published before are sent from the first packet on. */
  async join() {
    if (this.#state !== "new") throw new Error(`join() was called in state ${this.#state}`);
    this.#setState("connecting");
    try {
      await this.#connect();
    } catch (error) {
      await this.#giveUp(error);
      throw error;
    }
    addEventListener("pagehide", this.#onPageHide);
    this.#openEvents();
    this.#setState("connected");
  }

  /** Leaves the room and stops every device that this object opened. */
  async leave() {
    if (this.#state === "closed") return;
    this.#setState("closed");
    this.#abort.abort(new DOMException("left the room", "AbortError"));
    removeEventListener("pagehide", this.#onPageHide);
    this.#events?.close();
    for (const { track, owned } of this.#localTracks.values()) if (owned) track.stop();
    this.#localTracks.clear();
    await this.#teardown();
  }

  async publishCamera(constraints = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } }) {
    const stream = await navigator.mediaDevices.getUserMedia({ video: constraints });
    return this.#publishDevice("camera", stream.getTracks());
  }

  async publishMicrophone(constraints = { echoCancellation: true, noiseSuppression: true, autoGainControl: true }) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: constraints });
    return this.#publishDevice("microphone", stream.getTracks());
  }

  async publishScreen(options = { video: { frameRate: { ideal: 15 } }, audio: true }) {
    const stream = await navigator.mediaDevices.getDisplayMedia(options);
    const [sound] = stream.getAudioTracks();
    if (sound) await this.publishTrack("screen-audio", sound, { owned: true });
    const [picture] = stream.getVideoTracks();
    picture.contentHint = "detail";
    picture.addEventListener("ended", () => this.unpublish("screen").then(() => this.unpublish("screen-audio")));
    await this.publishTrack("screen", picture, { owned: true });
    return picture;
  }

  /** Sends a track of one's own making in place of a source's current one. */
  async publishTrack(source, track, { owned = false } = {}) {
    const expected = SOURCES.find((entry) => entry.source === source);
    if (!expected) throw new TypeError(`unknown source "${source}": expected ${SOURCES.map((s) => s.source).join(", ")}`);
    if (track.kind !== expected.kind) throw new TypeError(`source ${source} takes ${expected.kind}, not ${track.kind}`);
    const previous = this.#localTracks.get(source);
    this.#localTracks.set(source, { track, owned });
    this.#muted.delete(source);
    await this.#senders.get(source)?.sender.replaceTrack(track);
    if (previous?.owned && previous.track !== track) previous.track.stop();
    this.#describe();
    this.#emit("localtrack", { source, track });
  }

  /** Stops sending a source and releases its device. */
  async unpublish(source) {
    const entry = this.#localTracks.get(source);
    if (!entry) return;
    this.#localTracks.delete(source);
    await this.#senders.get(source)?.sender.replaceTrack(null);
    if (entry.owned) entry.track.stop();
    this.#describe();
    this.#emit("localtrack", { source, track: null });
  }

  /** Stops sending without releasing the device; the others see the track as muted. */
  async mute(source, muted = true) {
    const entry = this.#localTracks.get(source);
    if (!entry || this.isMuted(source) === muted) return;
    this.#muted.set(source, muted);
    entry.track.enabled = !muted;
    await this.#senders.get(source)?.sender.replaceTrack(muted ? null : entry.track);
    this.#describe();
    this.#emit("localtrack", { source, track: entry.track });
  }

  unmute(source) { return this.mute(source, false); }
  isMuted(source) { return this.#muted.get(source) === true; }

  localTrack(source) { return this.#localTracks.get(source)?.track ?? null; }

  /** The received track that shows a published track now, or null while it has no slot. */
  trackFor(trackId) {
    for (const [mid, slot] of this.slots) if (slot.trackId === trackId) return this.#receivers.get(mid)?.receiver.track ?? null;
    return null;
  }

  /** Received tracks with their m-line, the audio ones to be played by an element each. */
  receivedTracks() {
    return [...this.#receivers].map(([mid, { receiver }]) => ({ mid, track: receiver.track }));
  }

  /** Loudness 0-1 by participant id, from the audio slots (RTCRtpReceiver.getSynchronizationSources). */
  audioLevels() {
    const levels = new Map();
    for (const [mid, slot] of this.slots) {
      if (slot.kind !== "audio" || !slot.participantId) continue;
      const newest = this.#receivers.get(mid)?.receiver.getSynchronizationSources()[0];
      if (!newest || performance.timeOrigin + performance.now() - newest.timestamp > 1000) continue;
      levels.set(slot.participantId, Math.max(levels.get(slot.participantId) ?? 0, newest.audioLevel ?? 0));
    }
    return levels;
  }

  /** Figures of the connection, each sending m-line and each slot; rates are since the previous call. */
  async getStats() {
    const result = { roundTripTime: null, sending: [], receiving: [] };
    if (!this.#pc) return result;
    const report = await this.#pc.getStats();
    for (const stat of report.values()) {
      if (stat.type === "candidate-pair" && stat.nominated) result.roundTripTime = stat.currentRoundTripTime ?? null;
      if (stat.type === "inbound-rtp") result.receiving.push(this.#inbound(stat));
      if (stat.type === "outbound-rtp") result.sending.push(this.#outbound(stat));
    }
    return result;
  }

  /** Plays sound in these elements; where the browser wants a gesture first, `audioblocked` asks for a click. */
  async startAudio(elements) {
    const plays = await Promise.allSettled([...elements].map((element) => element.play()));
    const blocked = plays.some(({ reason }) => reason?.name === "NotAllowedError");
    if (blocked && !this.audioBlocked) this.#emit("audioblocked", {});
    this.audioBlocked = blocked;
  }

  async #connect() {
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle", iceServers: this.#options.iceServers });
    this.#pc = pc;
    this.#addTransceivers(pc);
    await pc.setLocalDescription();
    const url = `${this.#options.baseUrl}/whep/${encodeURIComponent(this.#options.room)}`;
    const post = { method: "POST", headers: { "Content-Type": "application/sdp" }, body: pc.localDescription.sdp };
    const response = await request(url, post, this.#options.token);
    const resource = new URL(response.headers.get("Location"), url);
    this.#session = { url: resource.href, id: resource.pathname.split("/").pop(), etag: response.headers.get("ETag") };
    await pc.setRemoteDescription({ type: "answer", sdp: await response.text() });
    this.#indexTransceivers(pc);
    await this.#connected(pc);
    pc.onconnectionstatechange = () => this.#onConnectionState(pc);
  }

  #addTransceivers(pc) {
    this.#senders.clear();
    if (this.#options.publish) {
      for (const { source, kind } of SOURCES) {
        const entry = this.#localTracks.get(source);
        const track = entry && !this.isMuted(source) ? entry.track : kind;
        const init = { direction: "sendonly" };
        if (source === "camera" && this.#options.simulcast) init.sendEncodings = CAMERA_ENCODINGS.map((e) => ({ ...e }));
        if (source === "screen") init.sendEncodings = [{ maxBitrate: 2_500_000 }];
        const transceiver = pc.addTransceiver(track, init);
        transceiver.setCodecPreferences(wantedCodecs(kind));
        this.#senders.set(source, transceiver);
      }
    }
    if (!this.#options.subscribe) return;
    for (const kind of ["audio", "video"]) {
      for (let i = 0; i < this.#options.slots[kind]; i++) {
        pc.addTransceiver(kind, { direction: "recvonly" }).setCodecPreferences(wantedCodecs(kind));
      }
    }
  }

  #indexTransceivers(pc) {
    this.#receivers.clear();
    for (const transceiver of pc.getTransceivers()) {
      if (transceiver.direction === "recvonly" && transceiver.mid !== null) this.#receivers.set(transceiver.mid, transceiver);
    }
  }

  #connected(pc) {
    return new Promise((resolve, reject) => {
      const fail = (slug) => reject(new RouterError({ slug, detail: "no media path to the router could be set up" }, 0));
      const timer = setTimeout(() => fail("connect-timeout"), CONNECT_TIMEOUT_MS);
      const check = () => {
        if (pc.connectionState === "connected") resolve();
        else if (["failed", "closed"].includes(pc.connectionState)) fail("connect-failed");
        else return;
        clearTimeout(timer);
      };
      pc.onconnectionstatechange = check;
      check();
    });
  }

  #onConnectionState(pc) {
    if (pc !== this.#pc || this.#state === "closed") return;
    clearTimeout(this.#graceTimer);
    if (pc.connectionState === "failed") this.#recover();
    if (pc.connectionState === "disconnected") this.#graceTimer = setTimeout(() => this.#recover(), DISCONNECTED_GRACE_MS);
  }

  /** Stage one: an ICE restart keeps keys and slots. Stage two: a new session. */
  async #recover() {
    if (this.#recovering || this.#state === "closed") return;
    this.#recovering = true;
    this.#setState("reconnecting");
    try {
      for (let attempt = 0; attempt < RECONNECT_DELAYS_MS.length; attempt++) {
        const jitter = attempt >= 2 ? Math.random() * 1000 : 0;
        await delay(RECONNECT_DELAYS_MS[attempt] + jitter, this.#abort.signal);
        if (await this.#tryRecover(attempt)) return this.#setState("connected");
      }
      await this.#giveUp(new RouterError({ slug: "reconnect-failed", detail: "gave up reconnecting" }, 0));
    } catch (error) {
      if (REFUSED.includes(error.status)) await this.#giveUp(error);
      else if (error.name !== "AbortError") throw error;
    } finally {
      this.#recovering = false;
    }
  }

  async #giveUp(error) {
    await this.#teardown();
    this.#events?.close();
    this.#setState("closed", error);
  }

  async #tryRecover(attempt) {
    try {
      if (attempt < RESUME_ATTEMPTS && this.#session) await this.#resume();
      else await this.#rejoin();
      return true;
    } catch (error) {
      if (error.name === "AbortError" && this.#abort.signal.aborted) throw error;
      if (REFUSED.includes(error.status)) throw error;
      if (error.status === 404 || error.status === 412) this.#session = null;
      this.#emit("error", { error });
      return false;
    }
  }

  async #resume() {
    const pc = this.#pc;
    if (pc.connectionState === "connected") return;
    if (pc.signalingState === "have-local-offer") await pc.setLocalDescription({ type: "rollback" });
    const answer = pc.remoteDescription.sdp;
    await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
    const response = await request(
      this.#session.url,
      {
        method: "PATCH",
        headers: { "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*" },
        body: writeFragment(pc.localDescription.sdp),
      },
      this.#options.token,
    );
    this.#session.etag = response.headers.get("ETag");
    await pc.setRemoteDescription({ type: "answer", sdp: applyFragment(answer, await response.text()) });
    await this.#connected(pc);
    pc.onconnectionstatechange = () => this.#onConnectionState(pc);
  }

  async #rejoin() {
    await this.#teardown();
    await this.#connect();
    this.#describe();
  }

  async #teardown() {
    const [pc, session] = [this.#pc, this.#session];
    clearTimeout(this.#graceTimer);
    this.#pc = null;
    this.#session = null;
    this.slots.clear();
    if (pc) {
      pc.onconnectionstatechange = null;
      pc.close();
    }
    if (session) await request(session.url, { method: "DELETE", keepalive: true }, this.#options.token).catch(() => {});
  }

  #onPageHide = () => {
    if (this.#session) request(this.#session.url, { method: "DELETE", keepalive: true }, this.#options.token).catch(() => {});
  };

  #openEvents() {
    const url = new URL(`${this.#options.baseUrl}/rooms/${encodeURIComponent(this.#options.room)}/events`);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.#events = new EventChannel(url, this.#options.token, (message) => this.#onMessage(message));
  }

  #onMessage(message) {
    const handler = {
      welcome: this.#onWelcome,
      joined: this.#onParticipant,
      left: this.#onLeft,
      changed: this.#onParticipant,
      slots: this.#onSlots,
      error: (problem) => this.#emit("error", { error: new RouterError(problem, 0) }),
    }[message.type];
    handler?.call(this, message);
  }

  #onWelcome(message) {
    const before = this.participants;
    this.participantId = message.you;
    this.participants = new Map(message.participants.map((p) => [p.id, p]));
    for (const [id, participant] of before) if (!this.participants.has(id)) this.#emit("participantleft", { participant, reason: "resync" });
    for (const participant of this.participants.values()) this.#emit("participantjoined", { participant });
    this.#describe();
  }

  #onLeft({ participant_id: id, reason }) {
    const participant = this.participants.get(id);
    this.participants.delete(id);
    if (participant) this.#emit("participantleft", { participant, reason });
  }

  #onParticipant({ type, participant }) {
    this.participants.set(participant.id, participant);
    this.#emit(`participant${type}`, { participant });
  }

  #onSlots({ session, slots }) {
    if (session !== this.#session?.id) return;
    this.slots = new Map(slots.map((s) => [s.mid, { mid: s.mid, kind: s.kind, trackId: s.track_id, participantId: s.participant_id }]));
    this.#emit("slotchange", {});
  }

  /** Tells the room what each m-line is; a track sent but not described shows as "unknown". */
  #describe() {
    if (!this.#session) return;
    const tracks = {};
    for (const [source, transceiver] of this.#senders) {
      if (transceiver.mid === null) continue;
      tracks[transceiver.mid] = { source, muted: !this.#localTracks.has(source) || this.isMuted(source) };
    }
    this.#events?.send({ type: "publish", session: this.#session.id, tracks });
  }

  async #publishDevice(source, [track]) {
    await this.publishTrack(source, track, { owned: true });
    return track;
  }

  #rate(stat, field) {
    const previous = this.#previousStats.get(stat.id);
    const now = { timestamp: stat.timestamp, value: stat[field] ?? 0 };
    this.#previousStats.set(stat.id, now);
    if (!previous || now.timestamp <= previous.timestamp || now.value < previous.value) return 0;
    return ((now.value - previous.value) * 8000) / (now.timestamp - previous.timestamp);
  }

  #inbound(stat) {
    const slot = this.slots.get(stat.mid);
    const place = { trackId: slot?.trackId ?? null, participantId: slot?.participantId ?? null };
    return { mid: stat.mid, kind: stat.kind, ...place, bitrate: this.#rate(stat, "bytesReceived"), ...pick(stat, INBOUND) };
  }

  #outbound(stat) {
    const { mid, kind, rid = null } = stat;
    return { mid, kind, rid, bitrate: this.#rate(stat, "bytesSent"), ...pick(stat, OUTBOUND) };
  }

  #setState(state, error = null) {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    this.#emit("statechange", { state, error });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** Publishes a stream by plain WHIP (RFC 9725). Resolves to an object with `stop()`. */
export const whipPublish = (url, token, stream) =>
  openSession(url, token, (pc) => {
    for (const track of stream.getTracks()) pc.addTransceiver(track, { direction: "sendonly", streams: [stream] });
  });

/** Plays one audio and one video track by plain WHEP. Resolves to an object with `stream` and `stop()`. */
export const whepPlay = (url, token) =>
  openSession(url, token, (pc) => {
    for (const kind of ["audio", "video"]) pc.addTransceiver(kind, { direction: "recvonly" });
  });

async function openSession(url, token, addTransceivers) {
  const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  const stream = new MediaStream();
  pc.ontrack = ({ track }) => stream.addTrack(track);
  addTransceivers(pc);
  try {
    await pc.setLocalDescription();
    const headers = { "Content-Type": "application/sdp" };
    const response = await request(url, { method: "POST", headers, body: pc.localDescription.sdp }, token);
    const resource = new URL(response.headers.get("Location"), url).href;
    await pc.setRemoteDescription({ type: "answer", sdp: await response.text() });
    const stop = async () => {
      pc.close();
      await request(resource, { method: "DELETE", keepalive: true }, token).catch(() => {});
    };
    return { pc, stream, stop };
  } catch (error) {
    pc.close();
    throw error;
  }
}
