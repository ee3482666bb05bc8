/*
 * The page of bench_join_latency: `join(way, options)` joins once, by static offer or by WHEP, waits for the first
 * decoded frame of any slot and tells when each step was done, in milliseconds after the first WebRTC call.
 */
(() => {
  const NONCE_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  const FRAME_TIMEOUT_MS = 20000;

  /** 22 letters and digits; the few values that would favour some letters are drawn again. */
  function mintNonce() {
    const letters = [];
    while (letters.length < 22) {
      const [byte] = crypto.getRandomValues(new Uint8Array(1));
      if (byte < 4 * NONCE_LETTERS.length) letters.push(NONCE_LETTERS[byte % NONCE_LETTERS.length]);
    }
    return letters.join("");
  }

  class Attempt {
    constructor() {
      this.times = {};
      this.start = performance.now();
      this.pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
      this.pc.oniceconnectionstatechange = () => {
        if (this.pc.iceConnectionState === "connected") this.mark("ice");
      };
      this.connected = new Promise((resolve) => {
        this.pc.onconnectionstatechange = () => {
          if (this.pc.connectionState !== "connected") return;
          this.mark("dtls");
          resolve();
        };
      });
      this.firstFrame = new Promise((resolve, reject) => {
        this.pc.ontrack = ({ track }) => track.kind === "video" && this.show(track, resolve);
        setTimeout(() => reject(new Error(`no frame: ${JSON.stringify(this.times)}`)), FRAME_TIMEOUT_MS);
      });
    }

    mark(name) {
      this.times[name] ??= performance.now() - this.start;
    }

    show(track, resolve) {
      const video = document.createElement("video");
      Object.assign(video, { muted: true, autoplay: true, srcObject: new MediaStream([track]) });
      document.body.append(video);
      video.requestVideoFrameCallback(() => {
        this.mark("frame");
        resolve();
      });
    }

    async post(path, token, headers = {}) {
      const response = await fetch(path, {
        method: "POST",
        headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/sdp", ...headers },
        body: this.pc.localDescription.sdp,
      });
      this.mark("answered");
      if (response.status !== 201) throw new Error(`${path}: ${response.status} ${await response.text()}`);
      return response;
    }
  }

  const ways = {
    async offer(attempt, { offer, room, token }) {
      const nonce = mintNonce();
      const sdp = offer.replaceAll(/^(a=ice-ufrag:\S+)/gm, `$1${nonce}`);
      await attempt.pc.setRemoteDescription({ type: "offer", sdp });
      await attempt.pc.setLocalDescription();
      const ufrag = /^a=ice-ufrag:(\S+)/m.exec(sdp)[1];
      return attempt.post(`/rooms/${room}/forks`, token, { "Fork-Ufrag": ufrag });
    },

    async whep(attempt, { room, token, audioSlots, videoSlots }) {
      for (let count = 0; count < audioSlots; count++) attempt.pc.addTransceiver("audio", { direction: "recvonly" });
      for (let count = 0; count < videoSlots; count++) attempt.pc.addTransceiver("video", { direction: "recvonly" });
      await attempt.pc.setLocalDescription();
      const response = await attempt.post(`/whep/${room}`, token);
      await attempt.pc.setRemoteDescription({ type: "answer", sdp: await response.text() });
      return response;
    },
  };

  /** The room's offer as text. It also opens the TCP connection that the join then uses. */
  window.fetchOffer = async (room) => {
    const response = await fetch(`/rooms/${room}/offer`, { cache: "no-store" });
    if (!response.ok) throw new Error(`offer: ${response.status} ${await response.text()}`);
    return response.text();
  };

  window.join = async (way, options) => {
    const attempt = new Attempt();
    const joined = ways[way](attempt, options);
    // The event of the connected state may be told after the first frame.
    await Promise.all([joined, attempt.connected, attempt.firstFrame]);
    window.last = { attempt, location: (await joined).headers.get("Location"), token: options.token };
    return attempt.times;
  };

  window.leave = async () => {
    const { attempt, location, token } = window.last;
    document.querySelectorAll("video").forEach((video) => video.remove());
    attempt.pc.close();
    await fetch(location, { method: "DELETE", headers: { Authorization: `Bearer ${token}` } });
  };
})();
