/** The devices of the browser, opened with defaults that suit a conference. */

const CAMERA = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
const MICROPHONE = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
const SCREEN = { video: { frameRate: { ideal: 15 } }, audio: true };

export async function openCamera(constraints = CAMERA) {
  const stream = await navigator.mediaDevices.getUserMedia({ video: constraints });
  return stream.getVideoTracks()[0];
}

export async function openMicrophone(constraints = MICROPHONE) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: constraints });
  return stream.getAudioTracks()[0];
}

/** The chosen screen or window, and its sound where browser and user give it. */
export async function openScreen(options = SCREEN) {
  const stream = await navigator.mediaDevices.getDisplayMedia(options);
  const [picture] = stream.getVideoTracks();
  picture.contentHint = "detail";
  return { picture, sound: stream.getAudioTracks()[0] ?? null };
}
