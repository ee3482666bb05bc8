/** Small charts as inline SVG: a sparkline, lines over time with a cursor, and shares of a whole. */

import { el, setAttribute, setText, show, svg } from "./dom.js";

const WIDTH = 600;
/** Two points further apart than this have a gap between them. */
const GAP_MS = 15_000;

/** Path data of a line, in pieces where values are missing, and of the area below it. */
function tracePaths(points, { now, span }, y, base) {
  const x = (time) => WIDTH * (1 - (now - time) / span);
  const pieces = [];
  let before = null;
  for (const { time, value } of points) {
    if (value === null) before = null;
    else {
      if (before === null || time - before > GAP_MS) pieces.push([]);
      pieces.at(-1).push(`${x(time).toFixed(1)} ${y(value).toFixed(1)}`);
      before = time;
    }
  }
  const line = pieces.map((piece) => `M${piece.join("L")}${piece.length === 1 ? "h.01" : ""}`).join("");
  const ends = (piece) => [piece[0], piece.at(-1)].map((point) => point.split(" ")[0]);
  const area = pieces.map((piece) => `M${ends(piece)[0]} ${base}L${piece.join("L")}L${ends(piece)[1]} ${base}Z`).join("");
  return { line, area };
}

/** A line without axes; `floor` is the smallest full scale, so that noise near zero stays small. */
export class Sparkline {
  constructor({ height = 32, floor = 1 } = {}) {
    this.floor = floor;
    this.height = height;
    this.line = svg("path", { class: "line" });
    this.area = svg("path", { class: "area" });
    const box = { viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" };
    this.node = svg("svg", { class: "spark", ...box }, this.area, this.line);
  }

  update(series, now) {
    const most = Math.max(this.floor, series.largest);
    const y = (value) => this.height - 2 - (this.height - 4) * (value / most);
    const { line, area } = tracePaths(series.points, { now, span: series.span(now) }, y, this.height);
    this.line.setAttribute("d", line);
    this.area.setAttribute("d", area);
  }
}

/** A round number at or above `value`, so that the axis does not change with every point. */
export function roundUp(value) {
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * size).find((step) => step >= value * 0.999);
}

const PLOT_HEIGHT = 120;
/** Of the width, that an arrow key goes back or on. */
const STEP = 1 / 30;

/** One or several lines on one axis, with what they are and their figures; `lines` is `[{key, title}]`. */
export class LineChart {
  #lines = new Map();
  #cursor = null;
  #now = 0;
  #span = 1;

