/** The first page: a router in figures, the nodes beside it, what video slots show, and its rooms. */

import { ShareBar } from "./charts.js";
import { el, nameTag, setText, show } from "./dom.js";
import { bitrate, count, duration, percent, plural } from "./format.js";
import { Rates } from "./history.js";
import { Nodes } from "./view_nodes.js";
import { Card, linkCell, lossCell, panel, qualityCell, rateFigure, roomHref, shareFigure, sparkCell, splitUnit } from "./parts.js";
import { ListControls, Table, textCell } from "./table.js";

/** Sizes and reasons as the router counts them (`counters.pictures`, `counters.limited`). */
const PICTURES = [
  ...[["2160", "2160p"], ["1080", "1080p"], ["720", "720p"], ["540", "540p"], ["360", "360p"], ["180", "180p"], ["90", "90p"]],
  ...[["larger", "Larger"], ["none", "No picture"]],
].map(([key, title], index) => ({ key, title, tint: key === "none" ? "shade-none" : `shade-${index + 1}` }));
const LIMITS = [
  ["none", "Nothing: the best there is", "fill-good"],
  ["bandwidth", "The receiver’s link", "fill-bad"],
  ["size", "Size wished", "tint-1"],
  ["frame-rate", "Frame rate wished", "tint-2"],
  ["bitrate", "Bit rate wished", "tint-3"],
  ["codec", "No common codec", "fill-fair"],
  ["publisher", "Publisher sends nothing", "tint-5"],
  ["paused", "Paused", "shade-none"],
].map(([key, title, tint]) => ({ key, title, tint }));
const SORTS = [["name", "By name"], ["size", "Most people"], ["bitrate", "Most traffic"], ["loss", "Most loss"], ["quality", "Worst quality"]];

export class OverviewView {
  #rates = new Rates();

