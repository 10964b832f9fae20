/** Forced alignment (Viterbi): the most probable CTC path of given words, and the frames of each word. */

import { InputError } from "./errors";
import type { Rows } from "./numbers";
import { BLANK_ID } from "./vocabulary";

/** The first output frame of each word, and the frame after its last. */
export type Run = readonly [start: number, stop: number];

/**
 * Returns the frames of each word on the most probable path that collapses to `ids`, none of them blank.
 * Among equally probable paths the one with the earliest words.
 */
export function forcedAlignment(logProbs: Rows, ids: readonly number[]): Run[] {
  const { data, rows, columns } = logProbs;
  const needed = ids.length + ids.filter((id, at) => at > 0 && id === ids[at - 1]).length;
  if (needed > rows) {
    throw new InputError(`alignment: ${ids.length} glosses need at least ${needed} output frames, the model yields ${rows}`);
  }
  const states = Array.from({ length: 2 * ids.length + 1 }, (_, at) => (at % 2 ? ids[at >> 1] : BLANK_ID));
  // From one word to the next without a blank, if the two differ.
  const skips = states.map((id, at) => at % 2 === 1 && at >= 3 && id !== states[at - 2]);
  let best = new Float64Array(states.length).fill(-Infinity);
  best[0] = 0;
  const moves = new Uint8Array(rows * states.length);
  for (let row = 0; row < rows; row++) {
    const next = new Float64Array(states.length);
    for (let state = 0; state < states.length; state++) {
      let move = 0;
      let score = best[state];
      if (state >= 1 && best[state - 1] > score) [move, score] = [1, best[state - 1]];
      if (state >= 2 && skips[state] && best[state - 2] > score) [move, score] = [2, best[state - 2]];
      moves[row * states.length + state] = move;
      next[state] = score + data[row * columns + states[state]];
    }
    best = next;
  }
  let state = states.length - 1;
  if (ids.length && best[state - 1] >= best[state]) state--;
  if (Number.isNaN(best[state])) throw new InputError("alignment: log_probs hold NaN");
  if (best[state] === -Infinity) throw new InputError("alignment: every path of these glosses has probability 0");
  const runs = ids.map((): [number, number] => [rows, 0]);
  for (let row = rows - 1; row >= 0; row--) {
    if (state % 2) {
      const run = runs[state >> 1];
      run[0] = row;
      run[1] = Math.max(run[1], row + 1);
    }
    if (row) state -= moves[row * states.length + state];
  }
  return runs;
}
