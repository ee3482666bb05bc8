/** Types of fork-router's browser client; see client.js. */

export type Source = "microphone" | "camera" | "screen" | "screen-audio";
export type RoomState = "new" | "connecting" | "connected" | "reconnecting" | "closed";
export type Kind = "audio" | "video";

export interface RoomOptions {
  /** Room name. */
  room: string;
  /** Join token made by `router token` or by your backend. */
  token: string;
  /** Origin of the router; the page's own by default. */
  baseUrl?: string;
  /**
   * The room's static offer (`GET /rooms/{room}/offer`), where the page has it already: printed into it, or from a CDN.
   * Joining then needs no request before ICE and DTLS. An outdated one is replaced by the router's.
   */
  offer?: string;
  /** Send what the token gives the right to; true by default. */
  publish?: boolean;
  /** Receive, if the token gives the right to; true by default. */
  subscribe?: boolean;
  /** Use at most so many of the slots that the room offers. */
  slots?: { audio?: number; video?: number };
  /** Send the camera in three layers, as the offer asks; true by default. */
  simulcast?: boolean;
  /** Do not send layers that nobody is shown; true by default. What the page itself switched off stays off. */
  pauseUnwatched?: boolean;
  /** Instead of the STUN and TURN servers that the router tells of. */
  iceServers?: RTCIceServer[];
}

export interface Track {
  /** `T_` and the contributor id in eight hexadecimal digits. */
  id: string;
  kind: Kind;
  source: Source | "unknown";
  mid: string;
  /** Media flows now. */
  live: boolean;
  /** Its publisher has switched it off. */
  muted: boolean;
  /** A moderator has switched it off. */
  moderated: boolean;
  /** As CSRC in every packet of a slot that shows it; unique in the room. */
  contributor: number;
}

export interface Participant {
  id: string;
  /** The token's `sub`. */
  identity: string;
  name: string;
  /** The token's `metadata`: the application's own text. */
  metadata: string;
  /** Its token says that it records. */
  recorder: boolean;
  tracks: Track[];
}

export interface Rights {
  publish: boolean;
  /** Of `publish`, only these; null: all. */
  sources: ReadonlySet<Source> | null;
  subscribe: boolean;
  moderate: boolean;
  updateOwnMetadata: boolean;
  /** Others do not hear of this participant. */
  hidden: boolean;
  recorder: boolean;
}

/** A receiving m-line, and who is in it now. */
export interface Slot {
  mid: string;
  kind: Kind;
  contributor: number | null;
  trackId: string | null;
  participantId: string | null;
  /** The router keeps it for a pinned track. Video only, like the two below. */
  pinned: boolean;
  paused: boolean;
  /** Why it shows what it shows, in the router's words. */
  reason: string;
}

/** Somebody who is seen or heard now. */
export interface Contributor {
  mid: string;
  kind: Kind;
  contributor: number;
  trackId: string | null;
  /** Null while the roster has not told of it yet. */
  track: Track | null;
  participant: Participant | null;
  /** Loudness 0-1 of an audio slot, null for video. */
  level: number | null;
}

export interface Speakers {
  /** Track id of the one who has the floor. */
  dominant: string | null;
  /** Track ids of those who had it, the latest first. */
  recent: string[];
}

/** Milliseconds from `join()` to each step; null until it happened. `posted` runs beside `ice` and `dtls`. */
export interface JoinTimings {
  /** The offer is in hand. */
  readonly offer: number | null;
  /** The browser's answer is in force: its first check leaves. */
  readonly answered: number | null;
  readonly ice: number | null;
  readonly dtls: number | null;
  /** The router has taken the answer. */
  readonly posted: number | null;
  /** Media can flow both ways: `join()` resolves. */
  readonly connected: number | null;
  readonly firstAudio: number | null;
  readonly firstFrame: number | null;
}

/** The node that has the room takes no new ones, and ends when it is empty. */
export interface Draining {
  /** Until rooms that are left are closed; null: not before they are empty. */
  endsInSeconds: number | null;
}

