/**
 * Layers that nobody is shown are not sent: the router says what is in use, `setParameters` switches the rest off and on
 * again. Only what was switched off here is switched on here; what the page itself switched off is its own affair.
 */

// The page may set parameters in between; then all is read anew.
const ATTEMPTS = 5;

export class Demand {
  #lines = new Map();

  /** Takes the senders of a new session by mid: nothing is paused in them. */
  attach(senders) {
    this.#lines = new Map([...senders].map(([mid, sender]) => [mid, { sender, paused: new Set(), wanted: null, turn: Promise.resolve() }]));
  }

  /** What is in use: by mid, one `{rid, wanted}` for each encoding. Null: everything, of all m-lines. */
  async follow(tracks) {
    const turns = [];
    for (const [mid, line] of this.#lines) {
      if (tracks !== null && !tracks[mid]) continue;
      line.wanted = tracks?.[mid] ?? null;
      line.turn = line.turn.then(() => apply(line));
      turns.push(line.turn);
    }
    await Promise.all(turns);
  }
}

async function apply(line) {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const parameters = line.sender.getParameters();
    const paused = new Set(line.paused);
    if (!change(parameters.encodings, line.wanted, paused)) return;
    try {
      await line.sender.setParameters(parameters);
      line.paused = paused;
      return;
    } catch (error) {
      // A sender that has stopped sends nothing anyway.
      if (error.name !== "InvalidStateError" || line.sender.transport?.state === "closed") return;
    }
  }
}

/** Switches encodings on and off; whether anything is to be changed. `paused` has the indices of those switched off here. */
function change(encodings, wanted, paused) {
  let changed = false;
  encodings.forEach((encoding, index) => {
    const use = isWanted(encodings, index, wanted);
    if (use ? !paused.has(index) : !encoding.active) return;
    if (use) paused.delete(index);
    else paused.add(index);
    encoding.active = use;
    changed = true;
  });
  return changed;
}

/** By rid; else in order where there are as many; one encoding that stands for all is wanted when any is. */
function isWanted(encodings, index, wanted) {
  if (wanted === null) return true;
  const { rid } = encodings[index];
  const named = rid && wanted.find((each) => each.rid === rid);
  if (named) return named.wanted;
  if (encodings.length === wanted.length) return wanted[index].wanted;
  return wanted.some((each) => each.wanted);
}
