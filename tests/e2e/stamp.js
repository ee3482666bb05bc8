/*
 * The stamped test pattern. `installStamp(id)` makes getUserMedia give a canvas whose blocks spell the sender's id and
 * a frame counter, with the browser's own fake microphone; a size and grain may be asked for; `readStamps()` reads every picture of the page back.
 * Blocks are large, so the smallest simulcast layer still spells them.
 */
(() => {
  const COLUMNS = 8;
  const ROWS = 4;
  const [WIDTH, HEIGHT, FRAMES_PER_SECOND] = [384, 216, 30];
  /** Noise in the picture, and how much of it shows: without, an encoder makes far less than it may send. */
  const [GRAIN_TILES, GRAIN_ALPHA] = [4, 0.3];
  const MAX_DRAWN = 300;

  /** Row 0: the id, rows 1-2: the counter, row 3: their exclusive or, so that a torn picture is noticed. */
  const rowsOf = (id, counter) => [id, counter >> 8, counter & 255, id ^ (counter >> 8) ^ (counter & 255)];

  function drawStamp({ context, width, height }, id, counter) {
    const [block, line] = [width / COLUMNS, height / ROWS];
    rowsOf(id, counter).forEach((byte, row) => {
      for (let bit = 0; bit < COLUMNS; bit++) {
        context.fillStyle = (byte >> (7 - bit)) & 1 ? "#e8e8e8" : "#181818";
        context.fillRect(bit * block, row * line, block, line);
      }
    });
  }

  function makeCanvas(width, height) {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    return { canvas, width, height, context: canvas.getContext("2d") };
  }

  /** A few pictures of noise, larger than the frame, so that each frame shows another part of one. */
  function makeGrain({ width, height }) {
    return Array.from({ length: GRAIN_TILES }, () => {
      const tile = makeCanvas(width * 2, height * 2);
      const pixels = tile.context.createImageData(tile.width, tile.height);
      for (let at = 0; at < pixels.data.length; at += 4) {
        pixels.data.fill(Math.random() * 256, at, at + 3);
        pixels.data[at + 3] = 255;
      }
      tile.context.putImageData(pixels, 0, 0);
      return tile.canvas;
    });
  }

  function drawGrain({ context, width, height }, tile) {
    context.globalAlpha = GRAIN_ALPHA;
    context.drawImage(tile, -Math.random() * width, -Math.random() * height);
    context.globalAlpha = 1;
  }

  const drawn = new Map();

  /** When the last frames were drawn, by their counters. */
  window.readDrawn = () => [...drawn];

  function pictureTrack(id, framesPerSecond, { width = WIDTH, height = HEIGHT, grain = false }) {
    const picture = makeCanvas(width, height);
    const tiles = grain ? makeGrain(picture) : [];
    let counter = 0;
    const draw = () => {
      drawStamp(picture, id, counter);
      if (grain) drawGrain(picture, tiles[counter % tiles.length]);
      drawn.set(counter, performance.timeOrigin + performance.now());
      drawn.delete((counter - MAX_DRAWN) & 0xffff);
      counter = (counter + 1) & 0xffff;
    };
    draw();
    setInterval(draw, 1000 / framesPerSecond);
    return picture.canvas.captureStream().getVideoTracks()[0];
  }

  const openDevice = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  const UNPROCESSED = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const soundTrack = async () => (await openDevice({ audio: UNPROCESSED })).getAudioTracks()[0];

  window.installStamp = (id, framesPerSecond = FRAMES_PER_SECOND, look = {}) => {
    const open = async (constraints) => {
      const stream = new MediaStream();
      if (constraints.video) stream.addTrack(pictureTrack(id, framesPerSecond, look));
      if (constraints.audio) stream.addTrack(await soundTrack());
      return stream;
    };
    navigator.mediaDevices.getUserMedia = open;
    navigator.mediaDevices.getDisplayMedia = () => open({ video: true });
  };

  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: 64, height: 32 });

  function readStamp(video) {
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const bytes = Array.from({ length: ROWS }, (_, row) => {
      let byte = 0;
      for (let bit = 0; bit < COLUMNS; bit++) {
        const [red] = context.getImageData(bit * 8 + 4, row * 8 + 4, 1, 1).data;
        byte = (byte << 1) | (red > 128 ? 1 : 0);
      }
      return byte;
    });
    const valid = (bytes[0] ^ bytes[1] ^ bytes[2]) === bytes[3];
    return { id: bytes[0], counter: (bytes[1] << 8) | bytes[2], valid };
  }

  window.readStamp = readStamp;

  /** One entry for each remote tile of the demo room that has a picture. */
  window.readStamps = () =>
    [...document.querySelectorAll(".tile.has-picture")]
      .filter((tile) => tile.dataset.participant !== "me" && tile.querySelector("video").videoWidth > 0)
      .map((tile) => ({ name: tile.querySelector(".name").textContent, ...readStamp(tile.querySelector("video")) }));

  /** Frames decoded, audio energy and losses by receiving m-line that has media. */
  window.readReception = async () => {
    const report = await room.peerConnection.getStats();
    const streams = [...report.values()].filter((stat) => stat.type === "inbound-rtp" && stat.packetsReceived > 0);
    return streams.map((stat) => ({
      mid: stat.mid,
      kind: stat.kind,
      timestamp: stat.timestamp,
      packetsReceived: stat.packetsReceived,
      packetsLost: stat.packetsLost ?? 0,
      framesDecoded: stat.framesDecoded ?? 0,
      frameWidth: stat.frameWidth ?? 0,
      audioEnergy: stat.totalAudioEnergy ?? 0,
      samples: stat.totalSamplesReceived ?? 0,
      concealed: stat.concealedSamples ?? 0,
    }));
  };
})();
