/** What several views have in common: cards of one figure, marks of quality, cells of tables, crumbs. */

import { Sparkline } from "./charts.js";
import { el, nameTag, setAttribute, setName, setText, show } from "./dom.js";
import { bitrateParts, DASH, percent } from "./format.js";

const QUALITY = { good: "Good", fair: "Fair", poor: "Poor", lost: "Lost" };

/** One figure with its unit, a line of explanation, and perhaps its last minutes. */
export class Card {
  constructor(title, { floor = null, tint = "" } = {}) {
    this.value = el("strong");
    this.unit = el("span", { class: "unit" });
    this.note = el("p", { class: "quiet" });
    this.spark = floor === null ? null : new Sparkline({ floor, height: 36 });
    const figure = el("p", { class: "figure" }, this.value, this.unit);
    this.node = el("section", { class: `card ${tint}` }, el("h2", {}, title), figure, this.note, this.spark?.node);
  }

  update([value, unit = ""], note, series = null, now = 0) {
    setText(this.value, value);
    setText(this.unit, unit);
    setText(this.note, note);
    if (series) this.spark?.update(series, now);
  }
}

/** "12.4 Mbit/s" and "0.3 %" as pairs. */
export const rateFigure = bitrateParts;
export const shareFigure = (share) => splitUnit(percent(share));
export const splitUnit = (text) => (text === DASH ? [DASH] : [text.slice(0, text.lastIndexOf(" ")), text.slice(text.lastIndexOf(" ") + 1)]);

/** A word with a colour and a shape, so that it does not hang on the colour alone. */
export function badge(className = "badge") {
  const node = el("span", { class: className });
  return {
    node,
    set(text, tone) {
      setText(node, text ?? "");
      show(node, Boolean(text));
      setAttribute(node, "data-tone", tone);
    },
  };
}

const TONES = { good: "good", fair: "fair", poor: "bad", lost: "bad" };
export const qualityTone = (quality) => TONES[quality] ?? "none";
export const qualityName = (quality) => QUALITY[quality] ?? DASH;

export const qualityCell = (read) => () => {
  const { node, set } = badge();
  return { node, update: (item) => set(qualityName(read(item)), qualityTone(read(item))) };
};

/** A link with a name, whose row is all link. */
export const linkCell = ({ hrefOf, nameOf, notesOf }) => () => {
  const name = nameTag("");
  const link = el("a", { class: "row-link" }, name);
  const notes = el("span", { class: "notes" });
  const node = el("span", { class: "main-cell" }, link, notes);
  return {
    node,
    update(item) {
      setAttribute(link, "href", hrefOf(item));
      setName(name, nameOf(item));
      const wanted = notesOf(item).filter(Boolean);
      if (notes.dataset.now === wanted.join("\n")) return;
      notes.dataset.now = wanted.join("\n");
      notes.replaceChildren(...wanted.map((text) => el("span", { class: "note" }, el("bdi", {}, text))));
    },
  };
};

/** A figure and its last minutes. */
export const sparkCell = ({ read, format, series, floor }) => () => {
  const value = el("span");
  const spark = new Sparkline({ height: 24, floor });
  return {
    node: el("span", { class: "spark-cell" }, spark.node, value),
    update(item) {
      setText(value, format(read(item)));
      const [line, now] = series(item);
      spark.update(line, now);
    },
  };
};

/** Loss on the way in and out. */
export const lossCell = (read) => () => {
  const [up, down] = [el("span"), el("span")];
  const part = (arrow, title, node) => el("span", { class: "way", title }, el("span", { "aria-hidden": "true" }, arrow), el("span", { class: "unseen" }, title), node);
  const node = el("span", { class: "ways" }, part("↑", "from publishers", up), part("↓", "to receivers", down));
  const tone = (share) => (share > 0.05 ? "bad" : share > 0.02 ? "fair" : null);
  return {
    node,
    update(item) {
      const { loss_in: lossIn, loss_out: lossOut } = read(item);
      setText(up, percent(lossIn));
      setText(down, percent(lossOut));
      setAttribute(up, "data-tone", tone(lossIn));
      setAttribute(down, "data-tone", tone(lossOut));
    },
  };
};

/** A titled part of a view. */
export function panel(title, ...children) {
  const heading = el("h2", {}, title);
  const head = el("header", {}, heading);
  const node = el("section", { class: "panel" }, head, ...children);
  return { node, head, heading };
}

export const roomHref = (room) => `#/rooms/${encodeURIComponent(room)}`;
export const nodeHref = (node) => `#/nodes/${encodeURIComponent(node)}`;
export const personHref = (room, person) => `${roomHref(room)}/${encodeURIComponent(person)}`;
