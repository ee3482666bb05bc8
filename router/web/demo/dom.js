/** The page's elements by id, and messages that pass. */

import { RouterError } from "../client.js";

const TOAST_MS = 6000;

export const $ = (id) => document.getElementById(id);

let toastTimer = null;

export function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => ($("toast").hidden = true), TOAST_MS);
}

export function explain(error) {
  if (error instanceof RouterError && error.status === 503) return `The room is full (${error.message}).`;
  if (error.slug === "room-locked") return "The room is locked: ask somebody inside to let you in.";
  if (error.name === "NotAllowedError") return "The browser was not allowed to use this device.";
  if (error.name === "NotFoundError") return "No such device was found.";
  return error.message;
}

/** What fails is told, and stops nothing else. */
export async function tolerate(action) {
  try {
    return await action();
  } catch (error) {
    toast(explain(error));
    return null;
  }
}

/** A button that is disabled while its action runs. */
export function onClick(button, action) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    await tolerate(action);
    button.disabled = false;
  });
}
