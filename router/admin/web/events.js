/** The event log as server-sent events, by fetch: an EventSource cannot send the token in a header. */

const MIN_RETRY_MS = 2000;
const MAX_RETRY_MS = 30_000;
/** The router sends a comment every 15 s; without any the connection is dead, whatever the browser thinks. */
const MAX_SILENCE_MS = 40_000;
/** All but who is heard, which changes with every word. */
const KINDS = [
  ...["room_started", "room_finished", "room_locked", "room_unlocked"],
  ...["participant_joined", "participant_left", "participant_changed"],
  ...["track_published", "track_unpublished", "track_muted", "track_unmuted", "track_changed"],
  ...["quality_changed", "node_started", "node_draining", "node_undrained", "node_stopped"],
];

/** Bytes to events, by WHATWG HTML section 9.2.6, as far as this router writes them. */
export class EventParser {
  #rest = "";
  #event = { kind: "message", id: null, data: [] };

  push(text) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop();
    const found = [];
    for (const line of lines) this.#readLine(line.replace(/\r$/, ""), found);
    return found;
  }

  #readLine(line, found) {
    if (line === "") {
      if (this.#event.data.length) found.push({ ...this.#event, data: this.#event.data.join("\n") });
      this.#event = { kind: "message", id: null, data: [] };
      return;
    }
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (field === "event") this.#event.kind = value;
    if (field === "id") this.#event.id = value;
    if (field === "data") this.#event.data.push(value);
  }
}

export class EventStream {
  #abort = null;
  #timer = null;
  #failures = 0;
  #last = null;

  /** `onEvents(list)` is told what happened, `onState(open, error)` whether more will be. */
  constructor(api, { onEvents, onState }) {
    Object.assign(this, { api, onEvents, onState });
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#close() : this.#last && this.#connect()));
  }

  /** Begins after the event with that id, unless it has begun. */
  start(after) {
    if (this.#last) return;
    this.#last = after;
    if (!document.hidden) this.#connect();
  }

  stop() {
    this.#last = null;
    this.#close();
  }

  #close() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#abort = null;
  }

  async #connect() {
    this.#close();
    const abort = (this.#abort = new AbortController());
    let error = null;
    try {
      const headers = { "Last-Event-ID": this.#last };
      const response = await this.api.open(["events"], { query: { kind: KINDS }, headers, signal: abort.signal });
      this.#failures = 0;
      this.onState(true);
      await this.#read(response.body.getReader(), new TextDecoder(), new EventParser());
    } catch (failure) {
      error = failure;
    }
    if (abort.signal.aborted) return;
    this.onState(false, error);
    if (error?.needsToken) return;
    this.#failures += 1;
    const wait = Math.min(MAX_RETRY_MS, MIN_RETRY_MS * 2 ** (this.#failures - 1)) * (0.7 + 0.6 * Math.random());
    this.#timer = setTimeout(() => this.#connect(), Math.max(wait, (error?.retryAfterS ?? 0) * 1000));
  }

  async #read(reader, decoder, parser) {
    for (;;) {
      const silence = setTimeout(() => reader.cancel(), MAX_SILENCE_MS);
      const { done, value } = await reader.read().finally(() => clearTimeout(silence));
      if (done) return;
      const events = parser.push(decoder.decode(value, { stream: true }));
      this.#last = events.findLast((event) => event.id)?.id ?? this.#last;
      const told = events.filter((event) => event.id).map((event) => JSON.parse(event.data));
      if (told.length) this.onEvents(told);
    }
  }
}
