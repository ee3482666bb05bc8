/**
 * The connection of one Room to the router, and how it is mended: an ICE restart keeps session, keys and slots
 * (RFC 9725 section 4.3.3); where that fails, a new session by the static offer.
 */

import { connected, deleteSession, joinByOffer } from "./join.js";
import { RouterError, request } from "./http.js";
import { writeFragment, writeRestartAnswer } from "./sdp.js";

/** Waiting times before each attempt to come back; shared with the events channel. */
export const RECONNECT_DELAYS_MS = [0, 300, 1200, 2700, 4800, 7000, 7000, 7000, 7000, 7000];
const RESUME_ATTEMPTS = 2;
const DISCONNECTED_GRACE_MS = 3000;
const JITTER_MS = 1000;

export class Connection {
  #hooks;
  #place;
  #home;
  #abort = new AbortController();
  #recovering = false;
  #graceTimer = null;

  /**
   * `place` as in join.js. Hooks: `prepare(pc)`, `onPosted(session)`, `onLost()`, `onMended()`, `onGivenUp(error)`,
   * `onAttemptFailed(error)`, and `timings`.
   */
  constructor(place, hooks) {
    this.#place = place;
    this.#home = place.baseUrl;
    this.#hooks = hooks;
    this.pc = null;
    this.session = null;
  }

  set token(token) { this.#place = { ...this.#place, token }; }

  /** Where the room is: that of the options, or of another node that the router named. */
  get baseUrl() { return this.#place.baseUrl; }
  set baseUrl(baseUrl) { this.#place = { ...this.#place, baseUrl, offer: null }; }

  /** A new session. */
  async open() {
    const { prepare, onPosted, timings } = this.#hooks;
    const signal = this.#abort.signal;
    const adopt = (pc, session) => {
      Object.assign(this, { pc, session });
      if (!signal.aborted) onPosted(session);
    };
    try {
      const onMoved = (baseUrl) => (this.baseUrl = baseUrl);
      const pc = await joinByOffer(this.#place, { prepare, onPosted: adopt, onMoved, timings, signal });
      pc.addEventListener("connectionstatechange", () => this.#onState(pc));
      this.#onState(pc);
    } catch (error) {
      await this.#discard();
      // The next attempt asks again where the room is.
      this.baseUrl = this.#home;
      throw error;
    }
    // The page's own offer is as old as the page.
    this.#place = { ...this.#place, offer: null };
  }

  /** Ends the session and every attempt to mend it. `ended`: the router has ended it, and refuses its token by now. */
  async close({ ended }) {
    this.#abort.abort(new DOMException("left the room", "AbortError"));
    if (ended) this.session = null;
    await this.#discard();
  }

  /** Tells the router while the page is going away. */
  onPageHide() {
    if (this.session) deleteSession(this.session, this.#place.token);
  }

  async #discard() {
    const { pc, session } = this;
    clearTimeout(this.#graceTimer);
    Object.assign(this, { pc: null, session: null });
    pc?.close();
    if (session) await deleteSession(session, this.#place.token);
  }

  #onState(pc) {
    if (pc !== this.pc) return;
    clearTimeout(this.#graceTimer);
    if (pc.connectionState === "failed") this.#recover();
    if (pc.connectionState === "disconnected") this.#graceTimer = setTimeout(() => this.#recover(), DISCONNECTED_GRACE_MS);
  }

  /** Another session in place of this one, which ends once the other is there: nobody sees its owner leave. */
  async replace() {
    const old = { pc: this.pc, session: this.session };
    if (this.#recovering || !old.session) return;
    this.#recovering = true;
    this.#hooks.onLost();
    Object.assign(this, { pc: null, session: null });
    const lost = await this.open().then(() => null, (error) => error);
    this.#recovering = false;
    old.pc.close();
    await deleteSession(old.session, this.#place.token);
    if (!lost) this.#hooks.onMended();
    else if (lost.isFinal) this.#hooks.onGivenUp(lost);
    else await this.#recover(RESUME_ATTEMPTS);
  }

  async #recover(first = 0) {
    if (this.#recovering || this.#abort.signal.aborted) return;
    this.#recovering = true;
    this.#hooks.onLost();
    try {
      for (let attempt = first; attempt < RECONNECT_DELAYS_MS.length; attempt++) {
        const jitter = attempt >= RESUME_ATTEMPTS ? Math.random() * JITTER_MS : 0;
        await delay(RECONNECT_DELAYS_MS[attempt] + jitter, this.#abort.signal);
        if (await this.#attempt(attempt)) return this.#hooks.onMended();
      }
      this.#hooks.onGivenUp(new RouterError({ slug: "reconnect-failed", detail: "gave up reconnecting" }));
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#hooks.onGivenUp(error);
    } finally {
      this.#recovering = false;
    }
  }

  /** Whether it worked; throws what makes further attempts useless. */
  async #attempt(number) {
    try {
      if (number < RESUME_ATTEMPTS && this.session) await this.#resume();
      else await this.#rejoin();
      return true;
    } catch (error) {
      if (this.#abort.signal.aborted || error.isFinal) throw error;
      if (error.status === 404 || error.status === 412) this.session = null;
      this.#hooks.onAttemptFailed(error);
      return false;
    }
  }

  async #resume() {
    const pc = this.pc;
    if (pc.connectionState === "connected") return;
    if (pc.signalingState === "have-local-offer") await pc.setLocalDescription({ type: "rollback" });
    const remote = pc.remoteDescription.sdp;
    await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
    const local = pc.localDescription.sdp;
    const headers = { "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*" };
    const patch = { method: "PATCH", headers, body: writeFragment(local) };
    const response = await request(this.session.url, patch, this.#place.token);
    await pc.setRemoteDescription({ type: "answer", sdp: writeRestartAnswer(remote, local, await response.text()) });
    await connected(pc);
  }

  async #rejoin() {
    await this.#discard();
    await this.open();
  }
}

const delay = (ms, signal) =>
  new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
