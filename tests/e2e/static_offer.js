/*
 * The shortest page that joins by a room's static offer, without client.js: the contract, and nothing else.
 * `joinByOffer({room, token, codec, encodings})` publishes the microphone and the camera of getUserMedia; `codec` comes
 * first; `encodings` are parameters by rid, or under "" those of a single stream without simulcast.
 */
(() => {
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

  const mintNonce = () =>
    Array.from(crypto.getRandomValues(new Uint32Array(22)), (number) => LETTERS[number % LETTERS.length]).join("");

  /** The answerer sends the first format of the offer, whatever it prefers itself, so this one is put there. */
  function putFirst(sdp, mid, name) {
    const sections = sdp.split(/^(?=m=)/m);
    const place = sections.findIndex((section) => section.includes(`a=mid:${mid}\r\n`));
    const codecs = [...sections[place].matchAll(/^a=rtpmap:(\d+) ([^/]+)/gm)];
    const wanted = codecs.filter(([, , codec]) => codec.toLowerCase() === name.toLowerCase()).map(([, number]) => number);
    if (wanted.length === 0) throw new Error(`no ${name} is offered`);
    sections[place] = sections[place].replace(/^(m=\S+ \S+ \S+) (.*)$/m, (_, head, numbers) => {
      const others = numbers.trim().split(" ").filter((number) => !wanted.includes(number));
      return [head, ...wanted, ...others].join(" ");
    });
    return sections.join("");
  }

  async function setEncodings(sender, encodings) {
    const parameters = sender.getParameters();
    // Layers of fixed sizes: a browser that is short of bitrate makes pictures worse, not smaller.
    parameters.degradationPreference = "maintain-resolution";
    for (const encoding of parameters.encodings) Object.assign(encoding, encodings[encoding.rid ?? ""]);
    await sender.setParameters(parameters);
  }

  async function publish(connection, encodings) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    for (const [mid, track] of [
      ["mic", stream.getAudioTracks()[0]],
      ["cam", stream.getVideoTracks()[0]],
    ]) {
      const transceiver = connection.getTransceivers().find((each) => each.mid === mid);
      transceiver.direction = "sendonly";
      await transceiver.sender.replaceTrack(track);
      if (mid === "cam" && encodings) await setEncodings(transceiver.sender, encodings);
    }
  }

  const withoutSimulcast = (sdp) => sdp.replaceAll(/^a=(rid|simulcast):.*\r\n/gm, "");

  window.joinByOffer = async ({ room, token, codec, encodings, publishes = true }) => {
    const served = await (await fetch(`/rooms/${room}/offer`)).text();
    const plain = encodings?.[""] ? withoutSimulcast(served) : served;
    const offer = codec ? putFirst(plain, "cam", codec) : plain;
    const connection = new RTCPeerConnection();
    const sdp = offer.replaceAll(/^(a=ice-ufrag:\S+)/gm, `$1${mintNonce()}`);
    await connection.setRemoteDescription({ type: "offer", sdp });
    if (publishes) await publish(connection, encodings);
    await connection.setLocalDescription();
    const [, ufrag] = /^a=ice-ufrag:(\S+)/m.exec(sdp);
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/sdp", "Fork-Ufrag": ufrag };
    const body = connection.localDescription.sdp;
    const response = await fetch(`/rooms/${room}/forks`, { method: "POST", headers, body });
    if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
    window.joined = { connection, location: response.headers.get("Location"), ...(await response.json()) };
    return { session: joined.session, participant: joined.participant };
  };

  /** MIME types of the video that is being sent. */
  window.readSentCodecs = async () => {
    const report = await joined.connection.getStats();
    const sent = [...report.values()].filter(({ type, kind, bytesSent }) => type === "outbound-rtp" && kind === "video" && bytesSent);
    return [...new Set(sent.map(({ codecId }) => report.get(codecId)?.mimeType))];
  };

  window.leaveRoom = async (token) => {
    joined.connection.close();
    await fetch(joined.location, { method: "DELETE", headers: { Authorization: `Bearer ${token}` } });
  };
})();
