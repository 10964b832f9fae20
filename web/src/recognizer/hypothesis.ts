/** What a recogniser gives, and the glosses that are found in it. */

import type { Rows } from "./numbers";
import { UNKNOWN } from "./vocabulary";

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

/** Returns the glosses that a recogniser names: those that are sure enough, without the one of other signs. */
export function named(glosses: readonly GlossSpan[], least: number): GlossSpan[] {
  return glosses.filter(({ gloss, confidence }) => confidence >= least && gloss !== UNKNOWN);
}
