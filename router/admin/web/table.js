/** Tables whose rows are updated in place, and what stands above and below them: search, order, pages. */

import { el, Keyed, setText, show } from "./dom.js";
import { count } from "./format.js";

/**
 * `columns` is `[{title, kind, cell}]`; `cell(item)` makes `{node, update(item)}`. Kinds: "main" takes the room there
 * is, "number" is set to the right, "wide" is left out on narrow screens, "below" has a line of its own there.
 */
export class Table {
  constructor({ caption, columns, keyOf, empty }) {
    const heads = columns.map(({ title, kind = "" }) => el("th", { scope: "col", class: kind, role: "columnheader" }, title));
    const body = el("tbody", { role: "rowgroup" });
    this.empty = el("p", { class: "empty" }, empty);
    // Roles are said aloud: on narrow screens rows are grids, which would take them away.
    const table = el(
      "table",
      { role: "table" },
      el("caption", { class: "unseen" }, caption),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads)),
      body,
    );
    this.table = table;
    this.node = el("div", { class: "table" }, table, this.empty);
    this.rows = new Keyed(body, keyOf, (item) => {
      const cells = columns.map(({ cell, kind = "", title }) => ({ ...cell(item), kind, title }));
      const parts = cells.map(({ node, kind, title }) => {
        const naming = kind === "main" ? ["th", { scope: "row", role: "rowheader" }] : ["td", { role: "cell" }];
        return el(naming[0], { class: kind, "data-title": title, ...naming[1] }, node);
      });
      return { node: el("tr", { role: "row" }, ...parts), update: (changed) => cells.forEach(({ update }) => update(changed)) };
    });
  }

  update(items) {
    this.rows.update(items);
    show(this.empty, items.length === 0);
    show(this.table, items.length > 0);
  }
}

/** A cell of plain text. */
export const textCell = (read) => () => {
  const node = el("span");
  return { node, update: (item) => setText(node, read(item)) };
};

const PAGE = 25;
const TYPING_MS = 250;

/** Search, order and pages of a list that the router sorts and cuts. `onChange()` is told to ask anew. */
export class ListControls {
  #typing = null;

  constructor({ noun, sorts, onChange }) {
    this.offset = 0;
    this.total = 0;
    this.noun = noun;
    this.onChange = onChange;
    this.search = el("input", { type: "search", placeholder: `Find ${noun}`, "aria-label": `Find ${noun}`, maxlength: 128, autocomplete: "off", spellcheck: "false" });
    this.search.addEventListener("input", () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.#turn(0), TYPING_MS);
    });
    this.sort = el("select", { "aria-label": "Order" }, ...sorts.map(([value, title]) => el("option", { value }, title)));
    this.sort.addEventListener("change", () => this.#turn(0));
    this.head = el("div", { class: "controls" }, this.search, this.sort);
    this.previous = el("button", { type: "button", onclick: () => this.#turn(this.offset - PAGE) }, "Previous");
    this.next = el("button", { type: "button", onclick: () => this.#turn(this.offset + PAGE) }, "Next");
    this.place = el("span", { role: "status" });
    this.foot = el("nav", { class: "pages", "aria-label": `Pages of ${noun}`, hidden: true }, this.previous, this.place, this.next);
  }

  get query() {
    return { search: this.search.value.trim(), sort: this.sort.value, offset: this.offset, limit: PAGE };
  }

  update(total) {
    this.total = total;
    if (this.offset && this.offset >= total) this.#turn(Math.max(0, PAGE * (Math.ceil(total / PAGE) - 1)));
    this.previous.disabled = this.offset === 0;
    this.next.disabled = this.offset + PAGE >= total;
    setText(this.place, `${count(Math.min(total, this.offset + 1))}–${count(Math.min(total, this.offset + PAGE))} of ${count(total)}`);
    show(this.foot, total > PAGE);
  }

  #turn(offset) {
    this.offset = Math.max(0, offset);
    this.onChange();
  }
}
