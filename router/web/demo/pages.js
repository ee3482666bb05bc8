/**
 * Which tiles are on screen when there are more people than video slots. The first page is the router's choice: pinned
 * tracks, who is in a slot, recent speakers. The pages after it go through everybody else in order of joining, and ask
 * the router for exactly the pictures they show.
 */

const DEFAULT_SIZE = 9;
/** How long the first page is kept as it was, after coming back to it. */
export const RETURN_MS = 1000;

/** One tile a picture, or one a person without picture; others only. */
export function listTiles(room) {
  const tiles = [];
  for (const person of room.participants.values()) {
    if (person.id === room.participantId) continue;
    const pictures = person.tracks.filter((track) => track.kind === "video" && track.live && !track.muted && !track.moderated);
    const face = pictures.find((track) => track.source !== "screen") ?? null;
    for (const track of pictures) if (track !== face) tiles.push({ key: track.id, person, track });
    tiles.push({ key: person.id, person, track: face });
  }
  return tiles;
}

export class Pages {
  #room;
  #page = 0;
  #tiles = [];
  #first = new Set();
  #returnedAt = -Infinity;

  constructor(room) {
    this.#room = room;
  }

  get page() { return this.#page; }

  /** How many there are now. */
  get count() {
    const size = this.#size - this.#pinned.length;
    return 1 + Math.ceil((this.#tiles.length - this.#first.size) / Math.max(1, size));
  }

  get total() { return this.#tiles.length; }

  turn(by) {
    const before = this.#page;
    this.#page = Math.min(Math.max(0, before + by), this.count - 1);
    if (before > 0 && this.#page === 0) this.#returnedAt = performance.now();
  }

  /** The tiles of the page, and the router asked for their pictures. */
  select(tiles) {
    this.#tiles = tiles;
    const present = new Set(tiles.map(({ key }) => key));
    this.#first = new Set([...this.#first].filter((key) => present.has(key)));
    this.turn(0);
    // Right after coming back the slots still show the other page.
    if (this.#page === 0 && performance.now() - this.#returnedAt > RETURN_MS) this.#first = this.#chooseFirst();
    const shown = this.#page === 0 ? tiles.filter(({ key }) => this.#first.has(key)) : this.#later();
    if (this.#page === 0) this.#room.showDefault();
    else this.#room.show(shown.flatMap(({ track }) => (track ? [track.id] : [])));
    return shown;
  }

  get #size() {
    return [...this.#room.slots.values()].filter(({ kind }) => kind === "video").length || DEFAULT_SIZE;
  }

  get #pinned() { return this.#tiles.filter(({ track }) => track && this.#room.pins.has(track.id)); }

  #chooseFirst() {
    const inSlot = new Set([...this.#room.slots.values()].map(({ trackId }) => trackId));
    const recent = new Map(this.#room.speakers.recent.map((trackId, index) => [trackId, index]));
    const rank = ({ track, person }) => {
      if (track && this.#room.pins.has(track.id)) return 0;
      if (track && inSlot.has(track.id)) return 1;
      const spoke = person.tracks.map(({ id }) => recent.get(id)).find((index) => index !== undefined);
      return spoke === undefined ? 1000 : 2 + spoke;
    };
    const sorted = this.#tiles.map((tile) => [rank(tile), tile]).sort(([one], [other]) => one - other);
    return new Set(sorted.slice(0, this.#size).map(([, { key }]) => key));
  }

  #later() {
    const pinned = this.#pinned;
    const rest = this.#tiles.filter((tile) => !this.#first.has(tile.key) && !pinned.includes(tile));
    const size = Math.max(1, this.#size - pinned.length);
    return [...pinned, ...rest.slice((this.#page - 1) * size, this.#page * size)];
  }
}
