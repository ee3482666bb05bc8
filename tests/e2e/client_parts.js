/**
 * Checks of the client's parts without a router, run in a page of its origin by test_client_parts.py: each throws, or
 * has nothing to say.
 */
window.clientChecks = (() => {
  const equal = (got, wanted, what) => {
    const [one, other] = [got, wanted].map((value) => JSON.stringify(value));
    if (one !== other) throw new Error(`${what}: got ${one}, expected ${other}`);
  };
  const person = (id, ...tracks) => ({ id, identity: id, name: id, metadata: "", tracks });
  const camera = (contributor) => ({ id: `T_${contributor.toString(16).padStart(8, "0")}`, kind: "video", contributor });
  const later = () => new Promise((resolve) => setTimeout(resolve, 150));
  const now = () => performance.timeOrigin + performance.now();

  const welcome = (version, participants, more) => ({
    type: "welcome", log: "L", version, participants, locked: false, speakers: { dominant: null, recent: [] }, ...more,
  });

  async function createRoster() {
    const { Roster } = await import("/client/roster.js");
    const [events, resyncs] = [[], []];
    const say = (type, { participant, reason }) => events.push([type, participant?.id, reason].filter(Boolean).join(" "));
    return { roster: new Roster(say, (version) => resyncs.push(version)), events, resyncs };
  }

  async function rosterFillsGaps() {
    const { roster, events, resyncs } = await createRoster();
    equal(roster.onReconnect(), null, "known before the welcome");
    roster.handle({ type: "joined", version: 3, participant: person("early") });
    roster.handle(welcome(3, [person("ada")]));
    roster.handle({ type: "joined", version: 4, participant: person("bob") });
    roster.handle({ type: "left", version: 6, participant_id: "ada", reason: "left" });
    roster.handle({ type: "joined", version: 7, participant: person("dan") });
    equal(resyncs, [4], "one request for what is missing");
    equal(events, ["participantjoined ada", "participantjoined bob"], "nothing applied beyond the gap");
    roster.handle({ type: "joined", version: 5, participant: person("cyd") });
    roster.handle({ type: "left", version: 6, participant_id: "ada", reason: "left" });
    roster.handle({ type: "joined", version: 7, participant: person("dan") });
    roster.handle({ type: "resumed", version: 7 });
    roster.handle({ type: "joined", version: 7, participant: person("again") });
    equal([...roster.participants.keys()], ["bob", "cyd", "dan"], "roster after the gap");
    roster.handle({ type: "left", version: 9, participant_id: "bob", reason: "left" });
    equal(resyncs, [4, 7], "the next gap is noticed too");
    equal(roster.onReconnect(), { log: "L", version: 7 }, "what a new connection names");
  }

  async function rosterStartsAnew() {
    const { roster, events } = await createRoster();
    roster.handle(welcome(1, [person("ada"), person("bob", camera(7))]));
    equal(roster.find(7).participant.id, "bob", "by contributor");
    roster.handle(welcome(40, [person("bob", camera(8)), person("cyd")], { locked: true, log: "M" }));
    equal(roster.find(7), undefined, "forgotten contributor");
    equal(roster.findTrack("T_00000008").participant.id, "bob", "by track");
    equal(events.slice(2), ["participantleft ada resync", "participantchanged bob", "participantjoined cyd", "lockchange"], "events");
    equal(roster.handle({ type: "slots" }), false, "not the roster's");
  }

  async function createWishes(mids = ["v0", "v1", "v2"]) {
    const { Wishes } = await import("/client/wishes.js");
    const state = { sent: [], refused: [], shown: {}, refuse: null };
    const request = async ({ slots }) => {
      state.sent.push(slots);
      if (state.refuse) throw state.refuse;
    };
    const slotShowing = (trackId) => Object.keys(state.shown).find((mid) => state.shown[mid] === trackId) ?? null;
    const wishes = new Wishes({ request, slotShowing, onRefused: (error) => state.refused.push(error.slug) });
    wishes.attach("S", mids);
    return { wishes, state };
  }

  async function wishesSayOnlyWhatChanged() {
    const { wishes, state } = await createWishes();
    state.shown = { v1: "T_b" };
    wishes.pin("T_b");
    wishes.setSize("v0", 319.6, 0);
    wishes.setSize("v0", 640, 360);
    wishes.setRates("v1", { maxBitrate: 300_000.4, maxFrameRate: 15 });
    await later();
    wishes.setSize("v0", 640, 360);
    wishes.setRates("v1", { maxBitrate: null });
    await later();
    wishes.pause("v0", true);
    wishes.unpin("T_b");
    await later();
    const first = { v0: { width: 640, height: 360 }, v1: { track_id: "T_b", bitrate_bps: 300_000, frame_rate: 15 } };
    const then = [{ v1: { bitrate_bps: null } }, { v0: { paused: true }, v1: { track_id: null } }];
    equal(state.sent, [first, ...then], "messages");
    wishes.attach("S", ["v0", "v1", "v2"]);
    await later();
    const whole = (more) => ({ track_id: null, width: null, height: null, bitrate_bps: null, frame_rate: null, paused: false, ...more });
    const again = { v0: whole({ width: 640, height: 360, paused: true }), v1: whole({ frame_rate: 15 }), v2: whole() };
    equal(state.sent[3], again, "all of it after a reconnect");
    wishes.attach("S2", ["v0", "v1", "v2"]);
    await later();
    equal(state.sent[4], { v0: { width: 640, height: 360, paused: true }, v1: { frame_rate: 15 } }, "what a new session does not know");
  }

  async function wishesPlacePins() {
    const { wishes, state } = await createWishes();
    for (const trackId of ["T_a", "T_b", "T_c", "T_d"]) wishes.pin(trackId);
    equal([...wishes.pins], [["T_b", "v1"], ["T_c", "v0"], ["T_d", "v2"]], "the pin of longest standing gives way");
    wishes.pin("T_c", { mid: undefined }.mid);
    equal(wishes.pins.get("T_c"), "v0", "pinned once more");
    wishes.pin("T_c", "v2");
    equal([...wishes.pins], [["T_b", "v1"], ["T_c", "v2"]], "moved to a slot of choice");
    wishes.forget((trackId) => trackId !== "T_b");
    equal([...wishes.pins.keys()], ["T_c"], "who left is unpinned");
    await later();
    state.refuse = Object.assign(new Error("no"), { slug: "bad-wish" });
    wishes.pin("T_x");
    await later();
    equal(state.refused, ["bad-wish"], "refusal told");
    equal(wishes.pins.has("T_x"), false, "refused pin kept");
  }

  async function wishesShowPages() {
    const { wishes, state } = await createWishes();
    state.shown = { v0: "T_a", v2: "T_c" };
    wishes.pin("T_p", "v1");
    wishes.show(["T_c", "T_n", "T_o"]);
    await later();
    equal(state.sent[0], { v0: { track_id: "T_n" }, v1: { track_id: "T_p" }, v2: { track_id: "T_c" } }, "laid out");
    wishes.show(["T_n"]);
    await later();
    equal(state.sent[1], { v2: { track_id: null, paused: true } }, "what is not wanted is paused");
    wishes.show(null);
    await later();
    equal(state.sent[2], { v0: { track_id: null }, v2: { paused: false } }, "left to the router, the pin kept");
  }

  async function slotsAreNamedInBand() {
    const { Contributors } = await import("/client/contributors.js");
    const { roster } = await createRoster();
    roster.handle(welcome(1, [person("ada", camera(1)), person("bob", camera(2))]));
    const changes = [];
    const contributors = new Contributors(roster, (_, { mids }) => changes.push(...mids), { mark: () => {} });
    const sources = { v0: [], a0: [] };
    const transceiver = (mid, kind) =>
      [mid, { receiver: { track: { kind }, getContributingSources: () => sources[mid], getSynchronizationSources: () => [] } }];
    contributors.attach(new Map([transceiver("v0", "video"), transceiver("a0", "audio")]));
    const inSlot = (mid) => contributors.slots.get(mid).participantId;
    const see = (mid, ...list) => {
      sources[mid] = list.map(([source, age]) => ({ source, timestamp: now() - age }));
      contributors.refresh();
      return inSlot(mid);
    };
    contributors.onSlots([{ mid: "v0", track_id: "T_00000002", pinned: true, paused: false, reason: "pinned" }]);
    equal([inSlot("v0"), contributors.slots.get("v0").reason], ["bob", "pinned"], "told before the first frame");
    equal(see("v0", [1, 10], [9, 10]), "ada", "the packets know better, a mixer's own sources aside");
    equal(see("v0", [1, 500], [2, 10]), "bob", "the newest");
    equal(see("v0", [1, 5000]), "bob", "told, when nothing is seen");
    equal(see("a0", [1, 10]), "ada", "a voice");
    equal(see("a0", [1, 3000]), null, "a voice of a while ago");
    see("v0", [2, 10]);
    contributors.onSlots([{ mid: "v0", track_id: null, pinned: false, paused: true, reason: "paused" }]);
    equal([inSlot("v0"), contributors.slots.get("v0").paused], [null, true], "emptied after the last frame");
    equal(contributors.list(), [], "nobody in a slot");
    contributors.detach();
    equal(changes.filter((mid) => mid === "a0").length, 3, "changes of the voice");
  }

  async function channelComesBack() {
    const { EventChannel } = await import("/client/events.js");
    const Real = window.WebSocket;
    const sockets = [];
    class Fake {
      static OPEN = 1;
      readyState = 1;
      sent = [];
      constructor() { sockets.push(this); }
      send(text) { this.sent.push(JSON.parse(text)); }
      close() {}
    }
    window.WebSocket = Fake;
    try {
      let known = null;
      const seen = [];
      const channel = new EventChannel("ws://x", "token", {
        since: () => known,
        onLost: () => seen.push("lost"),
        onMessage: ({ type }) => seen.push(type),
      });
      sockets[0].onopen();
      const receive = (socket, message) => socket.onmessage({ data: JSON.stringify(message) });
      const [agreed, refused, lost] = [1, 2, 3].map(() => channel.request({ type: "lock" }).then(() => "ok", ({ slug }) => slug));
      receive(sockets[0], { type: "ok", id: 1 });
      receive(sockets[0], { type: "error", id: 2, slug: "may-not-moderate" });
      receive(sockets[0], { type: "error", slug: "bad-message" });
      channel.setToken("newer");
      known = { log: "L", version: 5 };
      sockets[0].onclose({ code: 1006 });
      equal([await agreed, await refused, await lost], ["ok", "may-not-moderate", "events-closed"], "answers");
      equal(seen, ["error", "lost"], "an error of no request, and the loss");
      await new Promise((resolve) => setTimeout(resolve, 1000));
      sockets[1].onopen();
      equal(sockets[1].sent[0], { type: "auth", token: "newer", since: known }, "names what it knows");
      receive(sockets[1], { type: "error", slug: "auth-timeout" });
      sockets[1].onclose({ code: 4401 });
      await new Promise((resolve) => setTimeout(resolve, 1000));
      sockets[2].onopen();
      receive(sockets[2], { type: "error", slug: "bad-token" });
      sockets[2].onclose({ code: 4401 });
      await new Promise((resolve) => setTimeout(resolve, 1000));
      equal(sockets.length, 3, "does not come back where it is refused");
      equal(seen.slice(2), ["error", "lost", "error", "lost"], "and says so");
      channel.setToken("better");
      equal(sockets.length, 4, "comes back with another token");
      channel.close();
    } finally {
      window.WebSocket = Real;
    }
  }

  async function onlyRemoteDescriptionsAreEdited() {
    const { completeUfrag, mintNonce, writeRestartAnswer } = await import("/client/sdp.js");
    const section = (mid, direction) => `m=audio 9 X 0\r\na=mid:${mid}\r\na=${direction}\r\na=ice-ufrag:ctx\r\na=ice-pwd:p\r\na=setup:actpass\r\n`;
    const offer = `v=0\r\n${section("mic", "recvonly")}${section("a0", "sendonly")}`;
    equal(completeUfrag(offer, "N1").split("a=ice-ufrag:ctxN1\r\n").length, 3, "on each m-line");
    equal(completeUfrag(offer, ""), offer, "and nowhere else");
    const nonces = new Set(Array.from({ length: 100 }, mintNonce));
    equal([nonces.size, [...nonces].every((nonce) => /^[A-Za-z0-9]{22}$/.test(nonce))], [100, true], "nonces");
    const local = `v=0\r\n${section("mic", "inactive")}${section("a0", "recvonly")}`;
    const answer = writeRestartAnswer(offer, local, "a=ice-ufrag:U\r\na=ice-pwd:P\r\n");
    const wanted = [["inactive", "recvonly"], ["ufrag:ctx", "ufrag:U"], ["pwd:p", "pwd:P"], ["actpass", "passive"]];
    equal(answer, wanted.reduce((text, [to, from], i) => (i ? text.replaceAll(to, from) : text.replace(from, to)), offer), "restart");
  }

  async function demandPausesOnlyWhatItMay() {
    const { Demand } = await import("/client/demand.js");
    const createSender = (...encodings) => ({
      encodings,
      busy: 0,
      getParameters() { return { encodings: this.encodings.map((encoding) => ({ ...encoding })) }; },
      async setParameters({ encodings }) {
        if (this.busy-- > 0) throw new DOMException("changed in between", "InvalidStateError");
        this.encodings = encodings;
      },
      get active() { return this.encodings.map(({ active }) => active); },
    });
    const layers = (...rids) => ["q", "h", "f"].map((rid) => ({ rid, wanted: rids.includes(rid) }));
    const [cam, single] = [createSender(...["q", "h", "f"].map((rid) => ({ rid, active: true }))), createSender({ active: true })];
    const demand = new Demand();
    demand.attach(new Map([["cam", cam], ["scr", single]]));
    await demand.follow({ cam: layers("q") });
    equal([cam.active, single.active], [[true, false, false], [true]], "by rid");
    cam.encodings[0].active = false;
    await demand.follow({ cam: layers("q", "f") });
    equal(cam.active, [false, false, true], "the page's own pause stays");
    await demand.follow({ cam: layers(), scr: [{ rid: null, wanted: false }] });
    equal([cam.active, single.active], [[false, false, false], [false]], "nobody is there");
    await demand.follow({ scr: layers("h") });
    equal(single.active, [true], "one for all, wanted by any");
    cam.busy = 2;
    await Promise.all([demand.follow({ cam: layers("f") }), demand.follow({ cam: layers("h") })]);
    equal(cam.active, [false, true, false], "the last word counts, tried again");
    await demand.follow(null);
    equal(cam.active, [false, true, true], "everything but the page's own pause");
  }

  return {
    demandPausesOnlyWhatItMay, rosterFillsGaps, rosterStartsAnew, wishesSayOnlyWhatChanged, wishesPlacePins, wishesShowPages, slotsAreNamedInBand,
    channelComesBack, onlyRemoteDescriptionsAreEdited,
  };
})();
