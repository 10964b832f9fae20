/**
 * Prefix beam search: the gloss sequences with the largest probability, summed over all their CTC paths.
 * Python's `ctc/beam.py` explains the pruning, which saves work and never changes the result.
 */

import { InputError } from "./errors";
import { logForward } from "./forward_score";
import type { LanguageState, NGramFusion } from "./lm_fusion";
import type { Rows } from "./numbers";
import { BLANK_ID } from "./vocabulary";

/** Scores are divided by the best one whenever it leaves this range. */
const RANGE = [1e-60, 1e60] as const;
/** Sequences whose scores are this close to the best may win if all their paths are counted; at most so many. */
const CLOSE = 1;
const MAX_CLOSE = 4;
/** A row of probabilities may differ from 1 by this much. */
const SUM_TOLERANCE = 1e-3;

/** A gloss sequence and its score, a natural logarithm. */
export interface Candidate {
  readonly ids: readonly number[];
  readonly score: number;
}

/** What a search needs beside the frames: a part of a sentence begins after `history`. */
export interface BeamOptions {
  readonly beamSize: number;
  readonly tokensPerFrame: number;
  readonly fusion: NGramFusion | null;
  readonly history: readonly number[];
  /** Probability that the last gloss of the history goes on in the first frame. */
  readonly stillOpen: number;
  /** Whether the sentence ends with these frames. */
  readonly ends: boolean;
}

/** A node of the trie of prefixes. Outside the beam, all its probabilities are 0. */
class Prefix {
  blank = 0;
  gloss = 0;
  total = 0;
  depth: number;
  repeats: boolean;
  readonly children = new Map<number, Prefix>();

  constructor(
    readonly parent: Prefix | null,
    readonly last: number,
    readonly factor: number,
    readonly state: LanguageState | null,
  ) {
    this.repeats = parent !== null && parent.last === last;
    this.depth = parent === null ? 0 : parent.depth + 1;
  }

  ids(): number[] {
    const ids: number[] = [];
    for (let node: Prefix = this; node.depth; node = node.parent as Prefix) ids.push(node.last);
    return ids.reverse();
  }
}

interface Before {
  readonly total: number;
  readonly blank: number;
  readonly node: Prefix;
}

interface Grown {
  readonly score: number;
  readonly node: Prefix;
  readonly token: number;
}

/** Returns the gloss sequences left in the beam after the last frame, best first; at least one. */
export function prefixBeam(logProbs: Rows, options: BeamOptions): Candidate[] {
  const frames = new FrameProbs(logProbs);
  const search = new BeamSearch(frames, options);
  const found = search.scored();
  return options.stillOpen ? found.map(({ score, node }) => ({ score, ids: node.ids() })) : completed(frames, search, found);
}

/** The probabilities of an emission, divided by the largest of each frame. */
class FrameProbs {
  readonly probs: Float32Array;
  /** The largest of each frame, blank excluded. */
  readonly highest: Float32Array;
  /** The sum of the logarithms of the divisors. */
  logLargest = 0;
  readonly rows: number;
  readonly columns: number;

  constructor({ data, rows, columns }: Rows) {
    this.rows = rows;
    this.columns = columns;
    this.probs = new Float32Array(rows * columns);
    this.highest = new Float32Array(rows);
    for (let row = 0; row < rows; row++) {
      const start = row * columns;
      let largest = -Infinity;
      for (let word = 0; word < columns; word++) {
        const value = data[start + word];
        if (Number.isNaN(value)) throw new InputError(`beam search: NaN in output frame ${row}; needed log-probabilities`);
        largest = Math.max(largest, value);
      }
      if (!Number.isFinite(largest)) throw new InputError(`beam search: ${largest} in output frame ${row}; needed log-probabilities`);
      let sum = 0;
      for (let word = 0; word < columns; word++) {
        const prob = (this.probs[start + word] = Math.exp(Math.fround(data[start + word] - largest)));
        sum += prob;
        if (word !== BLANK_ID) this.highest[row] = Math.max(this.highest[row], prob);
      }
      sum *= Math.exp(Math.min(largest, 700));
      if (Math.abs(sum - 1) > SUM_TOLERANCE) {
        throw new InputError(`beam search: the probabilities of output frame ${row} sum to ${sum.toPrecision(4)}, needed 1`);
      }
      this.logLargest += largest;
    }
  }

  /** Returns the `count` most probable words of a frame above `floor`, best first, without blank. */
  tokens(row: number, floor: number, count: number): [token: number, prob: number][] {
    const limit = floor * (1 - 1e-6);
    const chosen: [number, number][] = [];
    for (let word = 0; word < this.columns; word++) {
      const prob = this.probs[row * this.columns + word];
      if (prob > limit) chosen.push([word, prob]);
    }
    chosen.sort((a, b) => b[1] - a[1]);
    return chosen.slice(0, count).filter(([word]) => word !== BLANK_ID);
  }
}

interface Scored {
  readonly score: number;
  readonly node: Prefix;
}

/** A search over all frames of an emission. */
class BeamSearch {
  private beam: Prefix[];
  private logScale = 0;

  constructor(private readonly frames: FrameProbs, private readonly options: BeamOptions) {
    const { fusion, history, stillOpen } = options;
    const sentinel = new Prefix(null, BLANK_ID, 0, null);
    const last = stillOpen ? history[history.length - 1] : BLANK_ID;
    const root = new Prefix(sentinel, last, 0, fusion ? fusion.after(history) : null);
    root.depth = 0;
    root.repeats = false;
    [root.gloss, root.blank, root.total] = [stillOpen, 1 - stillOpen, 1];
    this.beam = [root];
    this.advance();
  }

