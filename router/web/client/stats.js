/** The figures of `RTCPeerConnection.getStats()` that an application shows: per sending m-line and per slot, with rates. */

/** Counters start at 0, gauges are null while unknown. */
const INBOUND = {
  counters: ["packetsLost", "packetsReceived", "framesDecoded", "freezeCount", "concealedSamples", "totalSamplesReceived"],
  gauges: ["jitter", "framesPerSecond", "frameWidth", "frameHeight", "audioLevel"],
};
const OUTBOUND = {
  counters: ["packetsSent", "nackCount", "pliCount"],
  gauges: ["framesPerSecond", "frameWidth", "frameHeight", "qualityLimitationReason"],
};

const pick = (stat, { counters, gauges }) =>
  Object.fromEntries([...counters.map((name) => [name, stat[name] ?? 0]), ...gauges.map((name) => [name, stat[name] ?? null])]);

export class StatsReader {
  #previous = new Map();

  /** Rates are since the previous call; `slots` says who is in which m-line. */
  async read(pc, slots) {
    const result = { roundTripTime: null, sending: [], receiving: [] };
    if (!pc) return result;
    const seen = new Map();
    for (const stat of (await pc.getStats()).values()) {
      if (stat.type === "candidate-pair" && stat.nominated) result.roundTripTime = stat.currentRoundTripTime ?? null;
      if (stat.type === "inbound-rtp") result.receiving.push(this.#inbound(stat, slots.get(stat.mid), seen));
      if (stat.type === "outbound-rtp") result.sending.push(this.#outbound(stat, seen));
    }
    this.#previous = seen;
    return result;
  }

  #inbound(stat, slot, seen) {
    const place = { trackId: slot?.trackId ?? null, participantId: slot?.participantId ?? null };
    const bitrate = this.#rate(stat, "bytesReceived", seen);
    return { mid: stat.mid, kind: stat.kind, ...place, bitrate, ...pick(stat, INBOUND) };
  }

  #outbound(stat, seen) {
    const { mid, kind, rid = null } = stat;
    return { mid, kind, rid, bitrate: this.#rate(stat, "bytesSent", seen), ...pick(stat, OUTBOUND) };
  }

  #rate(stat, field, seen) {
    const previous = this.#previous.get(stat.id);
    const now = { timestamp: stat.timestamp, value: stat[field] ?? 0 };
    seen.set(stat.id, now);
    if (!previous || now.timestamp <= previous.timestamp || now.value < previous.value) return 0;
    return ((now.value - previous.value) * 8000) / (now.timestamp - previous.timestamp);
  }
}
