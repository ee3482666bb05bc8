/*
 * What a page's WebRTC does, seen from outside it. `installSlots()` runs before the page: it notes every description
 * that is made, set or sent, and finds the page's connections. `readSlots()` then tells for each receiving m-line whom
 * `getContributingSources()` names and what its picture spells; `watchPicture()` looks at every frame of one m-line.
 */
(() => {
  const connections = [];
  const descriptions = [];
  const players = new Map();

  const note = (what, text) => descriptions.push({ what, text: text ?? "", time: performance.now() });
  const isDescription = (text) => typeof text === "string" && text.includes("v=0") && text.includes("m=");

  function noteCalls(owner, name) {
    const original = owner[name];
    owner[name] = function (...parameters) {
      note(name, parameters[0]?.sdp);
      return original.apply(this, parameters);
    };
  }

  window.installSlots = () => {
    const Original = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Original {
      constructor(...parameters) {
        super(...parameters);
        connections.push(this);
      }
    };
    for (const name of ["createOffer", "createAnswer", "setLocalDescription", "setRemoteDescription"]) {
      noteCalls(Original.prototype, name);
    }
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
      if (isDescription(data)) note("websocket", data);
      return send.call(this, data);
    };
    const fetchOriginal = window.fetch;
    window.fetch = async (resource, options = {}) => {
      if (isDescription(options.body)) note("request", options.body);
      const response = await fetchOriginal(resource, options);
      if (response.headers.get("Content-Type")?.startsWith("application/sdp")) {
        note("response", await response.clone().text());
      }
      return response;
    };
  };

  window.readDescriptions = () => descriptions;

  const receiving = () =>
    connections
      .filter((connection) => connection.connectionState === "connected")
      .flatMap((connection) => connection.getTransceivers())
      .filter((transceiver) => transceiver.currentDirection === "recvonly");

  /** A player of our own beside whatever the page has: a browser tells sources of what it plays only. */
  function playerOf({ mid, receiver }) {
    let player = players.get(mid);
    if (player?.srcObject.getTracks()[0] !== receiver.track) {
      player?.remove();
      player = document.createElement(receiver.track.kind);
      const isPicture = receiver.track.kind === "video";
      Object.assign(player, { muted: isPicture, autoplay: true, srcObject: new MediaStream([receiver.track]) });
      // Hidden elements are not painted, and what is not painted has no frames in some browsers.
      player.style.cssText = "position:fixed;bottom:0;width:32px;height:18px;pointer-events:none";
      document.body.append(player);
      player.play().catch(() => {});
      players.set(mid, player);
    }
    return player;
  }

  /** The source of the newest packet: a source is listed for ten seconds after its last one. */
  const latest = (receiver) =>
    receiver.getContributingSources().reduce((best, each) => (!best || each.timestamp > best.timestamp ? each : best), null);

  window.readSlots = () =>
    receiving().map((transceiver) => {
      const { mid, receiver } = transceiver;
      const source = latest(receiver);
      const slot = { mid, kind: receiver.track.kind, contributor: source?.source ?? null, stamp: null };
      slot.age = source ? performance.timeOrigin + performance.now() - source.timestamp : null;
      const player = playerOf(transceiver);
      if (slot.kind === "video" && player.videoWidth > 0) slot.stamp = readStamp(player);
      return slot;
    });

  const MAX_SHOWN = 2000;
  const STALL_MS = 500;

  /**
   * Looks at each frame of one m-line from now on: the longest time without one, what its pictures spelt and how high
   * they were, and when each was shown.
   */
  window.watchPicture = (mid) => {
    const transceiver = receiving().find((each) => each.mid === mid);
    const video = playerOf(transceiver);
    const seen = { frames: 0, longestGapMs: 0, torn: 0, ids: {}, lastId: null, last: performance.now() };
    Object.assign(seen, { resizes: 0, stalls: 0, heights: {}, lastHeight: 0, shown: [] });
    const onFrame = (_, { height }) => {
      if (window.watched !== seen) return;
      const now = performance.now();
      seen.longestGapMs = Math.max(seen.longestGapMs, now - seen.last);
      seen.stalls += now - seen.last > STALL_MS;
      seen.last = now;
      seen.frames += 1;
      const { id, counter, valid } = readStamp(video);
      if (valid && seen.shown.length < MAX_SHOWN) seen.shown.push([counter, performance.timeOrigin + now]);
      if (valid) seen.ids[id] = (seen.ids[id] ?? 0) + 1;
      else seen.torn += 1;
      seen.lastId = valid ? id : null;
      seen.resizes += height !== seen.lastHeight && seen.frames > 1;
      seen.lastHeight = height;
      seen.heights[height] = (seen.heights[height] ?? 0) + 1;
      video.requestVideoFrameCallback(onFrame);
    };
    video.requestVideoFrameCallback(onFrame);
    window.watched = seen;
  };

  /** What the receiver of one m-line says about its decoder. */
  window.readDecoder = async (mid) => {
    const { receiver } = receiving().find((each) => each.mid === mid);
    const stats = [...(await receiver.getStats()).values()].find((stat) => stat.type === "inbound-rtp");
    const { framesReceived, framesDecoded, framesDropped, keyFramesDecoded, freezeCount, totalFreezesDuration } = stats;
    const { pliCount, nackCount, packetsLost, packetsReceived } = stats;
    return {
      ...{ framesReceived, framesDecoded, framesDropped, keyFramesDecoded, freezeCount, totalFreezesDuration },
      ...{ pliCount, nackCount, packetsLost, packetsReceived },
    };
  };
})();