  /** `elsewhere` is the id of another node, whose figures and rooms are to be shown. */
  constructor(app, elsewhere = null) {
    this.app = app;
    this.elsewhere = elsewhere;
    this.cards = {
      rooms: new Card("Rooms", { floor: 2, tint: "tint-6" }),
      people: new Card("People", { floor: 2, tint: "tint-6" }),
      in: new Card("Received", { floor: 1e5, tint: "tint-1" }),
      out: new Card("Sent", { floor: 1e5, tint: "tint-2" }),
      repair: new Card("Sent again", { floor: 0.01, tint: "tint-3" }),
      load: new Card("Load", { floor: 1, tint: "tint-4" }),
    };
    this.nodes = new Nodes();
    this.pictures = new ShareBar(PICTURES, { empty: "No video is being shown." });
    this.limits = new ShareBar(LIMITS, { empty: "No video is being shown." });
    this.controls = new ListControls({ noun: "rooms", sorts: SORTS, onChange: () => app.refresh() });
    this.rooms = new Table({ caption: "Rooms", keyOf: (room) => room.name, empty: "No room is open.", columns: this.#columns() });
    const rooms = panel("Rooms", this.rooms.node, this.controls.foot);
    rooms.head.append(this.controls.head);
    this.alert = el("p", { class: "notice", hidden: true, role: "alert" });
    this.node = el(
      "div",
      { class: "view" },
      elsewhere === null ? el("h1", { class: "unseen", tabindex: -1 }, "Overview") : el("header", { class: "title" }, el("h1", { tabindex: -1 }, nameTag(elsewhere))),
      this.alert,
      el("div", { class: "cards" }, ...Object.values(this.cards).map(({ node }) => node)),
      el("div", { class: "columns" }, panel("Pictures shown", this.pictures.node).node, panel("What limits them", this.limits.node).node),
      this.nodes.panel.node,
      rooms.node,
    );
  }

  async load(signal) {
    const [overview, nodes] = await Promise.all([
      this.app.api.get(this.elsewhere === null ? ["overview"] : ["nodes", this.elsewhere, "overview"], { query: this.controls.query, signal }),
      this.nodes.load(this.app.api, signal),
    ]);
    return { overview, nodes };
  }

  update({ overview, nodes }) {
    const now = Date.now();
    this.overview = overview;
    const { node, rooms, total } = overview;
    for (const room of rooms) this.app.history.push(`room ${room.name}`, now, room.figures.bitrate_out);
    setText(this.alert, node.counters ? "" : "The media engine of this router does not answer: calls here are over, and it should be restarted.");
    show(this.alert, !node.counters);
    const load = this.#showCounters(node, now);
    this.nodes.update(nodes, { ...node, load });
    this.#showCluster(nodes);
    this.rooms.update(rooms);
    setText(this.rooms.empty, this.controls.query.search ? "No room has such a name." : "No room is open. Rooms appear here when somebody joins.");
    this.controls.update(total);
    if (!this.isOfThisNode) return;
    this.app.events.start(overview.recent_events);
    this.app.showNode(node);
  }

  get isOfThisNode() {
    return this.elsewhere === null;
  }

  /** Of several nodes, what the registry knows of all. */
  #showCluster(listed) {
    if (!(listed?.items.length > 1)) return;
    const total = (key) => `of ${count(sum(listed.items.map((node) => node[key])))} at ${listed.items.length} nodes`;
    setText(this.cards.rooms.note, total("rooms"));
    setText(this.cards.people.note, total("participants"));
  }

  /** Figures of the engine, of which it has totals; gives the load. */
  #showCounters({ rooms, participants, counters }, now) {
    const { cards } = this;
    const history = { push: (key, time, value) => this.app.history.push(`${key} of node ${this.elsewhere ?? ""}`, time, value) };
    cards.rooms.update([count(rooms)], "open now", history.push("rooms", now, rooms), now);
    cards.people.update([count(participants)], counters ? plural(sum(counters.transports), "connection", "connections") : "", history.push("people", now, participants), now);
    if (!counters) return null;
    const seconds = counters.time_us / 1e6;
    const rate = (key) => this.#rates.next(key, seconds, counters[key]);
    const [bitsIn, bitsOut] = [rate("bytes_in") * 8, rate("bytes_out") * 8];
    const [packetsIn, packetsOut, again] = [rate("rtp_in"), rate("rtp_out"), rate("retransmitted")];
    const busy = counters.busy_us.map((total, worker) => this.#rates.next(`busy ${worker}`, seconds, total)).filter((x) => x !== null);
    const load = busy.length ? Math.min(1, Math.max(...busy) / 1e6) : null;
    const share = packetsOut ? Math.min(1, again / packetsOut) : packetsOut === null ? null : 0;
    const known = packetsIn !== null;
    cards.in.update(rateFigure(known ? bitsIn : null), known ? `${count(Math.round(packetsIn))} packets/s` : "", history.push("in", now, known ? bitsIn : null), now);
    cards.out.update(rateFigure(known ? bitsOut : null), known ? `${count(Math.round(packetsOut))} packets/s` : "", history.push("out", now, known ? bitsOut : null), now);
    cards.repair.update(shareFigure(share), this.#describeLosses(counters, seconds), history.push("repair", now, share), now);
    cards.load.update(shareFigure(load), this.#describeDelay(counters, seconds), history.push("load", now, load), now);
    this.pictures.update(counters.pictures);
    this.limits.update(counters.limited);
    return load;
  }

  #describeLosses({ kernel_drops: kernel, send_dropped: send }, seconds) {
    const dropped = this.#rates.next("dropped", seconds, kernel + send);
    return dropped ? `${count(Math.ceil(dropped))} dropped/s on full buffers` : "nothing dropped here";
  }

  /** How long nearly all packets are under way in the router. */
  #describeDelay({ forward_delay: buckets, forward_delay_bounds_us: bounds }, seconds) {
    const rates = buckets.map((total, index) => this.#rates.next(`delay ${index}`, seconds, total));
    const all = rates.reduce((total, each) => total + (each ?? 0), 0);
    if (!all) return "of the busiest thread";
    let below = 0;
    const index = rates.findIndex((each) => (below += each) >= all * 0.99);
    return index < bounds.length ? `99 % pass in ≤ ${bounds[index] / 1000} ms` : `1 % pass after ${bounds.at(-1) / 1000} ms`;
  }

  #columns() {
    const series = (room) => [this.app.history.get(`room ${room.name}`), Date.now()];
    return [
      {
        title: "Room",
        kind: "main",
        cell: linkCell({ hrefOf: (room) => roomHref(room.name), nameOf: (room) => room.name, notesOf: (room) => [room.locked && "locked"] }),
      },
      { title: "People", kind: "number", cell: textCell((room) => count(room.participants)) },
      { title: "Tracks", kind: "number wide", cell: textCell((room) => count(room.tracks)) },
      { title: "Received", kind: "number wide", cell: textCell((room) => bitrate(room.figures.bitrate_in)) },
      { title: "Sent", kind: "number", cell: sparkCell({ read: (room) => room.figures.bitrate_out, format: bitrate, series, floor: 1e5 }) },
      { title: "Loss", kind: "number wide", cell: lossCell((room) => room.figures) },
      { title: "Open for", kind: "number wide", cell: textCell((room) => duration(this.overview.time - Date.parse(room.created_at) / 1000)) },
      { title: "Worst quality", kind: "state", cell: qualityCell((room) => room.figures.quality) },
    ];
  }
}

const sum = (numbers) => numbers.reduce((total, each) => total + each, 0);
