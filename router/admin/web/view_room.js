/** A room: how it does, and everybody in it. */

import { el, nameTag, setText } from "./dom.js";
import { bitrate, count, duration, milliseconds, plural, sourceName } from "./format.js";
import { badge, Card, linkCell, lossCell, panel, personHref, qualityCell, qualityName, qualityTone, rateFigure, shareFigure, sparkCell } from "./parts.js";
import { ListControls, Table, textCell } from "./table.js";

const SORTS = [["name", "By name"], ["bitrate", "Most traffic"], ["loss", "Most loss"], ["quality", "Worst quality"], ["size", "Most tracks"]];

export class RoomView {
  constructor(app, room) {
    Object.assign(this, { app, room, title: room });
    this.locked = badge();
    this.quality = badge();
    this.place = badge();
    this.cards = {
      people: new Card("People", { floor: 2, tint: "tint-6" }),
      in: new Card("Received", { floor: 1e5, tint: "tint-1" }),
      out: new Card("Sent", { floor: 1e5, tint: "tint-2" }),
      loss: new Card("Loss to receivers", { floor: 0.05, tint: "tint-3" }),
    };
    this.controls = new ListControls({ noun: "people", sorts: SORTS, onChange: () => app.refresh() });
    this.people = new Table({ caption: "People", keyOf: (person) => person.id, empty: "Nobody is here.", columns: this.#columns() });
    const people = panel("People", this.people.node, this.controls.foot);
    people.head.append(this.controls.head);
    this.node = el(
      "div",
      { class: "view" },
      el("header", { class: "title" }, el("h1", { tabindex: -1 }, nameTag(room)), this.quality.node, this.locked.node, this.place.node),
      el("div", { class: "cards" }, ...Object.values(this.cards).map(({ node }) => node)),
      people.node,
    );
  }

  load(signal) {
    return this.app.api.get(["rooms", this.room, "overview"], { query: this.controls.query, signal });
  }

  update({ room, participants, total, time }) {
    const now = Date.now();
    const { history } = this.app;
    const { figures } = room;
    const push = (key, value) => history.push(`${key} of room ${room.name}`, now, value);
    for (const person of participants) {
      history.push(`up ${person.id}`, now, person.figures.bitrate_in);
      history.push(`down ${person.id}`, now, person.figures.bitrate_out);
    }
    this.cards.people.update([count(room.participants)], plural(room.tracks, "live track", "live tracks"), push("people", room.participants), now);
    this.cards.in.update(rateFigure(figures.bitrate_in), `open for ${duration(time - Date.parse(room.created_at) / 1000)}`, push("in", figures.bitrate_in), now);
    const limited = figures.limited ? `${plural(figures.limited, "picture", "pictures")} smaller for want of bandwidth` : "no link holds a picture back";
    this.cards.out.update(rateFigure(figures.bitrate_out), limited, push("out", figures.bitrate_out), now);
    this.cards.loss.update(shareFigure(figures.loss_out), "before repair, by their reports", push("loss", figures.loss_out), now);
    this.quality.set(figures.quality && qualityName(figures.quality), qualityTone(figures.quality));
    this.place.set(this.app.api.elsewhere && `At ${this.app.api.elsewhere}`, "none");
    this.locked.set(room.locked ? "Locked" : "", "none");
    this.people.update(participants);
    setText(this.people.empty, this.controls.query.search ? "Nobody has such a name." : "Nobody is here.");
    this.controls.update(total);
  }

  #columns() {
    const series = (key) => (person) => [this.app.history.get(`${key} ${person.id}`), Date.now()];
    const rate = (title, key, read) => ({ title, kind: "number", cell: sparkCell({ read, format: bitrate, series: series(key), floor: 5e4 }) });
    return [
      {
        title: "Name",
        kind: "main",
        cell: linkCell({ hrefOf: (person) => personHref(this.room, person.id), nameOf: nameOf, notesOf: describePerson }),
      },
      rate("Sends", "up", (person) => person.figures.bitrate_in),
      rate("Receives", "down", (person) => person.figures.bitrate_out),
      { title: "Loss", kind: "number wide", cell: lossCell((person) => person.figures) },
      { title: "Round trip", kind: "number wide", cell: textCell((person) => milliseconds(person.figures.round_trip_time)) },
      { title: "Link carries", kind: "number wide", cell: textCell((person) => bitrate(person.figures.estimate)) },
      { title: "Quality", kind: "state", cell: qualityCell((person) => person.figures.quality) },
    ];
  }
}

export const nameOf = (person) => person.name || person.identity;

const describePerson = (person) => [
  person.name && person.identity !== person.name && person.identity,
  person.hidden && "hidden",
  person.recorder && "records",
  // Screens that are not shared are there, muted; that is no news.
  ...person.sources
    .filter(({ source, muted }) => !muted || source === "microphone" || source === "camera")
    .map((track) => `${sourceName(track.source, track.kind)}${track.muted ? " muted" : track.live ? "" : " silent"}`),
];
