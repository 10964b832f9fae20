/** What a recogniser gives, and the glosses that are found in it. */

import type { Rows } from "./numbers";

/** The log-probabilities of some frames: `stepSeconds` from one row to the next, `durationSeconds` in all. */
export interface Emission {
  readonly logProbs: Rows;
  readonly stepSeconds: number;
  readonly durationSeconds: number;
}

/** A recognised gloss: its start and end in seconds, and the model's confidence (0 to 1). */
export interface GlossSpan {
  readonly gloss: string;
  readonly startSeconds: number;
  readonly endSeconds: number;
  readonly confidence: number;
}
