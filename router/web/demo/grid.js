/** The grid: a tile for each picture or person on the page, its size told to the router, pinned by a click. */

import { listTiles } from "./pages.js";
import { $ } from "./dom.js";

// Narrower than the pictures: their sides may be cut, faces are in the middle.
const PICTURE_RATIO = 4 / 3;
const PINNED_CELLS = 4;
const SIZE_DELAY_MS = 250;
const RESIZED_BY = 0.1;

export class Grid {
  #room;
  #pages;
  #menu;
  #tiles = new Map();
  #sizeTimer = null;
  #told = new Map();
  #observer = new ResizeObserver(() => this.#scheduleSizes());

  /** `menu(tile)` fills a tile's moderation menu. */
  constructor(room, pages, menu) {
    this.#room = room;
    this.#pages = pages;
    this.#menu = menu;
  }

  get tiles() { return this.#tiles.values(); }

  clear() {
    this.#observer.disconnect();
    clearTimeout(this.#sizeTimer);
    for (const { element } of this.#tiles.values()) element.remove();
    this.#tiles.clear();
  }

  /** Brings the tiles in line with the room; `myName` names one's own. */
  render(myName) {
    const others = this.#pages.select(listTiles(this.#room));
    const views = [...this.#viewsOfMe(myName), ...others.map((tile) => this.#viewOf(tile))];
    views.sort((one, other) => Number(other.pinned) - Number(one.pinned));
    const keys = new Set(views.map(({ key }) => key));
    for (const [key, { element }] of this.#tiles) {
      if (keys.has(key)) continue;
      this.#observer.unobserve(element);
      element.remove();
      this.#tiles.delete(key);
    }
    views.forEach((view, index) => this.#showTile(view, index));
    this.#layOut(views);
    this.#showPages(others.length);
    this.#scheduleSizes();
  }

  #viewsOfMe(name) {
    const room = this.#room;
    const camera = room.isMuted("camera") ? null : room.localTrack("camera");
    const muted = room.localTrack("microphone") === null || room.isMuted("microphone");
    const views = [{ key: "me", name, picture: camera, mirror: true, muted, participantId: "me" }];
    const screen = room.localTrack("screen");
    if (screen) views.push({ key: "me/screen", name: `${name}, screen`, picture: screen, screen: true, participantId: "me" });
    return views.map((view) => ({ screen: false, mirror: false, muted: false, trackId: null, person: null, pinned: false, ...view }));
  }

  #viewOf({ key, person, track }) {
    const screen = track?.source === "screen";
    const voice = person.tracks.some((other) => other.source === "microphone" && other.live && !other.muted && !other.moderated);
    return {
      key,
      name: person.name + (screen ? ", screen" : ""),
      picture: track && this.#room.trackFor(track.id),
      mirror: false,
      screen,
      muted: !voice && !screen,
      participantId: person.id,
      trackId: track?.id ?? null,
      person,
      pinned: track !== null && this.#room.pins.has(track.id),
    };
  }

  #showTile(view, index) {
    const tile = this.#tiles.get(view.key) ?? this.#createTile(view.key);
    const { element } = tile;
    const current = tile.video.srcObject?.getTracks()[0] ?? null;
    if (current !== (view.picture ?? null)) {
      tile.video.srcObject = view.picture ? new MediaStream([view.picture]) : null;
      if (view.picture) tile.video.play().catch(() => {});
    }
    tile.view = view;
    element.dataset.participant = view.participantId;
    element.classList.toggle("has-picture", Boolean(view.picture));
    for (const state of ["screen", "mirror", "pinned"]) element.classList.toggle(state, view[state]);
    element.style.order = index;
    tile.name.textContent = view.name;
    tile.avatar.textContent = [...view.name][0]?.toUpperCase() ?? "?";
    tile.mute.toggleAttribute("hidden", !view.muted);
    tile.pin.toggleAttribute("hidden", view.trackId === null);
    tile.pin.setAttribute("aria-pressed", String(view.pinned));
    tile.pin.setAttribute("aria-label", `Pin ${view.name}`);
    this.#menu(tile);
  }

  #createTile(key) {
    const element = $("tile").content.firstElementChild.cloneNode(true);
    const part = (selector) => element.querySelector(selector);
    const tile = { element, video: part("video"), avatar: part(".avatar"), mute: part(".mute"), name: part(".name"), pin: part(".pin") };
    Object.assign(tile, { menu: part(".moderate"), view: null, spokeAt: -Infinity });
    tile.video.muted = true;
    element.addEventListener("click", (event) => {
      if (!event.target.closest(".moderate")) this.#togglePin(tile.view);
    });
    $("grid").append(element);
    this.#observer.observe(element);
    this.#tiles.set(key, tile);
    return tile;
  }

  #togglePin({ trackId, pinned }) {
    if (trackId === null) return;
    if (pinned) this.#room.unpin(trackId);
    else this.#room.pin(trackId);
    this.#room.dispatchEvent(new Event("pinchange"));
  }

  /** As many columns as make the pictures largest; a pinned tile takes two by two. */
  #layOut(views) {
    const grid = $("grid");
    const spread = views.length > 2;
    grid.classList.toggle("spread", spread);
    const cells = views.reduce((sum, { pinned }) => sum + (pinned && spread ? PINNED_CELLS : 1), 0);
    const least = spread && views.some(({ pinned }) => pinned) ? 2 : 1;
    const height = (columns) => {
      const rows = Math.ceil(cells / columns);
      return Math.min(grid.clientHeight / rows, grid.clientWidth / columns / PICTURE_RATIO);
    };
    let best = least;
    for (let columns = least; columns <= cells; columns++) if (height(columns) > height(best)) best = columns;
    grid.style.setProperty("--columns", String(best));
  }

  #showPages(shown) {
    const { page, count, total } = this.#pages;
    $("pages").hidden = count < 2;
    $("page-text").textContent = `${shown} of ${total} shown`;
    $("previous-page").disabled = page === 0;
    $("next-page").disabled = page >= count - 1;
  }

  #scheduleSizes() {
    this.#sizeTimer ??= setTimeout(() => this.#tellSizes(), SIZE_DELAY_MS);
  }

  /** In device pixels; small changes are not worth a message. */
  #tellSizes() {
    this.#sizeTimer = null;
    for (const { element, view } of this.#tiles.values()) {
      const slot = view.trackId && [...this.#room.slots.values()].find(({ trackId }) => trackId === view.trackId);
      if (!slot) continue;
      const width = Math.round(element.clientWidth * devicePixelRatio);
      const told = this.#told.get(slot.mid) ?? 0;
      if (Math.abs(width - told) <= told * RESIZED_BY) continue;
      this.#told.set(slot.mid, width);
      this.#room.setSize(slot.mid, width, element.clientHeight * devicePixelRatio);
    }
  }
}
