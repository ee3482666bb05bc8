/** A line in the header while the node that has the room is about to go. */

import { $ } from "./dom.js";

export function showDraining(draining) {
  $("draining").hidden = !draining;
  $("draining").textContent = draining ? describe(draining) : "";
}

function describe({ endsInSeconds }) {
  if (endsInSeconds === null) return "maintenance: the call goes on";
  const at = new Date(Date.now() + endsInSeconds * 1000);
  return `maintenance: reconnects by ${at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`;
}
