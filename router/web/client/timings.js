/** How long each step of joining took, in milliseconds since `join()` was called. */

/** The steps in the order in which they usually come; `posted` runs beside `ice` and `dtls`. */
const STEPS = ["offer", "answered", "ice", "dtls", "posted", "connected", "firstAudio", "firstFrame"];

export class Timings {
  #start = null;

  constructor() {
    for (const step of STEPS) this[step] = null;
  }

  /** Begins to count. */
  start() { this.#start = performance.now(); }

  /** Notes a step the first time it happens; `at` is on the clock of performance.now(). */
  mark(step, at = performance.now()) {
    if (this.#start !== null) this[step] ??= Math.max(0, Math.round((at - this.#start) * 10) / 10);
  }

  /** Notes when a peer connection's ICE and DTLS are done. */
  watch(pc) {
    const onIce = () => ["connected", "completed"].includes(pc.iceConnectionState) && this.mark("ice");
    pc.addEventListener("iceconnectionstatechange", onIce);
    onIce();
    const transport = pc.getTransceivers().find(({ sender }) => sender.transport)?.sender.transport;
    const onDtls = () => transport.state === "connected" && this.mark("dtls");
    transport?.addEventListener("statechange", onDtls);
  }
}
