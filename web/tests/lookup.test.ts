/** Signs are looked up as Python does. */

import { describe, expect, it } from "vitest";
import { likeliest, nearest, type Match } from "../src/recognizer/lookup";
import { floats, path, read } from "./vectors";

interface Vector {
  readonly words: readonly string[];
  readonly rows: number;
  readonly log_probs: string;
  readonly features: string;
  readonly embeddings: string;
  readonly likeliest: readonly [string, number][];
  readonly nearest: readonly [string, number][];
}

const WIDTH = 8;
const vectors = read<Vector>("lookups");

function expectSame(matches: readonly Match[], wanted: readonly [string, number][]): void {
  expect(matches.map(({ gloss }) => gloss)).toEqual(wanted.map(([gloss]) => gloss));
  matches.forEach(({ score }, number) => expect(score).toBeCloseTo(wanted[number][1], 5));
}

describe.skipIf(!path || !vectors.length)("looking up (SIGNLOOM_VECTORS)", () => {
  it.each(vectors.map((vector, number) => [number, vector] as const))("clip %i", (_, vector) => {
    const { words, rows } = vector;
    expectSame(likeliest({ data: floats(vector.log_probs), rows, columns: words.length }, words), vector.likeliest);
    const all = floats(vector.embeddings);
    const lexicon = Array.from({ length: all.length / WIDTH }, (_, number) => ({
      gloss: `clip ${number}`,
      embedding: all.subarray(number * WIDTH, (number + 1) * WIDTH),
    }));
    expectSame(nearest({ data: floats(vector.features), rows, columns: WIDTH }, lexicon), vector.nearest);
  });
});
