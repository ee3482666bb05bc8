/**
 * The dashboard: one view at a time, asked for again and again, and what the router says happens. The address after
 * `#` names the view: `#/`, `#/nodes/NODE`, `#/rooms/ROOM`, `#/rooms/ROOM/PARTICIPANT`. Nodes and rooms may be elsewhere:
 * the router that serves this page passes on what it is asked about them. Events are its own alone.
 */

import { Api, ApiError } from "./api.js";
import { el, nameTag, setAttribute, setText, show } from "./dom.js";
import { EventStream } from "./events.js";
import { clockTime } from "./format.js";
import { History } from "./history.js";
import { nodeHref, roomHref } from "./parts.js";
import { Poller } from "./poller.js";
import { Feed } from "./view_feed.js";
import { LoginView } from "./view_login.js";
import { OverviewView } from "./view_overview.js";
import { PeerView } from "./view_peer.js";
import { RoomView } from "./view_room.js";

const TOAST_MS = 6000;
const $ = (id) => document.getElementById(id);

class Dashboard {
  api = new Api();
  history = new History();
  #view = null;
  #poller = null;
  #node = null;
  #answered = null;
  #toastTimer = null;
  #retryTimer = null;

  constructor() {
    this.feed = new Feed();
    this.events = new EventStream(this.api, {
      onEvents: (events) => this.#onEvents(events),
      onState: (open, error) => this.feed.setState(open, error),
    });
    $("skip").addEventListener("click", (event) => this.#skip(event));
    $("sign-out").addEventListener("click", () => this.#signOut());
    addEventListener("hashchange", () => this.#route(true));
    document.addEventListener("visibilitychange", () => document.hidden && this.#showState("paused", "Paused"));
    this.#route(false);
  }

  refresh() {
    this.#poller?.now();
  }

  tell(text) {
    setText($("toast"), text);
    show($("toast"), true);
    clearTimeout(this.#toastTimer);
    this.#toastTimer = setTimeout(() => show($("toast"), false), TOAST_MS);
  }

  signIn(token) {
    this.api.token = token;
    this.#route(false);
  }

  /** Which router this is; another one at the same address has other counters. */
  showNode({ id, state, version }) {
    if (this.#node && this.#node !== id) this.tell("Another router answers now.");
    this.#node = id;
    setText($("node"), [id, version && `v${version}`].filter(Boolean).join(" · "));
    setText($("draining"), state === "draining" ? "Draining" : "");
    show($("draining"), state === "draining");
  }

  /** The address after `#` names the view, so the link must not change it. */
  #skip(event) {
    event.preventDefault();
    $("view").focus();
  }

  #signOut() {
    this.api.token = null;
    this.history = new History();
    this.feed.clear();
    this.#ask("");
  }

  // -- views -----------------------------------------------------------------------------------------------------

  #route(moved) {
    const [top, room, person, more] = location.hash.replace(/^#\/?/, "").split("/").map(decode);
    if (top === "rooms" && room && person && !more) this.#open(new PeerView(this, room, person), room, moved);
    else if (top === "rooms" && room && !person) this.#open(new RoomView(this, room), room, moved);
    else if (top === "nodes" && room && !person) this.#open(new OverviewView(this, room), null, moved);
    else if (!top) this.#open(new OverviewView(this), null, moved);
    else location.replace("#/");
  }

  #open(view, room, moved) {
    this.#poller?.stop();
    this.#view = view;
    this.feed.follow(room);
    $("view").replaceChildren(view.node, this.feed.panel.node);
    document.body.dataset.state = "opening";
    show($("sign-out"), Boolean(this.api.token));
    this.#showCrumbs(room, view);
    if (moved) {
      scrollTo(0, 0);
      view.node.querySelector("h1")?.focus({ preventScroll: true });
    }
    this.#poller = new Poller((signal) => this.#load(view, signal), {
      onData: (data) => this.#onData(view, data),
      onError: (error, retryInMs) => this.#onError(error, retryInMs),
    });
  }

  /** Opened on a room, the page still needs to know which router this is, and where its events begin. */
  async #load(view, signal) {
    const [data, overview] = await Promise.all([
      view.load(signal),
      this.#node || view.isOfThisNode ? null : this.api.get(["overview"], { query: { limit: 1 }, signal }),
    ]);
    return { data, overview };
  }

