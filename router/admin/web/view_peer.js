/** One participant: the link, what it sends and is sent, and over what. */

import { LineChart } from "./charts.js";
import { el, nameTag, setName, setText, show } from "./dom.js";
import { bitrate, DASH, milliseconds, percent, plural } from "./format.js";
import { badge, panel, qualityName, qualityTone } from "./parts.js";
import { PeerReader } from "./peer_stats.js";
import { Diagnosis } from "./view_diagnosis.js";
import { gatherEmpty, receiveTable, sendTable } from "./view_peer_media.js";

const LIMITS = {
  start: "nothing has limited the link yet",
  delay: "limited by growing delay",
  queue: "limited by a queue on the way",
  loss: "limited by loss",
  remb: "limited by the receiver’s own estimate",
  outage: "no feedback arrives",
};

export class PeerView {
  title = "Participant";

  constructor(app, room, id) {
    Object.assign(this, { app, room, id });
    this.reader = new PeerReader(app.api, room);
    this.name = nameTag("…");
    this.quality = badge();
    this.marks = el("p", { class: "marks" });
    this.diagnosis = new Diagnosis(app, room, id);
    this.gone = el("p", { class: "notice", role: "alert", hidden: true }, "This participant has left.");
    this.charts = {
      link: new LineChart({ title: "Link to this participant", format: bitrate, floor: 1e5, lines: [{ key: "estimate", title: "carries" }, { key: "sent", title: "sent" }, { key: "ideal", title: "wanted" }] }),
      up: new LineChart({ title: "Sends", format: bitrate, floor: 1e5 }),
      loss: new LineChart({ title: "Loss", format: percent, floor: 0.02, lines: [{ key: "lossIn", title: "from them" }, { key: "lossOut", title: "to them" }] }),
      rtt: new LineChart({ title: "Round trip", format: milliseconds, floor: 0.01, lines: [{ key: "rtt", title: "to the router and back" }] }),
    };
    this.limit = el("p", { class: "quiet" });
    const series = (stream) => [app.history.get(`${id} ${stream.id}`), Date.now()];
    this.sends = sendTable(series);
    this.receives = receiveTable(series, room);
    this.facts = el("dl", { class: "facts" });
    const receives = panel("Receives", this.receives.node);
    receives.head.append(this.limit);
    this.alive = [
      el("div", { class: "charts" }, ...Object.values(this.charts).map(({ node }) => node)),
      panel("Sends", this.sends.node).node,
      receives.node,
      panel("Connection", this.facts).node,
    ];
    this.node = el(
      "div",
      { class: "view" },
      el("header", { class: "title" }, el("h1", { tabindex: -1 }, this.name), this.quality.node),
      this.marks,
      this.gone,
      this.diagnosis.panel.node,
      ...this.alive,
    );
  }

  async load(signal) {
    const diagnosis = await this.diagnosis.load(signal);
    try {
      return { diagnosis, peer: await this.reader.read(this.id, signal) };
    } catch (error) {
      if (error.status !== 404 || !diagnosis) throw error;
      return { diagnosis, peer: null };
    }
  }

  /** Of somebody who left, the router may still know why. */
  update({ diagnosis, peer }) {
    this.diagnosis.update(diagnosis);
    show(this.gone, !peer);
    this.alive.forEach((node) => show(node, Boolean(peer)));
    if (peer) return this.#showPeer(peer);
    this.title = diagnosis.identity;
    setName(this.name, this.title);
    this.quality.set("", null);
  }

  #showPeer(peer) {
    const now = Date.now();
    const { participant, link, inbound, outbound } = peer;
    this.title = participant.name || participant.identity;
    setName(this.name, this.title);
    this.quality.set(peer.quality && qualityName(peer.quality), qualityTone(peer.quality));
    this.#showMarks(participant);
    const push = (key, value) => this.app.history.push(`${this.id} ${key}`, now, value);
    for (const [key, value] of Object.entries(link)) if (typeof value !== "string") push(key, value);
    for (const stream of [...inbound, ...outbound]) push(stream.id, stream.bitrate);
    const seriesOf = (key) => this.app.history.get(`${this.id} ${key}`);
    for (const key of ["link", "loss", "rtt"]) this.charts[key].update(seriesOf, now);
    this.charts.up.update(seriesOf, now, inbound.slice(0, 6).map(({ id, label }) => ({ key: id, title: label })));
    setText(this.limit, link.limitedBy ? (LIMITS[link.limitedBy] ?? link.limitedBy) : "");
    this.sends.update(inbound);
    this.receives.update(gatherEmpty(outbound));
    this.#showFacts(peer);
  }

  #showMarks({ identity, id, rights, sessions }) {
    const marks = [
      ["Identity", el("bdi", { class: "name" }, identity)],
      ["Id", id],
      ["Sessions", sessions.map(({ endpoint, state }) => `${endpoint} ${state}`).join(", ") || "none"],
      ["May", describeRights(rights)],
    ];
    const key = JSON.stringify([identity, marks.slice(1)]);
    if (this.marks.dataset.now === key) return;
    this.marks.dataset.now = key;
    this.marks.replaceChildren(...marks.map(([title, value]) => el("span", {}, el("b", {}, title), " ", value)));
  }

  #showFacts({ transports }) {
    const facts = transports.flatMap((transport, index) => describeTransport(transport, transports.length > 1 ? ` ${index + 1}` : ""));
    const key = JSON.stringify(facts);
    if (this.facts.dataset.now === key) return;
    this.facts.dataset.now = key;
    const items = facts.map(([title, value]) => el("div", {}, el("dt", {}, title), el("dd", {}, value)));
    this.facts.replaceChildren(...(items.length ? items : [el("p", { class: "empty" }, "Not connected.")]));
  }
}

function describeRights(rights) {
  const may = [
    rights.can_publish && "publish",
    rights.can_subscribe && "subscribe",
    rights.room_admin && "moderate",
    rights.hidden && "be hidden",
    rights.recorder && "record",
  ].filter(Boolean);
  return may.join(", ") || "nothing";
}

function describeTransport({ iceState, dtlsState, address, port, rtt, worker, changes, dropped, bandwidth }, number) {
  const lost = Object.entries(dropped ?? {}).map(([reason, times]) => `${reason} ${times}`);
  return [
    [`ICE${number}`, iceState],
    [`DTLS${number}`, dtlsState],
    ["Address", address ? `${address.includes(":") ? `[${address}]` : address}:${port}` : DASH],
    ["Path changes", String(Math.max(0, (changes ?? 1) - 1))],
    ["Round trip", milliseconds(rtt)],
    ["Waits in the pacer", milliseconds(bandwidth?.pacerDelay)],
    ["Engine thread", String(worker)],
    ["Packets refused", lost.length ? lost.join(", ") : "none"],
    ...(bandwidth?.refusedFeedback ? [["Feedback not believed", plural(bandwidth.refusedFeedback, "report", "reports")]] : []),
  ];
}
