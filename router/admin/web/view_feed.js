/** What happens at this router, newest first: in all rooms, or in the one that is looked at. */

import { el, nameTag, setText, show } from "./dom.js";
import { clockTime, sourceName } from "./format.js";
import { panel, personHref, roomHref } from "./parts.js";

const KEPT = 400;
const SHOWN = 40;
const RENDER_MS = 250;

const track = ({ track: { source, kind } }) => sourceName(source, kind).toLowerCase();
const SENTENCES = {
  room_started: () => "opened",
  room_finished: ({ reason }) => `ended (${reason})`,
  room_locked: () => "was locked",
  room_unlocked: () => "was unlocked",
  room_changed: () => "was changed by an operator",
  participant_joined: () => "joined",
  participant_left: ({ reason }) => `left (${reason})`,
  participant_changed: () => "was changed: name, metadata or rights",
  track_published: (event) => `publishes ${track(event)}`,
  track_unpublished: (event) => `ended ${track(event)}`,
  track_muted: (event) => `muted ${track(event)}`,
  track_unmuted: (event) => `unmuted ${track(event)}`,
  track_changed: (event) => `changed ${track(event)}`,
  quality_changed: ({ quality, before, impairment, direction }) =>
    `${direction === "in" ? "sends" : "receives"} ${quality}, was ${before}${impairment === "none" ? "" : ` (${impairment})`}`,
  node_started: ({ version }) => `started, version ${version}`,
  node_draining: () => "takes no newcomers",
  node_undrained: () => "takes newcomers again",
  node_stopped: () => "stopped",
};
/** Clients declare what they may send later as muted. */
const isNews = ({ event, track }) => event !== "track_published" || !track.muted;
const BAD = new Set(["poor", "lost"]);

export class Feed {
  #events = [];
  #timer = null;
  #room = null;
  #elsewhere = null;

  constructor() {
    this.list = el("ol", { class: "feed", tabindex: 0, "aria-label": "Events, newest first" });
    this.empty = el("p", { class: "empty" }, "Nothing has happened yet.");
    this.state = el("p", { class: "quiet" });
    this.panel = panel("Events", this.list, this.empty);
    this.panel.node.classList.add("side");
    this.panel.head.append(this.state);
  }

  /** Only of this room; null: of all. */
  follow(room) {
    this.#room = room;
    this.list.classList.toggle("of-one", room !== null);
    this.#render();
  }

  /** Of another node's rooms no events come here; null: what is looked at is at this one. */
  place(elsewhere) {
    setText(this.empty, elsewhere ? `Events come from the router that serves this page. Those of ${elsewhere} are on its own dashboard.` : "Nothing has happened yet.");
    if (this.#elsewhere === elsewhere) return;
    this.#elsewhere = elsewhere;
    this.#render();
  }

  add(events) {
    this.#events = [...events.filter(isNews).toReversed(), ...this.#events].slice(0, KEPT);
    this.#timer ??= setTimeout(() => this.#render(), RENDER_MS);
  }

  clear() {
    this.#events = [];
    this.#render();
  }

  setState(open, error) {
    setText(this.state, open ? "live" : error?.status === 503 ? "too many listeners, waiting" : "not connected");
  }

  #render() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const wanted = (this.#elsewhere ? [] : this.#events).filter(({ room }) => this.#room === null || room?.name === this.#room).slice(0, SHOWN);
    const present = new Map([...this.list.children].map((node) => [node.dataset.id, node]));
    this.list.replaceChildren(...wanted.map((event) => present.get(event.id) ?? writeEvent(event)));
    show(this.empty, wanted.length === 0);
    show(this.list, wanted.length > 0);
  }
}

function writeEvent(event) {
  const { room, participant, event: kind } = event;
  const sentence = (SENTENCES[kind] ?? (() => kind.replaceAll("_", " ")))(event);
  const who = participant && el("a", { href: personHref(room.name, participant.id) }, nameTag(participant.name || participant.identity));
  const where = room && el("a", { href: roomHref(room.name), class: participant ? "quiet" : "" }, nameTag(room.name));
  const what = participant ? [who, ` ${sentence}`] : room ? [where, ` ${sentence}`] : [`Router ${sentence}`];
  return el(
    "li",
    { "data-id": event.id, "data-tone": BAD.has(event.quality) ? "bad" : null },
    el("time", { datetime: new Date(event.time * 1000).toISOString() }, clockTime(event.time)),
    el("span", {}, ...what, participant && el("span", { class: "where" }, where)),
  );
}
