/**
 * Joining by the room's static offer, without a signalling round trip of one's own before ICE and DTLS.
 *
 * The offer is the same cacheable text for everybody. This fork's nonce is appended to its ufrag, the browser answers,
 * and ICE and DTLS run while the answer is on its way to the router. The m-lines have fixed names (mids): `mic`, `cam`,
 * `scr` and `snd` are what a participant sends, all others are slots that it receives. No SDP is exchanged afterwards.
 */

import { RouterError, request } from "./http.js";
import { attribute, completeUfrag, mintNonce } from "./sdp.js";

const CONNECT_TIMEOUT_MS = 10000;
// A cached offer may be older than the room, one from the router itself only if the room has just been made anew.
const MAX_STALE_OFFERS = 3;
const MAX_MOVES = 3;
const STALE = ["stale-offer", "unknown-room"];

/**
 * Joins, and resolves to the peer connection once media can flow both ways.
 *
 * `place`: baseUrl, room, token, iceServers (null: those of the router), and perhaps an `offer` at hand. `prepare(pc)` sets up the transceivers that
 * the offer made. `signal` gives up. `onPosted(pc, session)` gets the session once the router has taken the answer;
 * ending it is the caller's part from then on, also when joining fails later. `onMoved(baseUrl)` is told where the room
 * is when that is another node of the router.
 */
export async function joinByOffer(place, options) {
  let given = place.offer;
  for (let stale = 0, moves = 0; ; ) {
    try {
      const offering = given ? { text: given, iceServers: null } : fetchOffer(place, stale ? "reload" : "default");
      return await answerOffer(offering, place, options);
    } catch (error) {
      if (error.nodeUrl && moves++ < MAX_MOVES) {
        place = { ...place, baseUrl: error.nodeUrl };
        options.onMoved(error.nodeUrl);
      } else if (!STALE.includes(error.slug) || stale++ === MAX_STALE_OFFERS) throw error;
      given = null;
    }
  }
}

const roomUrl = ({ baseUrl, room }) => `${baseUrl}/rooms/${encodeURIComponent(room)}`;

async function fetchOffer(place, cache) {
  const response = await request(`${roomUrl(place)}/offer`, { cache }, place.token);
  const told = response.headers.get("Link")?.includes('rel="ice-servers"') && !place.iceServers;
  const [text, iceServers] = await Promise.all([response.text(), told ? fetchIceServers(place) : null]);
  return { text, iceServers };
}

/** With TURN credentials of one's own, so not part of the offer, which is everybody's. */
async function fetchIceServers(place) {
  const response = await request(`${roomUrl(place)}/ice-servers`, { cache: "no-store" }, place.token);
  return (await response.json()).iceServers;
}

/** The offer may still be on its way: the browser makes its certificate and gathers candidates meanwhile. */
async function answerOffer(offering, place, { prepare, onPosted, timings, signal }) {
  const configuration = { bundlePolicy: "max-bundle", iceServers: place.iceServers ?? [], iceCandidatePoolSize: 1 };
  const pc = new RTCPeerConnection(configuration);
  try {
    const { text: offer, iceServers } = await offering;
    if (iceServers) pc.setConfiguration({ ...configuration, iceServers });
    const nonce = mintNonce();
    signal.throwIfAborted();
    timings.mark("offer");
    await pc.setRemoteDescription({ type: "offer", sdp: completeUfrag(offer, nonce) });
    await prepare(pc);
    await pc.setLocalDescription();
    timings.mark("answered");
    timings.watch(pc);
    const post = async () => {
      const session = await postAnswer(place, pc.localDescription.sdp, attribute(offer, "ice-ufrag") + nonce);
      timings.mark("posted");
      onPosted(pc, session);
    };
    await Promise.all([post(), connected(pc)]);
    signal.throwIfAborted();
    timings.mark("connected");
    return pc;
  } catch (error) {
    pc.close();
    throw error;
  }
}

async function postAnswer(place, sdp, ufrag) {
  const url = `${roomUrl(place)}/forks`;
  const headers = { "Content-Type": "application/sdp", "Fork-Ufrag": ufrag };
  const response = await request(url, { method: "POST", headers, body: sdp }, place.token);
  const { session: id, participant, slots } = await response.json();
  return { url: new URL(response.headers.get("Location"), url).href, id, participant, slots };
}

/** Ends a session at the router, also while the page is going away. */
export const deleteSession = ({ url }, token) => request(url, { method: "DELETE", keepalive: true }, token).catch(() => {});

/** Resolves once ICE and DTLS are done. */
export function connected(pc) {
  return new Promise((resolve, reject) => {
    const settle = (result) => {
      clearTimeout(timer);
      pc.removeEventListener("connectionstatechange", check);
      if (result) reject(new RouterError({ slug: result, detail: "no media path to the router could be set up" }));
      else resolve();
    };
    const check = () => {
      if (pc.connectionState === "connected") settle(null);
      else if (["failed", "closed"].includes(pc.connectionState)) settle("connect-failed");
    };
    const timer = setTimeout(() => settle("connect-timeout"), CONNECT_TIMEOUT_MS);
    pc.addEventListener("connectionstatechange", check);
    check();
  });
}
