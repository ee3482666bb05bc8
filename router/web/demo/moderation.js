/** For those whose token gives the right: mute and remove by a menu on each tile, lock by a button in the header. */

import { $, onClick, toast, tolerate } from "./dom.js";

/** Fills a tile's menu, or hides it from those without the right. */
export const moderationMenu = (room) => (tile) => {
  const { menu, view } = tile;
  menu.toggleAttribute("hidden", !room.mayModerate || view.person === null);
  if (view.person === null) return;
  menu.querySelector("summary").setAttribute("aria-label", `Moderate ${view.person.name}`);
  const [mute, remove] = menu.querySelectorAll("button");
  const microphone = view.person.tracks.find(({ source }) => source === "microphone");
  mute.textContent = microphone?.moderated ? "Let speak" : "Mute";
  mute.disabled = !microphone;
  mute.onclick = () => act(menu, () => room.muteRemote(microphone.id, !microphone.moderated));
  remove.onclick = () => act(menu, () => room.remove(view.person.id));
};

function act(menu, action) {
  menu.open = false;
  return tolerate(action);
}

/** The lock, for everybody to see and for moderators to turn. */
export function showLock(room) {
  $("lock").hidden = !room.mayModerate;
  $("lock").textContent = room.locked ? "Unlock room" : "Lock room";
  $("lock").setAttribute("aria-pressed", String(room.locked));
  $("locked").hidden = !room.locked;
}

/** Tells people what was done to them. */
export function watchModeration(room) {
  let silenced = false;
  room.addEventListener("participantchanged", ({ detail: { participant } }) => {
    if (participant.id !== room.participantId) return;
    const now = participant.tracks.some(({ source, moderated }) => source === "microphone" && moderated);
    if (now !== silenced) toast(now ? "A moderator has muted your microphone." : "Your microphone may be heard again.");
    silenced = now;
  });
}

export const wireLock = (current) => onClick($("lock"), () => current().lock(!current().locked));
