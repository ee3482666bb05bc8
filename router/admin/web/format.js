/** Figures as people read them. A figure that is not known is a dash. */

export const DASH = "–";
const STEPS = [[1e9, "Gbit/s"], [1e6, "Mbit/s"], [1e3, "kbit/s"]];

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

/** Three digits that count: 1.24, 12.4, 124. */
const digits = (value) => value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0);

export function bitrateParts(bps) {
  if (!known(bps)) return [DASH, ""];
  const [size, unit] = STEPS.find(([size]) => bps >= size * 0.9995) ?? STEPS.at(-1);
  return [size === 1e3 ? String(Math.round(bps / size)) : digits(bps / size), unit];
}

export const bitrate = (bps) => (known(bps) ? bitrateParts(bps).join(" ") : DASH);
export const count = (value) => (known(value) ? value.toLocaleString("en-US") : DASH);
export const milliseconds = (seconds) => (known(seconds) ? `${formatMs(seconds * 1000)} ms` : DASH);
const formatMs = (ms) => (ms < 9.95 ? ms.toFixed(1) : String(Math.round(ms)));

export function percent(share) {
  if (!known(share)) return DASH;
  const value = share * 100;
  return `${value === 0 ? "0" : value < 0.05 ? "<0.1" : value < 9.95 ? value.toFixed(1) : Math.round(value)} %`;
}

export function picture(width, height, framesPerSecond) {
  if (!known(width) && !known(height)) return known(framesPerSecond) && framesPerSecond > 0 ? `${Math.round(framesPerSecond)} fps` : DASH;
  const size = known(width) && known(height) ? `${width}×${height}` : `${height ?? width}p`;
  return known(framesPerSecond) ? `${size} · ${Math.round(framesPerSecond)} fps` : size;
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

export const clockTime = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");
export const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

const SOURCES = { microphone: "Microphone", camera: "Camera", screen: "Screen", "screen-audio": "Screen sound" };
export const sourceName = (source, kind) => SOURCES[source] ?? (kind === "audio" ? "Audio" : "Video");
