/*
 * The shortest page that joins by a room's static offer, without client.js: the contract, and nothing else.
 * `joinByOffer({room, token, codec})` publishes the microphone and the camera of getUserMedia; `codec` comes first.
 */
(() => {
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

  const mintNonce = () =>
    Array.from(crypto.getRandomValues(new Uint32Array(22)), (number) => LETTERS[number % LETTERS.length]).join("");

  function preferCodec(transceiver, name) {
    const { codecs } = RTCRtpReceiver.getCapabilities("video");
    const wanted = codecs.filter(({ mimeType }) => mimeType.toLowerCase() === `video/${name.toLowerCase()}`);
    if (wanted.length === 0) throw new Error(`no ${name} here`);
    const others = codecs.filter((codec) => !wanted.includes(codec));
    transceiver.setCodecPreferences([...wanted, ...others]);
  }

  async function publish(connection, codec) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    for (const [mid, track] of [
      ["mic", stream.getAudioTracks()[0]],
      ["cam", stream.getVideoTracks()[0]],
    ]) {
      const transceiver = connection.getTransceivers().find((each) => each.mid === mid);
      transceiver.direction = "sendonly";
      await transceiver.sender.replaceTrack(track);
      if (mid === "cam" && codec) preferCodec(transceiver, codec);
    }
  }

  window.joinByOffer = async ({ room, token, codec, publishes = true }) => {
    const offer = await (await fetch(`/rooms/${room}/offer`)).text();
    const connection = new RTCPeerConnection();
    const sdp = offer.replaceAll(/^(a=ice-ufrag:\S+)/gm, `$1${mintNonce()}`);
    await connection.setRemoteDescription({ type: "offer", sdp });
    if (publishes) await publish(connection, codec);
    await connection.setLocalDescription();
    const [, ufrag] = /^a=ice-ufrag:(\S+)/m.exec(sdp);
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/sdp", "Fork-Ufrag": ufrag };
    const body = connection.localDescription.sdp;
    const response = await fetch(`/rooms/${room}/forks`, { method: "POST", headers, body });
    if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
    window.joined = { connection, location: response.headers.get("Location"), ...(await response.json()) };
    return { session: joined.session, participant: joined.participant };
  };

  window.leaveRoom = async (token) => {
    joined.connection.close();
    await fetch(joined.location, { method: "DELETE", headers: { Authorization: `Bearer ${token}` } });
  };
})();
