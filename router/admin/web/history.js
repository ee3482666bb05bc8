/** What charts draw: the last minutes of a figure, and rates made of counters. */

export const WINDOW_MS = 300_000;
const MAX_POINTS = 320;
const MAX_SERIES = 600;

/** Values over time; null is a gap. */
export class Series {
  points = [];

  push(time, value) {
    const number = Number.isFinite(value) ? value : null;
    this.points.push({ time, value: number });
    while (this.points.length > MAX_POINTS || this.points[0].time < time - WINDOW_MS) this.points.shift();
  }

  get latest() {
    return this.points.at(-1)?.value ?? null;
  }

  get largest() {
    return this.points.reduce((most, { value }) => Math.max(most, value ?? 0), 0);
  }

  /** The point nearest to a time. */
  at(time) {
    return this.points.reduce((best, point) => (!best || Math.abs(point.time - time) < Math.abs(best.time - time) ? point : best), null);
  }
}

/** Series by name; the one that was not used for longest goes first. */
export class History {
  #series = new Map();

  get(key) {
    const found = this.#series.get(key) ?? new Series();
    this.#series.delete(key);
    this.#series.set(key, found);
    if (this.#series.size > MAX_SERIES) this.#series.delete(this.#series.keys().next().value);
    return found;
  }

  /** Adds a value and gives its series back. */
  push(key, time, value) {
    const series = this.get(key);
    series.push(time, value);
    return series;
  }
}

/** Change per second of a counter; null at first, and when it went back because its router started anew. */
export class Rate {
  #before = null;

  next(seconds, total) {
    const before = this.#before;
    this.#before = { seconds, total };
    if (!before || total === null || before.total === null || seconds <= before.seconds || total < before.total) return null;
    return (total - before.total) / (seconds - before.seconds);
  }
}

/** The same for several counters by name. */
export class Rates {
  #rates = new Map();

  next(key, seconds, total) {
    if (!this.#rates.has(key)) this.#rates.set(key, new Rate());
    return this.#rates.get(key).next(seconds, total);
  }
}
