/** The routers that share one store; a router alone shows itself. */

import { el, nameTag, setAttribute, setName, setText } from "./dom.js";
import { count, DASH, percent } from "./format.js";
import { badge, panel } from "./parts.js";
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

  update(listed, here) {
    const own = { id: here.id ?? "this router", state: here.state, load: here.load, rooms: here.rooms, participants: here.participants, version: here.version };
    const nodes = listed?.items.length ? listed.items : [own];
    this.table.update(nodes.map((node) => ({ ...node, isHere: node.id === own.id, ...(node.id === own.id ? pickFresh(own) : {}) })));
    setText(this.store, describeStore(here.store, nodes.length));
    setAttribute(this.store, "data-tone", here.store.up === false ? "bad" : null);
  }
}

/** This router's own figures are newer than what it last told the store. */
const pickFresh = ({ state, load, rooms, participants }) => ({ state, rooms, participants, ...(load === null ? {} : { load }) });

function describeStore({ kind, up, error }, nodes) {
  if (up === false) return `Store does not answer${error ? ` (${error})` : ""}: calls go on.`;
  if (kind === "memory") return "Single node: the directory is in memory.";
  return nodes > 1 ? "Rooms and figures on this page are those of this node." : "The store answers.";
}

const nodeCell = () => {
  const name = nameTag("");
  const here = el("span", { class: "note" }, "this one");
  return {
    node: el("span", { class: "main-cell" }, name, here),
    update(node) {
      setName(name, node.id);
      here.hidden = !node.isHere;
    },
  };
};

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
  { title: "Region", kind: "wide", cell: textCell((node) => node.region || DASH) },
  { title: "Version", kind: "wide", cell: textCell((node) => node.version || DASH) },
  { title: "State", kind: "state", cell: stateCell },
];
