/**
 * The demo room: a lobby and a call on top of client.js. It shows what an application does with the module, and is
 * the page the browser tests open: `?room=R&name=N` fills the form, `&join=1` joins at once.
 */

import { Room, RouterError } from "./client.js";

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const tiles = new Map();
const SPEAKING_LEVEL = 0.02;
const SPEAKING_HOLD_MS = 600;
const LEVEL_INTERVAL_MS = 150;
const STATS_INTERVAL_MS = 1000;

let room = null;
let timers = [];
let localLevel = () => 0;

// -- lobby -----------------------------------------------------------------------------------------------------

$("room").value = query.get("room") ?? localStorage.getItem("room") ?? "lobby";
$("name").value = query.get("name") ?? localStorage.getItem("name") ?? "";
$("token").value = query.get("token") ?? "";
$("with-camera").checked = query.get("camera") !== "0";
$("with-microphone").checked = query.get("microphone") !== "0";

async function token(roomName, name) {
  if ($("token").value) return $("token").value;
  const response = await fetch(`/dev/token?${new URLSearchParams({ room: roomName, name })}`);
  if (response.ok) return (await response.json()).token;
  $("token-field").hidden = false;
  $("token").focus();
  throw new Error("This router needs a join token: paste one made by “router token”.");
}

$("join-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.submitter ?? $("join-form").querySelector("button");
  button.disabled = true;
  $("lobby-error").textContent = "";
  try {
    await join($("room").value.trim(), $("name").value.trim());
  } catch (error) {
    $("lobby-error").textContent = explain(error);
    document.body.dataset.view = "lobby";
    room = null;
  } finally {
    button.disabled = false;
  }
});

function explain(error) {
  if (error instanceof RouterError && error.status === 503) return `The room is full (${error.message}).`;
  if (error.name === "NotAllowedError") return "The browser was not allowed to use this device.";
  if (error.name === "NotFoundError") return "No such device was found.";
  return error.message;
}

async function join(roomName, name) {
  localStorage.setItem("room", roomName);
  localStorage.setItem("name", name);
  room = new Room({ room: roomName, token: await token(roomName, name) });
  window.room = room;
  listen(room);
  if ($("with-microphone").checked) await tolerate(() => room.publishMicrophone());
  if ($("with-camera").checked) await tolerate(() => room.publishCamera());
  await room.join();
  $("room-name").textContent = roomName;
  document.body.dataset.view = "call";
  timers = [setInterval(showLevels, LEVEL_INTERVAL_MS), setInterval(showStats, STATS_INTERVAL_MS)];
  render();
}

/** A device that cannot be opened is told, and does not keep anybody out of the room. */
async function tolerate(action) {
  try {
    return await action();
  } catch (error) {
    toast(explain(error));
    return null;
  }
}

// -- call ------------------------------------------------------------------------------------------------------

function listen(joined) {
  for (const type of ["participantjoined", "participantleft", "participantchanged", "slotchange"]) joined.addEventListener(type, render);
  joined.addEventListener("localtrack", ({ detail: { source, track } }) => {
    if (source === "microphone") watchLocalLevel(track);
    render();
  });
  joined.addEventListener("statechange", ({ detail: { state, error } }) => {
    $("state").textContent = state === "connected" ? "" : state;
    $("state").dataset.state = state;
    if (state === "closed") finish(error);
  });
  joined.addEventListener("audioblocked", () => ($("unblock-audio").hidden = false));
  joined.addEventListener("error", ({ detail: { error } }) => toast(explain(error)));
}

function finish(error) {
  timers.forEach(clearInterval);
  for (const tile of tiles.values()) tile.element.remove();
  tiles.clear();
  $("audio").replaceChildren();
  $("stats").hidden = true;
  document.body.dataset.view = "lobby";
  if (error) $("lobby-error").textContent = explain(error);
}

/** What the grid should show: one tile a picture, or one a person without picture. */
function wantedTiles() {
  const wanted = new Map();
  const mine = { microphone: room.localTrack("microphone") && !room.isMuted("microphone") };
  const myName = `${$("name").value || "Me"} (you)`;
  const camera = room.isMuted("camera") ? null : room.localTrack("camera");
  wanted.set("me", { name: myName, track: camera, mirror: true, muted: !mine.microphone, participantId: "me" });
  const screen = room.localTrack("screen");
  if (screen) wanted.set("me/screen", { name: `${myName}, screen`, track: screen, screen: true, participantId: "me" });
  for (const person of room.participants.values()) {
    if (person.id !== room.participantId) addPerson(wanted, person);
  }
  return wanted;
}

function addPerson(wanted, person) {
  const muted = !person.tracks.some((track) => track.source === "microphone" && track.live && !track.muted);
  const pictures = person.tracks.filter((track) => track.kind === "video" && track.live && !track.muted);
  const face = pictures.find((track) => track.source !== "screen");
  wanted.set(person.id, { name: person.name, track: face && room.trackFor(face.id), muted, participantId: person.id });
  for (const track of pictures) {
    if (track === face) continue;
    const suffix = track.source === "screen" ? ", screen" : "";
    wanted.set(track.id, { name: person.name + suffix, track: room.trackFor(track.id), screen: track.source === "screen", participantId: person.id });
  }
}

