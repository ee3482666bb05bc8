/** Plain WHIP (RFC 9725) and WHEP, for pages that only publish or only play and need no roster. */

import { request } from "./http.js";

/** Publishes a stream. Resolves to an object with `stop()`. */
export const whipPublish = (url, token, stream) =>
  openSession(url, token, (pc) => {
    for (const track of stream.getTracks()) pc.addTransceiver(track, { direction: "sendonly", streams: [stream] });
  });

/** Plays one audio and one video track. Resolves to an object with `stream` and `stop()`. */
export const whepPlay = (url, token) =>
  openSession(url, token, (pc) => {
    for (const kind of ["audio", "video"]) pc.addTransceiver(kind, { direction: "recvonly" });
  });

async function openSession(url, token, addTransceivers) {
  const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  const stream = new MediaStream();
  pc.ontrack = ({ track }) => stream.addTrack(track);
  addTransceivers(pc);
  try {
    await pc.setLocalDescription();
    const headers = { "Content-Type": "application/sdp" };
    const response = await request(url, { method: "POST", headers, body: pc.localDescription.sdp }, token);
    const resource = new URL(response.headers.get("Location"), url).href;
    await pc.setRemoteDescription({ type: "answer", sdp: await response.text() });
    const stop = async () => {
      pc.close();
      await request(resource, { method: "DELETE", keepalive: true }, token).catch(() => {});
    };
    return { pc, stream, stop };
  } catch (error) {
    pc.close();
    throw error;
  }
}