export interface ReceivingStats {
  mid: string;
  kind: Kind;
  trackId: string | null;
  participantId: string | null;
  /** Bits per second since the previous call. */
  bitrate: number;
  packetsLost: number;
  packetsReceived: number;
  jitter: number | null;
  framesPerSecond: number | null;
  framesDecoded: number;
  freezeCount: number;
  frameWidth: number | null;
  frameHeight: number | null;
  audioLevel: number | null;
  concealedSamples: number;
  totalSamplesReceived: number;
}

export interface SendingStats {
  mid: string;
  kind: Kind;
  rid: string | null;
  /** Bits per second since the previous call. */
  bitrate: number;
  framesPerSecond: number | null;
  frameWidth: number | null;
  frameHeight: number | null;
  qualityLimitationReason: string | null;
  packetsSent: number;
  nackCount: number;
  pliCount: number;
}

export interface RoomStats {
  /** Seconds. */
  roundTripTime: number | null;
  sending: SendingStats[];
  receiving: ReceivingStats[];
}

/** Part of a wish, per mid: absent fields stay as they were. */
export interface Wish {
  track_id?: string | null;
  width?: number | null;
  height?: number | null;
  paused?: boolean;
}

export interface RoomEventMap {
  /** With "closed", why: null after `leave()`; a RouterError where one was removed, or the token expired or was revoked. */
  statechange: CustomEvent<{ state: RoomState; error: Error | null }>;
  participantjoined: CustomEvent<{ participant: Participant }>;
  participantleft: CustomEvent<{ participant: Participant; reason: string }>;
  /** Tracks of a participant changed. */
  participantchanged: CustomEvent<{ participant: Participant }>;
  /** Other people, or the same in another state, are in these slots. */
  slotchange: CustomEvent<{ mids: string[] }>;
  speakerschange: CustomEvent<Speakers>;
  lockchange: CustomEvent<{ locked: boolean }>;
  /** Of the room. */
  metadatachange: CustomEvent<{ metadata: string }>;
  /** By a newer token or by an operator. Where more may be sent than this session can, another one takes its place. */
  rightschange: CustomEvent<{ rights: Rights }>;
  /** The node is about to go, or no longer: null. Who is inside stays, and moves by itself when the time has come. */
  drainingchange: CustomEvent<{ draining: Draining | null }>;
  /** The router refused part of what `pin`, `show`, `setSize`, `setRates` or `pause` asked for; its pins are dropped. */
  wishrefused: CustomEvent<{ error: Error; slots: Record<string, Wish> }>;
  localtrack: CustomEvent<{ source: Source; track: MediaStreamTrack | null }>;
  audioblocked: CustomEvent<Record<string, never>>;
  error: CustomEvent<{ error: Error }>;
}

/** A refusal of the router (RFC 9457). */
export class RouterError extends Error {
  readonly slug: string;
  /** 0 where no HTTP response was involved. */
  readonly status: number;
  readonly retryAfterSeconds: number | null;
  /** Base URL of the node that has the room or takes it, where the refusal names one; `Room` follows by itself. */
  readonly nodeUrl: string | null;
  /** Trying again with the same token would change nothing. */
  readonly isFinal: boolean;
}

/** One person's place in a room. */
export class Room extends EventTarget {
  constructor(options: RoomOptions);
  readonly state: RoomState;
  readonly peerConnection: RTCPeerConnection | null;
  /** One's own id in the roster. */
  readonly participantId: string | null;
  /** The roster, oneself included, in order of joining. */
  readonly participants: ReadonlyMap<string, Participant>;
  /** The receiving m-lines by mid. */
  readonly slots: ReadonlyMap<string, Slot>;
  readonly speakers: Readonly<Speakers>;
  /** Nobody new may join. */
  readonly locked: boolean;
  /** The application's own text about the room. */
  readonly metadata: string;
  /** In force now: what the token claims, or what the router said later. */
  readonly rights: Readonly<Rights>;
  /** Whether the node is about to go. */
  readonly draining: Draining | null;
  /** The right to moderate. */
  readonly mayModerate: boolean;
  /** Pinned tracks with the mids of their slots. */
  readonly pins: ReadonlyMap<string, string>;
  readonly timings: JoinTimings;
  readonly audioBlocked: boolean;

