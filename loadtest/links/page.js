/*
 * What a page's peer connection counts, in few words: `readReceived(mid)` of who watches, `readSent()` of who publishes.
 * Counters are cumulative; the frames that were shown and drawn come with their times and are told once.
 */
(() => {
  const AUDIO = ["totalSamplesReceived", "concealedSamples", "silentConcealedSamples", "concealmentEvents", "packetsLost"];

  const sum = (stats, names) =>
    Object.fromEntries(names.map((name) => [name, stats.reduce((total, stat) => total + (stat[name] ?? 0), 0)]));

  const statsOfType = async (type) => {
    const report = await joined.connection.getStats();
    return [...report.values()].filter((stat) => stat.type === type);
  };

  window.readReceived = async (mid) => {
    const inbound = await statsOfType("inbound-rtp");
    const { shown, longestGapMs, torn } = window.watched;
    Object.assign(window.watched, { shown: [], longestGapMs: 0 });
    return {
      video: inbound.find((stat) => stat.mid === mid) ?? {},
      audio: sum(inbound.filter((stat) => stat.kind === "audio" && stat.packetsReceived > 0), AUDIO),
      // A gap that still lasts is one, too.
      longestGapMs: Math.max(longestGapMs, performance.now() - window.watched.last),
      torn,
      shown,
    };
  };

  window.readSent = async () => {
    const streams = (await statsOfType("outbound-rtp")).filter(({ kind, active }) => kind === "video" && active);
    return {
      drawn: readDrawn(),
      streams: streams.map((stat) => ({
        rid: stat.rid ?? "",
        bytesSent: stat.bytesSent + stat.headerBytesSent,
        targetBitrate: stat.targetBitrate ?? 0,
        frameHeight: stat.frameHeight ?? 0,
        framesPerSecond: stat.framesPerSecond ?? 0,
        qualityLimitationReason: stat.qualityLimitationReason,
      })),
    };
  };
})();
