/**
 * The demo room: a lobby and a call on top of client.js. It shows what an application does with the module, and is
 * the page the browser tests open: `?room=R&name=N` fills the form, `&join=1` joins at once. Parts are below demo/.
 */

import { Room } from "./client.js";
import { $, explain, onClick, toast, tolerate } from "./demo/dom.js";
import { showDraining } from "./demo/draining.js";
import { Grid } from "./demo/grid.js";
import { moderationMenu, showLock, watchModeration, wireLock } from "./demo/moderation.js";
import { Pages, RETURN_MS } from "./demo/pages.js";
import { LocalLevel, playAudio, showSpeakers } from "./demo/sound.js";
import { showStatistics } from "./demo/statistics.js";

const SPEAKERS_INTERVAL_MS = 150;
const STATS_INTERVAL_MS = 1000;
const CHANGES = ["participantjoined", "participantleft", "participantchanged", "slotchange", "speakerschange", "lockchange", "pinchange"];

const query = new URLSearchParams(location.search);
const localLevel = new LocalLevel();

let room = null;
let pages = null;
let grid = null;
let timers = [];
let renderTimer = null;

// -- lobby -----------------------------------------------------------------------------------------------------

$("room").value = query.get("room") ?? localStorage.getItem("room") ?? "lobby";
$("name").value = query.get("name") ?? localStorage.getItem("name") ?? "";
$("token").value = query.get("token") ?? "";
$("with-camera").checked = query.get("camera") !== "0";
$("with-microphone").checked = query.get("microphone") !== "0";

async function fetchToken(roomName, name) {
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
    finish(error);
  } finally {
    button.disabled = false;
  }
});

async function join(roomName, name) {
  localStorage.setItem("room", roomName);
  localStorage.setItem("name", name);
  room = new Room({ room: roomName, token: await fetchToken(roomName, name) });
  window.room = room;
  pages = new Pages(room);
  grid = new Grid(room, pages, moderationMenu(room));
  listen(room);
  if ($("with-microphone").checked) await tolerate(() => room.publishMicrophone());
  if ($("with-camera").checked) await tolerate(() => room.publishCamera());
  await room.join();
  $("room-name").textContent = roomName;
  document.body.dataset.view = "call";
  timers = [
    setInterval(() => showSpeakers(room, grid.tiles, localLevel), SPEAKERS_INTERVAL_MS),
    setInterval(() => showStatistics(room), STATS_INTERVAL_MS),
  ];
  render();
}

// -- call ------------------------------------------------------------------------------------------------------

function listen(joined) {
  for (const type of CHANGES) joined.addEventListener(type, scheduleRender);
  joined.addEventListener("localtrack", ({ detail: { source, track } }) => {
    if (source === "microphone") localLevel.watch(track);
    scheduleRender();
  });
  joined.addEventListener("statechange", ({ detail: { state, error } }) => {
    $("state").textContent = state === "connected" ? "" : state;
    $("state").dataset.state = state;
    if (state === "closed") finish(error);
  });
  joined.addEventListener("audioblocked", () => ($("unblock-audio").hidden = false));
  for (const type of ["error", "wishrefused"]) joined.addEventListener(type, ({ detail: { error } }) => toast(explain(error)));
  joined.addEventListener("drainingchange", ({ detail: { draining } }) => showDraining(draining));
  watchModeration(joined);
}

function finish(error) {
  timers.forEach(clearInterval);
  grid?.clear();
  localLevel.stop();
  $("audio").replaceChildren();
  $("stats").hidden = true;
  showDraining(null);
  document.body.dataset.view = "lobby";
  if (error) $("lobby-error").textContent = explain(error);
}

/** Many changes at once are one rendering. */
function scheduleRender() {
  renderTimer ??= setTimeout(render);
}

function render() {
  renderTimer = null;
  if (!room || ["new", "closed"].includes(room.state) || document.body.dataset.view !== "call") return;
  grid.render(`${$("name").value || "Me"} (you)`);
  const people = room.participants.size;
  $("count").textContent = people ? `${people} ${people === 1 ? "person" : "people"}` : "";
  showControls();
  showLock(room);
  playAudio(room);
}

// -- controls --------------------------------------------------------------------------------------------------

function showControls() {
  for (const source of ["microphone", "camera", "screen"]) {
    const on = room.localTrack(source) !== null && !room.isMuted(source);
    $(`toggle-${source}`).setAttribute("aria-pressed", String(on));
  }
}

async function toggleDevice(source, publish) {
  if (!room.localTrack(source)) return publish();
  return room.mute(source, !room.isMuted(source));
}

function turnPage(by) {
  pages.turn(by);
  render();
  setTimeout(scheduleRender, RETURN_MS);
}

onClick($("toggle-microphone"), () => toggleDevice("microphone", () => room.publishMicrophone()));
onClick($("toggle-camera"), () => toggleDevice("camera", () => room.publishCamera()));
onClick($("toggle-screen"), async () => {
  if (!room.localTrack("screen")) return room.publishScreen();
  await room.unpublish("screen");
  return room.unpublish("screen-audio");
});
onClick($("toggle-stats"), async () => {
  $("stats").hidden = !$("stats").hidden;
  $("toggle-stats").setAttribute("aria-pressed", String(!$("stats").hidden));
  await showStatistics(room);
  scheduleRender();
});
onClick($("leave"), () => room.leave());
onClick($("unblock-audio"), async () => {
  await room.startAudio($("audio").children);
  $("unblock-audio").hidden = true;
});
$("previous-page").addEventListener("click", () => turnPage(-1));
$("next-page").addEventListener("click", () => turnPage(1));
wireLock(() => room);
addEventListener("resize", scheduleRender);

if (query.get("join") === "1") $("join-form").requestSubmit();