  #onData(view, { data, overview }) {
    if (overview) {
      this.showNode(overview.node);
      this.events.start(overview.recent_events);
    }
    view.update(data);
    this.feed.place(view.elsewhere ?? (view.room === undefined ? null : this.api.elsewhere));
    this.#answered = Date.now();
    document.body.dataset.state = "live";
    this.#hideBanner();
    this.#showState("live", "Live");
    this.#showCrumbs(view.room ?? null, view);
  }

  #onError(error, retryInMs) {
    if (!(error instanceof ApiError)) console.error(error);
    if (error.needsToken) return this.#ask(this.api.token ? "The router does not accept this token. It may have been replaced, or belong to another router." : "");
    if (error.status === 404 && this.#view.room !== undefined) return this.#showGone(error);
    document.body.dataset.state = "stale";
    this.#showState("stale", error.status ? "Refused" : "No answer");
    this.#showBanner(explain(error, this.#answered), retryInMs);
  }

  #ask(why) {
    this.#poller?.stop();
    this.#poller = null;
    this.events.stop();
    const login = new LoginView(this);
    this.#view = login;
    this.#node = null;
    document.body.dataset.state = "lobby";
    document.title = "Sign in – fork-router";
    this.#hideBanner();
    this.#showState("none", "");
    $("view").replaceChildren(login.node);
    $("crumbs").replaceChildren();
    delete $("crumbs").dataset.now;
    show($("sign-out"), false);
    login.explain(why);
  }

  #showGone({ slug }) {
    document.body.dataset.state = "gone";
    this.#showState("live", "Live");
    const text = slug === "unknown-participant" ? "This participant has left." : "This room is not open.";
    this.#showBanner(text, null);
  }

  #onEvents(events) {
    this.feed.add(events);
    const { room } = this.#view ?? {};
    if (events.some((event) => room === undefined || event.room?.name === room)) this.#poller?.soon();
  }

  // -- around the view -------------------------------------------------------------------------------------------

  #showCrumbs(room, view) {
    const here = view instanceof PeerView ? view.title : null;
    const node = view.elsewhere ?? null;
    const key = JSON.stringify([room, here, node]);
    document.title = `${here ?? room ?? node ?? "Overview"} – fork-router`;
    if ($("crumbs").dataset.now === key) return;
    $("crumbs").dataset.now = key;
    const last = { "aria-current": "page" };
    const items = [
      el("li", {}, el("a", { href: "#/", ...(room === null && node === null ? last : {}) }, "Overview")),
      node !== null && el("li", {}, el("a", { href: nodeHref(node), ...last }, nameTag(node))),
      room !== null && el("li", {}, el("a", { href: roomHref(room), ...(here ? {} : last) }, nameTag(room))),
      here && el("li", {}, el("span", last, nameTag(here))),
    ];
    $("crumbs").replaceChildren(...items.filter(Boolean));
  }

  #showState(state, text) {
    setAttribute($("state"), "data-state", state);
    setText($("state"), text);
  }

  #showBanner(text, retryInMs) {
    clearInterval(this.#retryTimer);
    const due = performance.now() + (retryInMs ?? 0);
    const count = () => setText($("banner-retry"), retryInMs === null ? "" : `Trying again in ${Math.max(0, Math.ceil((due - performance.now()) / 1000))} s.`);
    setText($("banner-text"), text);
    count();
    show($("banner"), true);
    if (retryInMs !== null) this.#retryTimer = setInterval(count, 500);
  }

  #hideBanner() {
    clearInterval(this.#retryTimer);
    show($("banner"), false);
  }
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

function explain(error, answered) {
  const since = answered ? ` What is shown is of ${clockTime(answered / 1000)}.` : "";
  if (error.status === 0) return `The router does not answer.${since}`;
  if (error.status === 403) return `This token may not read this: ${error.message}`;
  if (error.status === 429) return `The router is asked too often with this token.${since}`;
  if (error.status) return `The router refused: ${error.message}${since}`;
  return "This page has a bug; the browser’s console tells more.";
}

new Dashboard();
