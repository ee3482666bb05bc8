/**
 * What a participant may do, as join tokens claim it (`video` grants) and as the router tells when it changes. It is
 * read here to offer only what will be granted; the router alone verifies and enforces.
 */

const SOURCES = { camera: "camera", microphone: "microphone", screen_share: "screen", screen_share_audio: "screen-audio" };

/** Of grants in the shape of a token's `video`. `sources` is null where all are granted. */
export function readRights(video) {
  const named = video.canPublishSources ?? [];
  return {
    publish: (video.canPublish ?? true) && !video.hidden,
    sources: named.length ? new Set(named.map((name) => SOURCES[name])) : null,
    subscribe: video.canSubscribe ?? true,
    moderate: video.roomAdmin === true,
    updateOwnMetadata: video.canUpdateOwnMetadata === true,
    hidden: video.hidden === true,
    recorder: video.recorder === true,
  };
}

/** Of a token, which may have the flat claims too. */
export function readToken(token) {
  try {
    const base64 = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const claims = JSON.parse(atob(base64));
    const flat = { canPublish: claims.publish === true, canSubscribe: claims.subscribe === true, roomAdmin: claims.moderate };
    return readRights(claims.video ?? flat);
  } catch {
    return readRights({});
  }
}

/** Whether a source may be published. */
export const mayPublish = ({ publish, sources }, source) => publish && (sources === null || sources.has(source));