  /** Returns the prefixes in the beam with their scores, best first. */
  scored(): Scored[] {
    const result: Scored[] = [];
    for (const node of this.beam) {
      const ending = this.ending(node);
      if (node.total > 0 && ending > 0) result.push({ score: Math.log(node.total) + Math.log(ending), node });
    }
    const logScale = this.frames.logLargest + this.logScale;
    return result.sort((a, b) => b.score - a.score).map(({ score, node }) => ({ score: score + logScale, node }));
  }

  /** Returns the language model's factor for a sentence that ends with a prefix; 1 where it goes on. */
  ending(node: Prefix): number {
    return node.state !== null && this.options.ends ? node.state.ending() : 1;
  }

  private advance(): void {
    const { beamSize, fusion } = this.options;
    const { probs, highest, rows, columns } = this.frames;
    const largestFactor = fusion ? fusion.largestFactor : 1;
    const count = Math.min(this.options.tokensPerFrame, columns);
    let most = 1;
    for (let row = 0; row < rows; row++) {
      if (!(RANGE[0] < most && most < RANGE[1])) this.rescale();
      const before: Before[] = this.beam.map((node) => ({ total: node.total, blank: node.blank, node }));
      const base = row * columns;
      let least = Infinity;
      most = 0;
      // Longest first: a prefix needs the value that its parent had before this frame.
      for (const { total, node } of before) {
        const parent = node.parent as Prefix;
        node.gloss = (node.gloss + (node.repeats ? parent.blank : parent.total) * node.factor) * probs[base + node.last];
        node.blank = total * probs[base + BLANK_ID];
        node.total = node.blank + node.gloss;
        least = Math.min(least, node.total);
        most = Math.max(most, total);
      }
      if (this.beam.length < beamSize) least = 0;
      else if (most * highest[row] * largestFactor <= least) continue;
      const tokens = this.frames.tokens(row, least / (most * largestFactor), count);
      const grown = grow(tokens, before, beamSize, largestFactor);
      if (grown.length) this.beam = kept(this.beam, grown, beamSize).sort((a, b) => b.depth - a.depth);
    }
  }

  private rescale(): void {
    const scale = this.beam.reduce((largest, node) => Math.max(largest, node.total), 0);
    this.logScale += Math.log(scale);
    for (const node of this.beam) {
      node.blank /= scale;
      node.gloss /= scale;
      node.total /= scale;
    }
  }
}

/** Returns new prefixes of this frame that may be among the best of the beam. */
function grow(tokens: [number, number][], before: Before[], beamSize: number, largestFactor: number): Grown[] {
  const grown: Grown[] = [];
  // The best scores so far in ascending order: one that does not exceed the lowest cannot be among the best.
  const best = [...new Array<number>(beamSize - before.length).fill(0), ...before.map(({ node }) => node.total)];
  best.sort((a, b) => a - b);
  let bound = best[0] / largestFactor;
  const byTotal = [...before].sort((a, b) => b.total - a.total);
  for (const [token, prob] of tokens) {
    if (byTotal[0].total * prob <= bound) break;
    for (const { total, blank, node } of byTotal) {
      let score = total * prob;
      if (score <= bound) break;
      if (token === node.last) {
        score = blank * prob;
        if (score <= bound) continue;
      }
      const child = node.children.get(token);
      if (child !== undefined && child.total > 0) continue;
      if (node.state !== null) {
        score *= node.state.factor(token);
        if (score <= best[0]) continue;
      }
      grown.push({ score, node, token });
      replaceLowest(best, score);
      bound = best[0] / largestFactor;
    }
  }
  return grown;
}

/** Puts a score into an ascending list in the place of the lowest; a lower score changes nothing. */
function replaceLowest(ascending: number[], score: number): void {
  if (score <= ascending[0]) return;
  let at = 0;
  while (at + 1 < ascending.length && ascending[at + 1] < score) {
    ascending[at] = ascending[at + 1];
    at++;
  }
  ascending[at] = score;
}

/** Returns the best of the old and new prefixes; sets the probabilities of the dropped ones to 0. */
function kept(beam: Prefix[], grown: Grown[], beamSize: number): Prefix[] {
  const pool: Grown[] = [...beam.map((node) => ({ score: node.total, node, token: -1 })), ...grown];
  pool.sort((a, b) => b.score - a.score);
  for (const { node, token } of pool.slice(beamSize)) {
    if (token < 0) node.blank = node.gloss = node.total = 0;
  }
  return pool.slice(0, beamSize).map(({ score, node, token }) => {
    if (token < 0) return node;
    let child = node.children.get(token);
    if (!child) {
      const { state } = node;
      child = new Prefix(node, token, state ? state.factor(token) : 1, state ? state.following(token) : null);
      node.children.set(token, child);
    }
    child.gloss = child.total = score;
    return child;
  });
}

/** Returns the candidates of a search, best first, after scoring those close to the best by all their paths. */
function completed(frames: FrameProbs, search: BeamSearch, found: Scored[]): Candidate[] {
  const bound = found[0].score - CLOSE;
  const candidates = found.map(({ score, node }, index): Candidate => {
    const ids = node.ids();
    if (index >= MAX_CLOSE || score <= bound) return { ids, score };
    let exact = logForward(frames.probs, frames.rows, frames.columns, ids) + frames.logLargest;
    if (node.state !== null) {
      exact += Math.log(search.ending(node));
      for (let each = node; each.depth; each = each.parent as Prefix) exact += Math.log(each.factor);
    }
    // The sum over all paths is at least that of the kept ones, except for rounding and underflow.
    return { ids, score: Math.max(exact, score) };
  });
  return candidates.sort((a, b) => b.score - a.score);
}