  constructor({ title, format, floor, lines = [] }) {
    Object.assign(this, { title, format, floor });
    this.legend = el("dl", { class: "legend" });
    this.plot = svg("svg", { viewBox: `0 0 ${WIDTH} ${PLOT_HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const share of [0, 0.5, 1]) {
      const height = 1 + (PLOT_HEIGHT - 2) * share;
      this.plot.append(svg("path", { class: "grid", d: `M0 ${height}H${WIDTH}` }));
    }
    this.top = el("span", { class: "axis-top" });
    this.middle = el("span", { class: "axis-middle" });
    this.mark = el("span", { class: "cursor", hidden: true });
    this.begin = el("span");
    this.when = el("span", {}, "now");
    // What the pointer tells those who see it, arrow keys tell the others: the figures of a time that is chosen.
    this.area = el("div", { class: "plot", role: "slider", tabindex: 0, "aria-label": title, "aria-valuemax": 0 }, this.plot, this.top, this.middle, this.mark);
    this.area.addEventListener("pointermove", (event) => this.#point(event));
    this.area.addEventListener("pointerleave", () => this.#moveTo(null));
    this.area.addEventListener("keydown", (event) => this.#step(event));
    this.area.addEventListener("blur", () => this.#moveTo(null));
    const head = el("figcaption", {}, el("h2", {}, title), this.legend);
    this.node = el("figure", { class: "chart" }, head, this.area, el("div", { class: "axis-time" }, this.begin, this.when));
    for (const line of lines) this.#add(line);
  }

  /** `seriesOf(key)` gives the series of each line; lines that are new are added, those that are gone are removed. */
  update(seriesOf, now, lines = null) {
    if (lines) this.#follow(lines);
    this.#now = now;
    for (const [key, line] of this.#lines) line.series = seriesOf(key);
    this.#span = Math.max(...[...this.#lines.values()].map(({ series }) => series.span(now)), 1);
    setText(this.begin, this.#span < 90_000 ? `${Math.round(this.#span / 1000)} s ago` : `${Math.round(this.#span / 60_000)} min ago`);
    const most = roundUp(Math.max(this.floor, ...[...this.#lines.values()].map(({ series }) => series.largest)));
    setText(this.top, this.format(most));
    setText(this.middle, this.format(most / 2));
    const y = (value) => 1 + (PLOT_HEIGHT - 2) * (1 - value / most);
    for (const line of this.#lines.values()) line.path.setAttribute("d", tracePaths(line.series.points, { now, span: this.#span }, y, PLOT_HEIGHT).line);
    this.#write();
  }

  #follow(lines) {
    const keys = new Set(lines.map(({ key }) => key));
    for (const line of lines) if (!this.#lines.has(line.key)) this.#add(line);
    for (const [key, line] of this.#lines) {
      if (keys.has(key)) continue;
      line.path.remove();
      line.item.remove();
      this.#lines.delete(key);
    }
  }

  #add({ key, title }) {
    const used = new Set([...this.#lines.values()].map(({ tint }) => tint));
    const tint = [1, 2, 3, 4, 5, 6].find((number) => !used.has(number)) ?? 6;
    const value = el("dd");
    const item = el("div", { class: `tint-${tint}` }, el("dt", {}, title), value);
    const path = svg("path", { class: `line tint-${tint}` });
    this.legend.append(item);
    this.plot.append(path);
    this.#lines.set(key, { tint, title, value, item, path, series: null });
  }

  #point(event) {
    const box = this.area.getBoundingClientRect();
    this.#moveTo((event.clientX - box.left) / box.width);
  }

  #step(event) {
    const at = this.#cursor ?? 1;
    const targets = { ArrowLeft: at - STEP, ArrowDown: at - STEP, ArrowRight: at + STEP, ArrowUp: at + STEP, Home: 0, End: 1, Escape: 1 };
    const target = targets[event.key];
    if (target === undefined) return;
    event.preventDefault();
    this.#moveTo(target > 1 - STEP / 2 ? null : target);
  }

  /** A share of the width, or null: now. */
  #moveTo(cursor) {
    this.#cursor = cursor === null ? null : Math.min(1, Math.max(0, cursor));
    this.#write();
  }

  /** The legend shows the time under the cursor, or now. */
  #write() {
    const back = this.#cursor === null ? 0 : this.#span * (1 - this.#cursor);
    show(this.mark, this.#cursor !== null);
    if (this.#cursor !== null) this.mark.style.left = `${this.#cursor * 100}%`;
    setText(this.when, back ? `${Math.round(back / 1000)} s before now` : "now");
    const told = [];
    for (const { title, value, series } of this.#lines.values()) {
      const point = back ? series?.at(this.#now - back) : series?.points.at(-1);
      const near = point && Math.abs(this.#now - back - point.time) < GAP_MS;
      setText(value, this.format(near ? point.value : null));
      told.push(`${title} ${value.textContent}`);
    }
    setAttribute(this.area, "aria-valuemin", -Math.round(this.#span / 1000));
    setAttribute(this.area, "aria-valuenow", -Math.round(back / 1000));
    setAttribute(this.area, "aria-valuetext", `${this.when.textContent}: ${told.join(", ") || "nothing"}`);
  }
}

/** Shares of a whole, with a legend; `parts` is `[{key, title, tint}]`. */
export class ShareBar {
  constructor(parts, { empty }) {
    this.parts = parts.map((part) => ({
      ...part,
      piece: svg("rect", { class: part.tint, y: 0, height: 10 }),
      value: el("dd"),
    }));
    const pieces = this.parts.map(({ piece }) => piece);
    this.bar = svg("svg", { class: "shares", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, ...pieces);
    this.items = this.parts.map(({ title, tint, value }) => el("div", { class: tint }, el("dt", {}, title), value));
    this.legend = el("dl", { class: "legend" }, ...this.items);
    this.empty = el("p", { class: "quiet" }, empty);
    this.node = el("div", { class: "share-bar" }, this.bar, this.legend, this.empty);
  }

  update(counts) {
    const total = this.parts.reduce((sum, { key }) => sum + (counts[key] ?? 0), 0);
    let start = 0;
    this.parts.forEach(({ key, piece, value }, index) => {
      const share = total ? (100 * (counts[key] ?? 0)) / total : 0;
      piece.setAttribute("x", start);
      piece.setAttribute("width", share);
      start += share;
      setText(value, counts[key] ?? 0);
      show(this.items[index], share > 0);
    });
    show(this.empty, total === 0);
    show(this.legend, total > 0);
    this.bar.classList.toggle("none", total === 0);
  }
}
