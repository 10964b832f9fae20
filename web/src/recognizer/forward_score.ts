/** The CTC forward algorithm: the probability of a gloss sequence summed over all its paths. */

import { BLANK_ID } from "./vocabulary";

/** Probabilities are rescaled after this many frames. */
const RESCALE_FRAMES = 16;

/**
 * Returns the natural logarithm of the sum over all paths of a sequence; -Infinity without a path.
 * probs: probabilities of `rows` frames over `columns` words; a row may have any scale, which scales the result.
 */
export function logForward(probs: Float32Array, rows: number, columns: number, ids: readonly number[]): number {
  const states = Array.from({ length: 2 * ids.length + 1 }, (_, at) => (at % 2 ? ids[at >> 1] : BLANK_ID));
  let before = new Float64Array(states.length);
  before[0] = 1;
  let log = 0;
  for (let row = 0; row < rows; row++) {
    const next = new Float64Array(states.length);
    for (let state = 0; state < states.length; state++) {
      let sum = 0;
      if (state >= 3 && state % 2 && states[state] !== states[state - 2]) sum += before[state - 2];
      if (state >= 1) sum += before[state - 1];
      sum += before[state];
      next[state] = sum * probs[row * columns + states[state]];
    }
    before = next;
    if (row && row % RESCALE_FRAMES === 0) {
      const largest = before.reduce((most, value) => Math.max(most, value), 0) || 1;
      before = before.map((value) => value / largest);
      log += Math.log(largest);
    }
  }
  const total = before[states.length - 1] + (ids.length ? before[states.length - 2] : 0);
  return Math.log(total) + log;
}
