/** How sure a model is of each gloss. Python's `ctc/confidence.py` explains the formula. */

import { logAddExp, type Rows } from "./numbers";
import type { Run } from "./viterbi";
import { BLANK_ID } from "./vocabulary";

/** Probabilities are kept this far from 0 and 1, which have no log-odds. */
const MARGIN = 1e-6;
const LEAST_BLANK = -700;

/** Returns the probability of each gloss against everything else that could stand in its place, 0 to 1. */
export function confidences(logProbs: Rows, ids: readonly number[], runs: readonly Run[]): number[] {
  return ids.map((id, index) => {
    const first = index ? runs[index - 1][1] : 0;
    const last = index + 1 < runs.length ? runs[index + 1][0] : logProbs.rows;
    return shares(logProbs, first, last)[id];
  });
}

/** Returns the probability that some frames show each word once and nothing else, or nothing (blank), if one of these. */
export function shares({ data, columns }: Rows, first: number, last: number): Float64Array {
  // Relative to the path of blanks alone: paths whose gloss ends in this frame, and in any frame up to it.
  const ending = new Float64Array(columns).fill(-Infinity);
  const ended = new Float64Array(columns).fill(-Infinity);
  for (let row = first; row < last; row++) {
    const blank = Math.max(data[row * columns + BLANK_ID], LEAST_BLANK);
    for (let word = 0; word < columns; word++) {
      ending[word] = data[row * columns + word] - blank + logAddExp(0, ending[word]);
      ended[word] = logAddExp(ended[word], ending[word]);
    }
  }
  ended[BLANK_ID] = 0;
  const best = ended.reduce((most, value) => Math.max(most, value), -Infinity);
  const total = ended.reduce((sum, value) => sum + Math.exp(value - best), 0);
  return ended.map((value) => Math.exp(value - best) / total);
}

/** A map from raw to calibrated confidences: the log-odds become `slope * log-odds + offset`. */
export interface Calibration {
  readonly slope: number;
  readonly offset: number;
}

/** Returns the calibrated confidence of a raw one, both 0 to 1. */
export function calibrated(calibration: Calibration, confidence: number): number {
  const clipped = Math.min(Math.max(confidence, MARGIN), 1 - MARGIN);
  const odds = calibration.slope * (Math.log(clipped) - Math.log1p(-clipped)) + calibration.offset;
  return 1 / (1 + Math.exp(-Math.min(Math.max(odds, -500), 500)));
}