function render() {
  if (!room || room.state === "closed" || room.state === "new") return;
  const wanted = wantedTiles();
  for (const [key, tile] of tiles) {
    if (wanted.has(key)) continue;
    tile.element.remove();
    tiles.delete(key);
  }
  for (const [key, view] of wanted) showTile(key, view);
  const columns = Math.ceil(Math.sqrt(wanted.size * (innerWidth > innerHeight ? 1 : 0.5)));
  $("grid").style.setProperty("--columns", String(Math.max(1, columns)));
  const people = room.participants.size;
  $("count").textContent = people ? `${people} ${people === 1 ? "person" : "people"}` : "";
  showControls();
  playAudio();
}

function showTile(key, view) {
  const tile = tiles.get(key) ?? createTile(key);
  const current = tile.video.srcObject?.getTracks()[0] ?? null;
  if (current !== (view.track ?? null)) {
    tile.video.srcObject = view.track ? new MediaStream([view.track]) : null;
    if (view.track) tile.video.play().catch(() => {});
  }
  tile.participantId = view.participantId;
  tile.element.dataset.participant = view.participantId;
  tile.element.classList.toggle("has-picture", Boolean(view.track));
  tile.element.classList.toggle("screen", Boolean(view.screen));
  tile.element.classList.toggle("mirror", Boolean(view.mirror));
  tile.name.textContent = view.name;
  tile.avatar.textContent = [...view.name][0]?.toUpperCase() ?? "?";
  tile.mute.toggleAttribute("hidden", !view.muted);
}

function createTile(key) {
  const element = $("tile").content.firstElementChild.cloneNode(true);
  const [video, avatar, mute, name] = ["video", ".avatar", ".mute", ".name"].map((part) => element.querySelector(part));
  video.muted = true;
  $("grid").append(element);
  const tile = { element, video, avatar, name, mute, participantId: null, spokeAt: -Infinity };
  tiles.set(key, tile);
  return tile;
}

/** One hidden element per audio slot, for the life of the connection. */
function playAudio() {
  const wanted = new Map(room.receivedTracks().filter(({ track }) => track.kind === "audio").map(({ track }) => [track.id, track]));
  for (const element of [...$("audio").children]) if (!wanted.delete(element.dataset.track)) element.remove();
  const added = [];
  for (const track of wanted.values()) {
    const element = new Audio();
    element.dataset.track = track.id;
    element.srcObject = new MediaStream([track]);
    $("audio").append(element);
    added.push(element);
  }
  if (added.length) room.startAudio(added);
}

// -- controls --------------------------------------------------------------------------------------------------

function showControls() {
  for (const source of ["microphone", "camera", "screen"]) {
    const on = room.localTrack(source) !== null && !room.isMuted(source);
    $(`toggle-${source}`).setAttribute("aria-pressed", String(on));
  }
}

async function toggleDevice(source, publish) {
  if (!room.localTrack(source)) return tolerate(publish);
  return room.mute(source, !room.isMuted(source));
}

function onClick(id, action) {
  $(id).addEventListener("click", async () => {
    $(id).disabled = true;
    await tolerate(action);
    $(id).disabled = false;
  });
}

onClick("toggle-microphone", () => toggleDevice("microphone", () => room.publishMicrophone()));
onClick("toggle-camera", () => toggleDevice("camera", () => room.publishCamera()));
onClick("toggle-screen", async () => {
  if (!room.localTrack("screen")) return room.publishScreen();
  await room.unpublish("screen");
  return room.unpublish("screen-audio");
});
onClick("toggle-stats", async () => {
  $("stats").hidden = !$("stats").hidden;
  $("toggle-stats").setAttribute("aria-pressed", String(!$("stats").hidden));
});
onClick("leave", () => room.leave());
onClick("unblock-audio", async () => {
  await room.startAudio($("audio").children);
  $("unblock-audio").hidden = true;
});
addEventListener("resize", render);

// -- levels and statistics -------------------------------------------------------------------------------------

/** The own microphone's loudness; an analyser, because only Chromium reports it in getStats(). */
function watchLocalLevel(track) {
  localLevel = () => 0;
  if (!track) return;
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  localLevel = () => {
    analyser.getFloatTimeDomainData(samples);
    return samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);
  };
  track.addEventListener("ended", () => context.close());
}

function showLevels() {
  const levels = room.audioLevels();
  levels.set("me", room.isMuted("microphone") ? 0 : localLevel());
  const now = performance.now();
  for (const tile of tiles.values()) {
    if ((levels.get(tile.participantId) ?? 0) > SPEAKING_LEVEL) tile.spokeAt = now;
    tile.element.classList.toggle("speaking", now - tile.spokeAt < SPEAKING_HOLD_MS);
  }
}

async function showStats() {
  if ($("stats").hidden || room.state !== "connected") return;
  const { roundTripTime, sending, receiving } = await room.getStats();
  const total = (list) => Math.round(list.reduce((sum, stream) => sum + stream.bitrate, 0) / 1000);
  const rtt = roundTripTime === null ? "–" : `${Math.round(roundTripTime * 1000)} ms`;
  $("stats-summary").textContent = `Round trip ${rtt}, sending ${total(sending)}, receiving ${total(receiving)} kbit/s`;
  const nameOf = (id) => room.participants.get(id)?.name ?? "–";
  const rows = [
    ...sending.filter((s) => s.bitrate > 0).map((s) => row(`↑ ${s.kind}${s.rid ? ` ${s.rid}` : ""}`, s, "")),
    ...receiving.filter((s) => s.trackId).map((s) => row(`↓ ${nameOf(s.participantId)} ${s.kind}`, s, loss(s))),
  ];
  $("stats-rows").replaceChildren(...rows);
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

let toastTimer = null;
function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => ($("toast").hidden = true), 6000);
}

if (query.get("join") === "1") $("join-form").requestSubmit();
