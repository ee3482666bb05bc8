/**
 * Asks again and again: never twice at once, slower while it fails, not at all while nobody looks at the tab.
 * What happens in between (an event, a click) may ask for the next one sooner.
 */

const INTERVAL_MS = 2000;
const SOON_MS = 400;
const MAX_BACKOFF_MS = 10_000;

export class Poller {
  #timer = null;
  #abort = null;
  #again = false;
  #failures = 0;
  #stopped = false;

  /** `load(signal)` answers; `onData(data)`, or `onError(error, retryInMs)` where null means: not again. */
  constructor(load, { onData, onError }) {
    Object.assign(this, { load, onData, onError });
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.#run();
  }

  stop() {
    this.#stopped = true;
    document.removeEventListener("visibilitychange", this.#onVisibility);
    clearTimeout(this.#timer);
    this.#abort?.abort();
  }

  /** The next answer is wanted at once. */
  now() {
    if (this.#abort) this.#again = true;
    else this.#run();
  }

  /** Something changed: earlier than planned, but many changes are one request. */
  soon() {
    if (!this.#failures) this.#plan(SOON_MS);
  }

  #onVisibility = () => {
    if (document.hidden) clearTimeout(this.#timer);
    else if (!this.#abort) this.#run();
  };

  #plan(delay) {
    const due = performance.now() + delay;
    if (this.#abort || this.#stopped || document.hidden || (this.due && this.due > performance.now() && this.due <= due)) return;
    clearTimeout(this.#timer);
    this.due = due;
    this.#timer = setTimeout(() => this.#run(), delay);
  }

  async #run() {
    clearTimeout(this.#timer);
    this.due = null;
    if (this.#stopped) return;
    this.#abort = new AbortController();
    let delay = INTERVAL_MS;
    try {
      const data = await this.load(this.#abort.signal);
      if (this.#stopped) return;
      this.#failures = 0;
      this.onData(data);
    } catch (error) {
      if (this.#stopped) return;
      delay = this.#fail(error);
    } finally {
      this.#abort = null;
    }
    if (delay === null) return;
    if (this.#again) delay = 0;
    this.#again = false;
    this.#plan(delay);
  }

  #fail(error) {
    this.#failures += 1;
    const backoff = Math.min(MAX_BACKOFF_MS, 1000 * 2 ** (this.#failures - 1));
    const delay = error.needsToken ? null : Math.max(backoff * (0.8 + 0.4 * Math.random()), (error.retryAfterS ?? 0) * 1000);
    this.onError(error, delay);
    return delay;
  }
}