  /** Connects: resolves once media can flow. Tracks published before are sent from the first packet on. */
  join(): Promise<void>;
  /** Leaves the room and stops every device that this object opened. */
  leave(): Promise<void>;
  /** Hands over a newer token for the same room and identity; its rights are in force at once (`rightschange`). */
  setToken(token: string): void;

  publishCamera(constraints?: MediaTrackConstraints): Promise<MediaStreamTrack>;
  publishMicrophone(constraints?: MediaTrackConstraints): Promise<MediaStreamTrack>;
  publishScreen(options?: DisplayMediaStreamOptions): Promise<MediaStreamTrack>;
  /** Sends a track of one's own making in place of a source's current one. `owned`: to be stopped with the source. */
  publishTrack(source: Source, track: MediaStreamTrack, options?: { owned?: boolean }): Promise<void>;
  /** Stops sending a source and releases its device. */
  unpublish(source: Source): Promise<void>;
  /** Stops sending without releasing the device; the others see the track as muted. */
  mute(source: Source, muted?: boolean): Promise<void>;
  unmute(source: Source): Promise<void>;
  isMuted(source: Source): boolean;
  localTrack(source: Source): MediaStreamTrack | null;

  /** Everybody who is in a slot now, by the contributor that the packets name. */
  contributors(): Contributor[];
  /** The received track that shows a published track now, or null while it has no slot. */
  trackFor(trackId: string): MediaStreamTrack | null;
  /** Received tracks with their m-line, the audio ones to be played by an element each. */
  receivedTracks(): { mid: string; track: MediaStreamTrack }[];
  /** Loudness 0-1 by participant id, from the audio slots. */
  audioLevels(): Map<string, number>;
  /** Figures of the connection, each sending m-line and each slot; rates are since the previous call. */
  getStats(): Promise<RoomStats>;
  /** Plays sound in these elements; where the browser wants a gesture first, `audioblocked` asks for a click. */
  startAudio(elements: Iterable<HTMLMediaElement>): Promise<void>;

  /**
   * Keeps a video track in a slot until `unpin` or until it leaves: in the slot `mid` if given, else where it is shown
   * already, else in an unpinned slot, else in place of the track that was pinned longest.
   */
  pin(trackId: string, options?: { mid?: string }): void;
  /** By track id or by mid. */
  unpin(trackIdOrMid: string): void;
  /** Asks for exactly these video tracks, as many as fit, in the slots that are not pinned, and for nothing else. */
  show(trackIds: Iterable<string>): void;
  /** Leaves the unpinned slots to the router again: recent speakers, then order of joining. */
  showDefault(): void;
  /** States the size in device pixels at which a slot is shown: the smallest layer that covers it is sent, and none beyond. */
  setSize(mid: string, width: number, height: number): void;
  /**
   * States the most bits and frames a second that are of use in a slot; null takes a limit back, what is not named stays.
   * With nothing that slow the slot shows the least there is, or nothing where bits are limited.
   */
  setRates(mid: string, rates: { maxBitrate?: number | null; maxFrameRate?: number | null }): void;
  /** Stops or resumes a video slot. */
  pause(mid: string, paused?: boolean): void;

  /** Switches somebody's track off, or gives it back; needs the right to moderate, like the two below. */
  muteRemote(trackId: string, muted?: boolean): Promise<void>;
  remove(participantId: string): Promise<void>;
  /** Lets nobody new into the room. */
  lock(locked?: boolean): Promise<void>;
  /** Changes what others read of oneself; needs the right to. */
  describe(fields: { name?: string; metadata?: string }): Promise<void>;

  addEventListener<K extends keyof RoomEventMap>(
    type: K,
    listener: (event: RoomEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof RoomEventMap>(
    type: K,
    listener: (event: RoomEventMap[K]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

export interface PlainSession {
  pc: RTCPeerConnection;
  stream: MediaStream;
  stop(): Promise<void>;
}

export function whipPublish(url: string, token: string, stream: MediaStream): Promise<PlainSession>;
export function whepPlay(url: string, token: string): Promise<PlainSession>;
