/** The streams of a participant: each encoding that it sends, each slot that it receives and why it shows what it does. */

import { el, nameTag, setAttribute, setName, setText, show } from "./dom.js";
import { bitrate, count, DASH, milliseconds, percent, picture } from "./format.js";
import { badge, personHref, qualityCell, sparkCell } from "./parts.js";
import { Table, textCell } from "./table.js";

const LIMITED = {
  bandwidth: ["Link", "bad"],
  size: ["Size wished", "none"],
  "frame-rate": ["Frame rate wished", "none"],
  bitrate: ["Bit rate wished", "none"],
  codec: ["No common codec", "fair"],
  publisher: ["Publisher silent", "fair"],
  paused: ["Paused", "none"],
};

const pictureOf = (stream) => (stream.kind === "video" ? picture(stream.width, stream.height, stream.framesPerSecond) : DASH);
const rateColumn = (series) => ({ title: "Bit rate", kind: "number", cell: sparkCell({ read: (stream) => (stream.active === false ? null : stream.bitrate), format: bitrate, series, floor: 5e4 }) });
const qualityColumn = { title: "Quality", kind: "state", cell: qualityCell((stream) => stream.quality) };

export function sendTable(series) {
  return new Table({
    caption: "Streams that this participant sends",
    keyOf: (stream) => stream.id,
    empty: "Sends nothing.",
    columns: [
      { title: "Track", kind: "main", cell: trackCell },
      { title: "Picture", kind: "number", cell: textCell(pictureOf) },
      rateColumn(series),
      { title: "Loss", kind: "number", cell: textCell((stream) => percent(stream.loss)) },
      { title: "Jitter", kind: "number wide", cell: textCell((stream) => milliseconds(stream.jitter)) },
      { title: "Repaired", kind: "number wide", cell: textCell((stream) => count(stream.repaired)) },
      { title: "Key frames", kind: "number wide", cell: textCell(({ keyFrames, keyFrameRequests }) => (keyFrames === undefined ? DASH : `${count(keyFrames)} (${count(keyFrameRequests)} asked for)`)) },
      qualityColumn,
    ],
  });
}

/** "Camera", and which encoding and layers of it. */
function trackCell() {
  const [name, notes] = [el("span", { class: "name" }), el("span", { class: "notes" })];
  return {
    node: el("span", { class: "main-cell" }, name, notes),
    update(stream) {
      setText(name, stream.source);
      const told = [stream.codec, stream.rid && `rid ${stream.rid}`, stream.muted && "muted", stream.moderated && "muted by a moderator", ...describeLayers(stream.layers)].filter(Boolean);
      if (notes.dataset.now === told.join()) return;
      notes.dataset.now = told.join();
      notes.replaceChildren(...told.map((text) => el("span", { class: "note" }, text)));
    },
  };
}

/** Only where there are several: a stream of one layer is that layer. */
const describeLayers = (layers) =>
  layers.length < 2 ? [] : layers.map(({ spatial, temporal, bitrate: bps }) => `S${spatial}${temporal === undefined ? "" : `T${temporal}`} ${bitrate(roundRate(bps))}`);

/** To a tenth, so that notes do not flicker. */
const roundRate = (bps) => Number(bps.toPrecision(2));

export function receiveTable(series, room) {
  return new Table({
    caption: "Slots of this participant, and what they show",
    keyOf: (stream) => stream.id,
    empty: "Receives nothing.",
    columns: [
      { title: "Shows", kind: "main", cell: shownCell(room) },
      { title: "Picture", kind: "number", cell: textCell((slot) => (slot.active ? pictureOf(slot) : DASH)) },
      rateColumn(series),
      { title: "Loss", kind: "number", cell: textCell((slot) => percent(slot.loss)) },
      { title: "Freezes", kind: "number wide", cell: textCell((slot) => (slot.active ? count(slot.freezes) : DASH)) },
      { title: "Why", kind: "below", cell: reasonCell },
      qualityColumn,
    ],
  });
}

/** Slots in use one by one; empty ones that are empty for the same reasons together, below. */
export function gatherEmpty(slots) {
  const groups = new Map();
  for (const slot of slots.filter((each) => !each.active)) {
    const key = JSON.stringify([slot.kind, slot.choice, slot.reason, slot.pinned, slot.paused]);
    groups.set(key, [...(groups.get(key) ?? []), slot]);
  }
  const empty = [...groups.values()].map((same) => ({ ...same[0], mids: same.map(({ mid }) => mid) }));
  return [...slots.filter(({ active }) => active), ...empty];
}

/** Whose track it is, with a link to them. */
const shownCell = (room) => () => {
  const link = el("a", { class: "plain" });
  const name = nameTag("");
  link.append(name);
  const [source, slot] = [el("span", { class: "note" }), el("span", { class: "note" })];
  const marks = badge("badge");
  return {
    node: el("span", { class: "main-cell" }, link, el("span", { class: "notes" }, source, slot, marks.node)),
    update({ active, personId, personName, source: what, kind, mid, mids = [mid], codec, pinned, paused }) {
      setAttribute(link, "href", active && personId ? personHref(room, personId) : null);
      setName(name, active ? (personName ?? (personId ? "somebody who left" : "nobody yet")) : `${mids.length > 1 ? `${mids.length} ` : ""}empty`);
      name.classList.toggle("unnamed", !active || !personName);
      setText(source, [what, codec].filter(Boolean).join(" · "));
      show(source, active);
      setText(slot, `${kind} ${mids.length > 1 ? "slots" : "slot"} ${mids.join(" ")}`);
      marks.set(paused ? "Paused" : pinned ? "Pinned" : "", "none");
    },
  };
};

/** Why this source, why this picture of it, and what is in the way of a better one. */
const reasonCell = () => {
  const text = el("span", { class: "reason" });
  const limit = badge();
  return {
    node: el("span", { class: "why" }, text, limit.node),
    update({ choice, reason, limitedBy, active }) {
      const reasons = [...new Set([choice, reason].filter(Boolean))];
      setText(text, reasons.join(" · ") || DASH);
      const [word, tone] = (active && LIMITED[limitedBy]) || ["", null];
      limit.set(word, tone);
    },
  };
};
