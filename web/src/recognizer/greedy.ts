/** Greedy decoding: the best id of every output frame, collapsed into glosses. */

import { InputError } from "./errors";
import { argmax, type Rows } from "./numbers";
import { BLANK_ID } from "./vocabulary";

/** Returns the ids of the best path. last: the id in the frame before, with which the first is collapsed. */
export function greedyIds(logProbs: Rows, last: number = BLANK_ID): number[] {
  const ids: number[] = [];
  for (let row = 0; row < logProbs.rows; row++) {
    const id = argmax(logProbs, row);
    if (Number.isNaN(logProbs.data[row * logProbs.columns + id])) {
      throw new InputError(`greedy decoding: NaN in output frame ${row}`);
    }
    if (id !== last && id !== BLANK_ID) ids.push(id);
    last = id;
  }
  return ids;
}
