/**
 * The events WebSocket of one room: authenticates with its first message, names what it already has so that only what
 * was missed is sent again, and reconnects by itself until closed or refused.
 */

import { RouterError } from "./http.js";
import { RECONNECT_DELAYS_MS } from "./recover.js";

const PING_INTERVAL_MS = 15000;
const MIN_RECONNECT_MS = 300;
const JITTER_MS = 500;
const REQUEST_TIMEOUT_MS = 8000;
// Errors of the router close with 4000 plus their HTTP status.
const FINAL_CLOSES = [4401, 4403];
/** The network was too slow to say who we are. */
const AUTH_TIMEOUT = "auth-timeout";

export class EventChannel {
  #url;
  #token;
  #hooks;
  #socket = null;
  #closed = false;
  #attempt = 0;
  #timer = null;
  #ping = null;
  #error = null;
  #refused = false;
  #nextId = 1;
  #waiting = new Map();

  /**
   * Hooks: `onMessage(message)`; `onLost()`, of a connection that may come back, by itself or, where the token was refused,
   * with another one; and `since()`: the `{log, version}` that is known already, or null.
   */
  constructor(url, token, hooks) {
    this.#url = url;
    this.#token = token;
    this.#hooks = hooks;
    this.#open();
  }

  /** Hands a newer token over: the stay is prolonged at once, or a connection that the last one was refused comes back. */
  setToken(token) {
    this.#token = token;
    if (this.#refused && !this.#closed) this.#open();
    else this.send({ type: "auth", token });
  }

  /** Goes on at another node. */
  move(url) {
    if (url.href === this.#url.href) return;
    this.#url = url;
    this.#attempt = 0;
    this.#socket?.close(1000);
  }

  /** Whether there was a connection to send on. */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Sends a message that is answered by `ok` or `error`; rejects with the router's refusal. */
  request(message) {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const fail = (slug, detail) => this.#settle(id, new RouterError({ slug, detail }));
      const timer = setTimeout(() => fail("events-timeout", "the router did not answer"), REQUEST_TIMEOUT_MS);
      this.#waiting.set(id, { resolve, reject, timer });
      if (!this.send({ ...message, id })) fail("events-closed", "there is no events connection now");
    });
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#onClosed();
    this.#socket?.close(1000);
  }

  #settle(id, error = null) {
    const { resolve, reject, timer } = this.#waiting.get(id) ?? {};
    if (!this.#waiting.delete(id)) return false;
    clearTimeout(timer);
    if (error) reject(error);
    else resolve();
    return true;
  }

  #open() {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#error = null;
    this.#refused = false;
    socket.onopen = () => {
      const since = this.#hooks.since();
      this.send({ type: "auth", token: this.#token, ...(since && { since }) });
      this.#ping = setInterval(() => this.send({ type: "ping" }), PING_INTERVAL_MS);
    };
    socket.onmessage = ({ data }) => socket === this.#socket && this.#onMessage(JSON.parse(data));
    socket.onclose = ({ code }) => socket === this.#socket && !this.#closed && this.#onLost(code);
  }

  #onMessage(message) {
    this.#attempt = 0;
    if (message.type === "ok") this.#settle(message.id);
    else if (message.type !== "error" || !this.#settle(message.id, new RouterError(message))) {
      if (message.type === "error") this.#error = message.slug;
      this.#hooks.onMessage(message);
    }
  }

  #onLost(code) {
    this.#onClosed();
    this.#refused = FINAL_CLOSES.includes(code) && this.#error !== AUTH_TIMEOUT;
    this.#hooks.onLost();
    if (this.#refused) return;
    const wait = RECONNECT_DELAYS_MS[Math.min(this.#attempt++, RECONNECT_DELAYS_MS.length - 1)];
    this.#timer = setTimeout(() => this.#open(), Math.max(wait, MIN_RECONNECT_MS) + Math.random() * JITTER_MS);
  }

  #onClosed() {
    clearInterval(this.#ping);
    const lost = { slug: "events-closed", detail: "the events connection was lost" };
    for (const id of [...this.#waiting.keys()]) this.#settle(id, new RouterError(lost));
  }
}
