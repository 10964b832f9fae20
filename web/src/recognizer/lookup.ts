/** Looks up a sign that somebody made: among the words of the model, or among the clips of a lexicon. */

import { shares } from "./confidence";
import type { Rows } from "./numbers";
import { UNKNOWN } from "./vocabulary";

/** How many signs are shown. */
const COUNT = 5;

/** A sign that was found; score: a probability, or the cosine of two embeddings. */
export interface Match {
  readonly gloss: string;
  readonly score: number;
}

/** A clip of a lexicon: what a model sees in it, of unit length (Python's `inference/lookup.py`). */
export interface Entry {
  readonly gloss: string;
  readonly embedding: Float32Array;
}

/** Returns the words that a clip most probably shows, the likeliest first. */
export function likeliest(logProbs: Rows, words: readonly string[]): Match[] {
  const each = shares(logProbs, 0, logProbs.rows);
  // Without blank; what is none of the model's signs has no name.
  const glosses = words.map((gloss, id) => ({ gloss, score: each[id] })).slice(1);
  return best(glosses.filter(({ gloss }) => gloss !== UNKNOWN));
}

/** Returns the entries of a lexicon whose embeddings are nearest to that of a clip, nearest first. */
export function nearest(features: Rows, lexicon: readonly Entry[]): Match[] {
  const query = embedding(features);
  return best(
    lexicon.map(({ gloss, embedding: own }) => ({
      gloss,
      score: own.reduce((sum, value, at) => sum + value * query[at], 0),
    })),
  );
}

/** Returns the mean of the features of all frames, of unit length. */
export function embedding({ data, rows, columns }: Rows): Float64Array {
  const mean = new Float64Array(columns);
  for (let at = 0; at < rows * columns; at++) mean[at % columns] += data[at] / rows;
  const length = Math.hypot(...mean) || 1;
  return mean.map((value) => value / length);
}

function best(matches: Match[]): Match[] {
  return matches.sort((a, b) => b.score - a.score).slice(0, COUNT);
}
