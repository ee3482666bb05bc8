/** Asks for the admin token. It goes into this tab's session storage, and nowhere else. */

import { el, setText, show } from "./dom.js";

export class LoginView {
  title = "Sign in";

  constructor(app) {
    this.input = el("input", { id: "token", type: "password", autocomplete: "current-password", required: true, spellcheck: "false", "aria-describedby": "token-note token-error" });
    this.error = el("p", { id: "token-error", class: "error", role: "alert" });
    const note = el("p", { id: "token-note", class: "quiet" }, "A token that may only read is enough. It is kept in this tab until you close it or sign out.");
    const form = el(
      "form",
      { class: "login" },
      el("h1", {}, el("img", { src: "dashboard/icon.svg", alt: "", width: 36, height: 36 }), "fork-router"),
      el("label", { for: "token" }, "Admin token"),
      this.input,
      note,
      el("button", { type: "submit", class: "primary" }, "Open dashboard"),
      this.error,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      app.signIn(this.input.value.trim());
      this.input.value = "";
    });
    this.node = el("div", { class: "view lobby" }, form);
  }

  /** Why it is asked for; nothing at first. */
  explain(text) {
    setText(this.error, text);
    show(this.error, Boolean(text));
    this.input.focus();
  }
}
