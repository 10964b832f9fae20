/** The CTC forward algorithm: the probability of a gloss sequence summed over all its paths. */

import { BLANK_ID } from "./vocabulary";

/** Probabilities are rescaled after this many frames. */
const RESCALE_FRAMES = 16;

/**
 * Returns the natural logarithm of the sum over all paths of a sequence; -Infinity without a path.
 * probs: probabilities of `rows` frames over `columns` words; a row may have any scale, which scales the result.
 * repeatFactor: of a path's probability for each gloss that repeats the one before after a single blank.
 */
export function logForward(
  probs: Float32Array,
  rows: number,
  columns: number,
  ids: readonly number[],
  repeatFactor: number,
): number {
  const states = Array.from({ length: 2 * ids.length + 1 }, (_, at) => (at % 2 ? ids[at >> 1] : BLANK_ID));
  let before = new Float64Array(states.length);
  before[0] = 1;
  // Of paths that were in the gloss before a state, then in a single blank.
  let throughBlank = new Float64Array(states.length);
  let log = 0;
  for (let row = 0; row < rows; row++) {
    const next = new Float64Array(states.length);
    const nextThroughBlank = new Float64Array(states.length);
    for (let state = 0; state < states.length; state++) {
      let sum = 0;
      if (state >= 3 && state % 2) {
        if (states[state] !== states[state - 2]) sum += before[state - 2];
        else sum -= (1 - repeatFactor) * throughBlank[state];
        nextThroughBlank[state] = before[state - 2] * probs[row * columns + BLANK_ID];
      }
      if (state >= 1) sum += before[state - 1];
      sum += before[state];
      next[state] = sum * probs[row * columns + states[state]];
    }
    before = next;
    throughBlank = nextThroughBlank;
    if (row && row % RESCALE_FRAMES === 0) {
      const largest = before.reduce((most, value) => Math.max(most, value), 0) || 1;
      before = before.map((value) => value / largest);
      throughBlank = throughBlank.map((value) => value / largest);
      log += Math.log(largest);
    }
  }
  const total = before[states.length - 1] + (ids.length ? before[states.length - 2] : 0);
  return Math.log(total) + log;
}
