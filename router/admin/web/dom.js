/** Elements made by script. Text that comes from outside only ever becomes a text node or an attribute, never markup. */

const SVG = "http://www.w3.org/2000/svg";

export const el = (tag, props = {}, ...children) => fill(document.createElement(tag), props, children);
export const svg = (tag, props = {}, ...children) => fill(document.createElementNS(SVG, tag), props, children);

function fill(node, props, children) {
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Touches the page only where something changed, so that a selection in it stays. */
export function setText(node, text) {
  const value = String(text);
  if (node.textContent !== value) node.textContent = value;
}

export function setAttribute(node, key, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(key);
  else if (node.getAttribute(key) !== String(value)) node.setAttribute(key, value);
}

export const show = (node, visible) => (node.hidden = !visible);

/** A name that somebody chose: on one line, and its writing direction stays its own. */
export function nameTag(text, fallback = "without a name") {
  const node = el("bdi", { class: "name" });
  setName(node, text, fallback);
  return node;
}

export function setName(node, text, fallback = "without a name") {
  setText(node, text || fallback);
  setAttribute(node, "title", text || null);
  node.classList.toggle("unnamed", !text);
}

/** Children by key: those that stay are updated in place, in the order of `items`. */
export class Keyed {
  #children = new Map();

  /** `create(item)` makes `{node, update(item)}`. */
  constructor(parent, keyOf, create) {
    Object.assign(this, { parent, keyOf, create });
  }

  update(items) {
    const before = this.#children;
    this.#children = new Map();
    let place = this.parent.firstElementChild;
    for (const item of items) {
      const key = this.keyOf(item);
      const child = before.get(key) ?? this.create(item);
      before.delete(key);
      this.#children.set(key, child);
      child.update(item);
      if (child.node === place) place = place.nextElementSibling;
      else this.parent.insertBefore(child.node, place);
    }
    for (const child of before.values()) child.node.remove();
  }
}
