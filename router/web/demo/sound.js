/** Playing the others, and showing who speaks. */

import { $ } from "./dom.js";

const SPEAKING_LEVEL = 0.02;
const SPEAKING_HOLD_MS = 600;

/** One hidden element per audio slot, for the life of the connection. */
export function playAudio(room) {
  const tracks = room.receivedTracks().map(({ track }) => track);
  const wanted = new Map(tracks.filter(({ kind }) => kind === "audio").map((track) => [track.id, track]));
  for (const element of [...$("audio").children]) if (!wanted.delete(element.dataset.track)) element.remove();
  const added = [...wanted.values()].map((track) => {
    const element = new Audio();
    element.dataset.track = track.id;
    element.srcObject = new MediaStream([track]);
    $("audio").append(element);
    return element;
  });
  if (added.length) room.startAudio(added);
}

/** The own microphone's loudness; an analyser, because only Chromium reports it in getStats(). */
export class LocalLevel {
  #read = () => 0;
  #context = null;

  watch(track) {
    this.stop();
    if (!track) return;
    this.#context = new AudioContext();
    const analyser = this.#context.createAnalyser();
    this.#context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.#read = () => {
      analyser.getFloatTimeDomainData(samples);
      return samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);
    };
  }

  read() { return this.#read(); }

  stop() {
    this.#context?.close();
    this.#context = null;
    this.#read = () => 0;
  }
}

/** Marks tiles: who is heard now, who has the floor by the router's word, who had it lately. */
export function showSpeakers(room, tiles, localLevel) {
  const levels = room.audioLevels();
  levels.set("me", room.isMuted("microphone") ? 0 : localLevel.read());
  const ownerOf = (trackId) => [...room.participants.values()].find(({ tracks }) => tracks.some(({ id }) => id === trackId))?.id;
  const { dominant, recent } = room.speakers;
  const floor = dominant && ownerOf(dominant);
  const lately = new Set(recent.slice(0, 3).map(ownerOf));
  const now = performance.now();
  for (const tile of tiles) {
    const id = tile.view.participantId;
    const roster = id === "me" ? room.participantId : id;
    if ((levels.get(id) ?? 0) > SPEAKING_LEVEL) tile.spokeAt = now;
    tile.element.classList.toggle("speaking", now - tile.spokeAt < SPEAKING_HOLD_MS);
    tile.element.classList.toggle("dominant", Boolean(floor) && roster === floor && !tile.view.screen);
    tile.element.classList.toggle("recent", lately.has(roster) && roster !== floor && !tile.view.screen);
  }
}
