/**
 * The few lines of SDP that this client reads and edits. Only remote descriptions are ever edited: the nonce of a fork
 * goes onto the offer's ufrag before the browser sees it, and an ICE restart's answer is the known description with
 * another ICE generation. Local descriptions stay as the browser wrote them.
 */

import { RouterError } from "./http.js";

const NONCE_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const NONCE_LENGTH = 22;

/** The value of the first `a=name:` line. */
export const attribute = (sdp, name) => sdp.match(new RegExp(`^a=${name}:(.*)$`, "m"))?.[1].trim();

/** 131 random bits that nobody else in the room learns: they keep a fork's path its own. */
export function mintNonce() {
  let nonce = "";
  while (nonce.length < NONCE_LENGTH) {
    // Bytes from 248 on would make the first letters likelier.
    for (const byte of crypto.getRandomValues(new Uint8Array(NONCE_LENGTH))) {
      if (byte < 248) nonce += NONCE_CHARACTERS[byte % 62];
    }
  }
  return nonce.slice(0, NONCE_LENGTH);
}

/** The static offer as one fork's own: the nonce behind the context id on every ufrag line. */
export const completeUfrag = (offer, nonce) => offer.replace(/^a=ice-ufrag:\w+/gm, `$&${nonce}`);

/** A local offer's credentials as a trickle-ice-sdpfrag (RFC 8840): all that an ICE restart sends. */
export function writeFragment(sdp) {
  const attributes = ["mid", "ice-ufrag", "ice-pwd"].map((name) => `a=${name}:${attribute(sdp, name)}`);
  return [sdp.match(/^m=.*$/m)[0].trim(), ...attributes, ""].join("\r\n");
}

/**
 * The router's answer to an ICE restart: what it said when joining, be it an offer or an answer, with the credentials
 * of its fragment. The browser has been the DTLS client since it answered `actpass`, so the router stays passive.
 */
export function writeRestartAnswer(remote, localOffer, fragment) {
  const [ufrag, password] = [attribute(fragment, "ice-ufrag"), attribute(fragment, "ice-pwd")];
  if (!ufrag || !password) throw new RouterError({ slug: "bad-fragment", detail: "restart reply without credentials" }, 502);
  const unused = new Set(sections(localOffer).filter((section) => /^a=inactive\r?$/m.test(section)).map(midOf));
  const [session, ...media] = remote
    .replace(/^a=ice-ufrag:[^\r\n]*/gm, `a=ice-ufrag:${ufrag}`)
    .replace(/^a=ice-pwd:[^\r\n]*/gm, `a=ice-pwd:${password}`)
    .replace(/^a=setup:actpass/gm, "a=setup:passive")
    .split(/^(?=m=)/m);
  const directed = media.map((section) =>
    unused.has(midOf(section)) ? section.replace(/^a=(sendonly|recvonly|sendrecv)/m, "a=inactive") : section,
  );
  return [session, ...directed].join("");
}

const sections = (sdp) => sdp.split(/^(?=m=)/m).slice(1);
const midOf = (section) => attribute(section, "mid");
