/** Why somebody's call does not work, part by part, as the router judges it; and the same as a page to keep. */

import { el, Keyed, setText, show } from "./dom.js";
import { duration } from "./format.js";
import { badge, panel } from "./parts.js";

const TITLES = {
  ice: "Path (ICE)",
  dtls: "Handshake (DTLS)",
  srtp: "Keys (SRTP)",
  streams_up: "What it publishes",
  streams_down: "What it is shown",
  events: "Events WebSocket",
  rights: "Rights in force",
};
const TONES = { ok: "good", waiting: "fair", broken: "bad" };
const EVERY_MS = 5000;

export class Diagnosis {
  #known = null;
  #asked = -EVERY_MS;

  constructor(app, room, id) {
    Object.assign(this, { app, path: ["rooms", room, "participants", id] });
    this.verdict = badge();
    this.sentence = el("p", { class: "quiet" });
    const sessions = el("div", { class: "verdicts" });
    this.sessions = new Keyed(sessions, ({ key }) => key, createSession);
    this.save = el("button", { type: "button", onclick: () => this.#save(id) }, "Save as page");
    this.panel = panel("Diagnosis", this.sentence, sessions);
    this.panel.head.append(this.verdict.node, el("span", { class: "spacer" }), this.save);
    show(this.panel.node, false);
  }

  /** Null where the router makes none, or knows nobody of this id. */
  async load(signal) {
    if (performance.now() - this.#asked < EVERY_MS) return this.#known;
    try {
      this.#known = await this.app.api.get([...this.path, "diagnosis"], { signal });
      this.#asked = performance.now();
    } catch (error) {
      if (error.status !== 404) throw error;
      this.#known = null;
      this.#asked = error.slug === "unknown-participant" ? performance.now() : Infinity;
    }
    return this.#known;
  }

  update(diagnosis) {
    show(this.panel.node, Boolean(diagnosis));
    if (!diagnosis) return;
    this.verdict.set(diagnosis.verdict, TONES[diagnosis.verdict] ?? "none");
    setText(this.sentence, diagnosis.sentence);
    this.sessions.update(diagnosis.sessions.map((session, key) => ({ ...session, key })));
  }

  /** Fetched with the token, which a link could not carry. */
  async #save(id) {
    this.save.disabled = true;
    try {
      const response = await this.app.api.open([...this.path, "diagnosis.html"]);
      const url = URL.createObjectURL(await response.blob());
      el("a", { href: url, download: `diagnosis-${id}.html` }).click();
      setTimeout(() => URL.revokeObjectURL(url), EVERY_MS);
    } catch (error) {
      this.app.tell(error.message);
    } finally {
      this.save.disabled = false;
    }
  }
}

function createSession() {
  const state = el("h3");
  const list = el("ul");
  const parts = new Keyed(list, ([name]) => name, createPart);
  return {
    node: el("section", {}, state, list),
    update({ endpoint, state: now, age_s: age, ended, sections }) {
      const end = ended && `ended ${duration(ended.ago_s)} ago: ${ended.reason}`;
      setText(state, `${endpoint} session, ${end ?? `${now} since ${duration(age)}`}`);
      parts.update(Object.entries(sections));
    },
  };
}

function createPart([name]) {
  const verdict = badge();
  const sentence = el("span");
  return {
    node: el("li", {}, el("b", {}, TITLES[name] ?? name), verdict.node, sentence),
    update([, part]) {
      verdict.set(part.verdict, TONES[part.verdict] ?? "none");
      setText(sentence, part.sentence);
    },
  };
}
