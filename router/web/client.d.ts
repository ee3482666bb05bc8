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
  /** Offer m-lines to send; needs the right to publish. */
  publish?: boolean;
  /** Offer slots to receive; needs the right to subscribe. */
  subscribe?: boolean;
  /** How many receiving m-lines of each kind. */
  slots?: { audio: number; video: number };
  /** Send the camera in three layers. */
  simulcast?: boolean;
  iceServers?: RTCIceServer[];
}

export interface Track {
  id: string;
  kind: Kind;
  source: Source | "unknown";
  mid: string;
  live: boolean;
  muted: boolean;
  contributor: number;
}

export interface Participant {
  id: string;
  identity: string;
  name: string;
  sessions: number;
  tracks: Track[];
}

export interface Slot {
  mid: string;
  kind: Kind;
  trackId: string | null;
  participantId: string | null;
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

export interface RoomEventMap {
  statechange: CustomEvent<{ state: RoomState; error: Error | null }>;
  participantjoined: CustomEvent<{ participant: Participant }>;
  participantleft: CustomEvent<{ participant: Participant; reason: string }>;
  participantchanged: CustomEvent<{ participant: Participant }>;
  slotchange: CustomEvent<Record<string, never>>;
  localtrack: CustomEvent<{ source: Source; track: MediaStreamTrack | null }>;
  audioblocked: CustomEvent<Record<string, never>>;
  error: CustomEvent<{ error: Error }>;
}

/** A refusal of the router (RFC 9457). */
export class RouterError extends Error {
  readonly slug: string;
  readonly status: number;
  readonly retryAfterSeconds: number | null;
}

export class Room extends EventTarget {
  constructor(options: RoomOptions);
  readonly state: RoomState;
  readonly peerConnection: RTCPeerConnection | null;
  readonly participantId: string | null;
  readonly participants: ReadonlyMap<string, Participant>;
  readonly slots: ReadonlyMap<string, Slot>;
  readonly audioBlocked: boolean;
  join(): Promise<void>;
  leave(): Promise<void>;
  publishCamera(constraints?: MediaTrackConstraints): Promise<MediaStreamTrack>;
  publishMicrophone(constraints?: MediaTrackConstraints): Promise<MediaStreamTrack>;
  publishScreen(options?: DisplayMediaStreamOptions): Promise<MediaStreamTrack>;
  publishTrack(source: Source, track: MediaStreamTrack, options?: { owned?: boolean }): Promise<void>;
  unpublish(source: Source): Promise<void>;
  mute(source: Source, muted?: boolean): Promise<void>;
  unmute(source: Source): Promise<void>;
  isMuted(source: Source): boolean;
  localTrack(source: Source): MediaStreamTrack | null;
  trackFor(trackId: string): MediaStreamTrack | null;
  receivedTracks(): { mid: string; track: MediaStreamTrack }[];
  audioLevels(): Map<string, number>;
  getStats(): Promise<RoomStats>;
  startAudio(elements: Iterable<HTMLMediaElement>): Promise<void>;
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
