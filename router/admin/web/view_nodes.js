/** The routers that share one store, as it knows them, each with a way to its own page; a router alone shows itself. */

import { el, setAttribute, setText } from "./dom.js";
import { count, DASH, duration, percent } from "./format.js";
import { badge, linkCell, nodeHref, panel } from "./parts.js";
import { Table, textCell } from "./table.js";

const TONES = { serving: "good", draining: "fair" };
const EVERY_MS = 6000;

export class Nodes {
  #known = null;
  #asked = -EVERY_MS;

  constructor() {
    this.table = new Table({ caption: "Nodes", keyOf: (node) => node.id, empty: "No node is known.", columns: COLUMNS });
    this.panel = panel("Nodes", this.table.node);
    this.store = el("p", { class: "quiet" });
    this.panel.head.append(this.store);
  }

  /** The list of the store, less often than all else; null where this router does not know of others. */
  async load(api, signal) {
    if (performance.now() - this.#asked < EVERY_MS) return this.#known;
    try {
      this.#known = await api.get(["nodes"], { signal });
      this.#asked = performance.now();
    } catch (error) {
      // A router without such a list is asked no more; when the list cannot be had, what was known before stands.
      if (error.status !== 404 && error.status !== 503) throw error;
      this.#asked = error.status === 404 ? Infinity : performance.now();
    }
    return this.#known;
  }

  /** `shown` is the router whose figures the page shows. */
  update(listed, shown) {
    const own = { id: shown.id ?? "this router", here: true, ...pickFresh(shown), version: shown.version };
    const nodes = listed?.items.length ? listed.items : [own];
    const known = listed && performance.now() - this.#asked;
    this.table.update(nodes.map((node) => ({ ...node, isShown: node.id === own.id, age: known && readAge(node, nodes, known), ...(node.id === own.id ? pickFresh(shown) : {}) })));
    setText(this.store, describeStore(shown, nodes.length));
    setAttribute(this.store, "data-tone", shown.store.up === false ? "bad" : null);
  }
}

/** The shown router's own figures are newer than what it last told the store. */
const pickFresh = ({ state, load, rooms, participants }) => ({ state, rooms, participants, ...(load === null ? {} : { load }) });

/** Seconds since its last heartbeat when the list was made, against the router that made it, and since then. */
function readAge(node, nodes, sinceMs) {
  const maker = nodes.find(({ here }) => here);
  return maker ? (Math.max(0, Date.parse(maker.seen_at) - Date.parse(node.seen_at)) + sinceMs) / 1000 : null;
}

function describeStore({ id, store: { kind, up, error } }, nodes) {
  if (up === false) return `Store does not answer${error ? ` (${error})` : ""}: calls go on.`;
  if (kind === "memory") return "Single node: the directory is in memory.";
  return nodes > 1 ? `All else on this page is of ${id}.` : "The store answers.";
}

const nodeCell = linkCell({
  hrefOf: ({ id, here, isShown, admin_url: url }) => (isShown ? null : here ? "#/" : url ? nodeHref(id) : null),
  nameOf: ({ id }) => id,
  notesOf: ({ here, isShown, admin_url: url }) => [here && "serves this page", isShown && !here && "shown here", !here && !url && "tells no admin URL: its rooms cannot be shown here"],
});

const stateCell = () => {
  const { node, set } = badge();
  return { node, update: ({ state }) => set(state, TONES[state] ?? "bad") };
};

const loadCell = () => {
  const fill = el("span", { class: "meter-fill" });
  const meter = el("span", { class: "meter", "aria-hidden": "true" }, fill);
  const value = el("span");
  return {
    node: el("span", { class: "meter-cell" }, meter, value),
    update({ load }) {
      fill.style.width = `${Math.round(100 * Math.min(1, load ?? 0))}%`;
      setAttribute(meter, "data-tone", load > 0.9 ? "bad" : load > 0.7 ? "fair" : "good");
      setText(value, percent(load));
    },
  };
};

const COLUMNS = [
  { title: "Node", kind: "main", cell: nodeCell },
  { title: "Load", kind: "number", cell: loadCell },
  { title: "Rooms", kind: "number", cell: textCell((node) => count(node.rooms)) },
  { title: "People", kind: "number", cell: textCell((node) => count(node.participants)) },
  { title: "Seen", kind: "number", cell: textCell(({ age }) => (Number.isFinite(age) ? `${duration(age)} ago` : DASH)) },
  { title: "Region", kind: "wide", cell: textCell((node) => node.region || DASH) },
  { title: "Version", kind: "wide", cell: textCell((node) => node.version || DASH) },
  { title: "State", kind: "state", cell: stateCell },
];
