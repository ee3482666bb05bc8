/** The statistics panel: how joining went, and what flows now. */

import { $ } from "./dom.js";

export async function showStatistics(room) {
  if ($("stats").hidden || room.state !== "connected") return;
  const { roundTripTime, sending, receiving } = await room.getStats();
  const total = (list) => Math.round(list.reduce((sum, stream) => sum + stream.bitrate, 0) / 1000);
  const rtt = roundTripTime === null ? "–" : `${Math.round(roundTripTime * 1000)} ms`;
  $("stats-join").textContent = describeJoin(room.timings);
  $("stats-summary").textContent = `Round trip ${rtt}, sending ${total(sending)}, receiving ${total(receiving)} kbit/s`;
  const nameOf = (id) => room.participants.get(id)?.name ?? "–";
  const rows = [
    ...sending.filter((s) => s.bitrate > 0).map((s) => row(`↑ ${s.kind}${s.rid ? ` ${s.rid}` : ""}`, s, "")),
    ...receiving.filter((s) => s.trackId).map((s) => row(`↓ ${nameOf(s.participantId)} ${s.kind}`, s, loss(s))),
  ];
  $("stats-rows").replaceChildren(...rows);
}

/** Each step by its own duration; what came after joining, by the time since its begin. */
function describeJoin({ offer, answered, ice, dtls, posted, connected, firstAudio, firstFrame }) {
  const ms = (value) => (value === null ? "–" : `${Math.round(value)} ms`);
  const since = (value, start) => (value === null || start === null ? "–" : `${Math.round(Math.max(0, value - start))}`);
  const steps = [
    `offer ${ms(offer)}`,
    `answer ${since(answered, offer)}`,
    `ICE ${since(ice, answered)}`,
    `DTLS ${since(dtls, ice)}`,
    `post ${since(posted, answered)}`,
  ];
  return `Joined in ${ms(connected)}: ${steps.join(" · ")}. First sound after ${ms(firstAudio)}, first frame after ${ms(firstFrame)}.`;
}

const loss = ({ packetsLost, packetsReceived }) =>
  `${((100 * Math.max(0, packetsLost)) / Math.max(1, packetsLost + packetsReceived)).toFixed(1)} %`;

function row(title, stream, lost) {
  const picture = stream.frameWidth ? `${stream.frameWidth}×${stream.frameHeight} @ ${Math.round(stream.framesPerSecond ?? 0)}` : "";
  const element = document.createElement("tr");
  for (const text of [title, Math.round(stream.bitrate / 1000), picture, lost]) {
    const cell = document.createElement("td");
    cell.textContent = text;
    element.append(cell);
  }
  return element;
}
