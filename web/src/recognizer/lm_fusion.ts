/** Shallow fusion: combines an n-gram language model and a bonus per gloss with prefix beam search. */

import type { NGram } from "./ngram";

/** A factor of 0 would forbid a word whatever the emission. */
const SMALLEST_FACTOR = 1e-90;

/** A weighted n-gram model over the words of a vocabulary, with a bonus per gloss. model: null for the bonus alone. */
export class NGramFusion {
  readonly model: NGram | null;
  readonly bonusFactor: number;
  readonly words: readonly number[];
  readonly start: LanguageState;
  private readonly states = new Map<string, LanguageState>();

  constructor(vocabulary: readonly string[], model: NGram | null, readonly weight: number, bonus: number) {
    this.model = weight > 0 ? model : null;
    this.bonusFactor = Math.exp(bonus);
    const known = this.model;
    this.words = vocabulary.map((word) => (known ? known.idOf(word) : 0));
    this.start = this.state(known ? known.contextAfter([], known.startId) : []);
  }

  /** The upper limit of every factor. */
  get largestFactor(): number {
    return this.bonusFactor;
  }

  /** Returns the state of a context; the same object every time. */
  state(context: readonly number[]): LanguageState {
    const key = context.join();
    let state = this.states.get(key);
    if (!state) this.states.set(key, (state = new LanguageState(this, context)));
    return state;
  }

  /** Returns the state after the first glosses of a sentence, given as words of the vocabulary. */
  after(tokens: readonly number[]): LanguageState {
    return tokens.reduce((state, token) => state.following(token), this.start);
  }

  /** Returns the probability of a word after a context, to the power of the weight. */
  weighted(context: readonly number[], word: number): number {
    return this.model ? Math.exp(this.weight * Math.LN10 * this.model.logProb(context, word)) : 1;
  }
}

/** The state of a language model after some glosses; it keeps its results. */
export class LanguageState {
  private readonly factors = new Map<number, number>();
  private readonly next = new Map<number, LanguageState>();
  private end: number | null = null;

  constructor(private readonly fusion: NGramFusion, readonly context: readonly number[]) {}

  /** Returns the factor for a prefix's probability if `token` follows. */
  factor(token: number): number {
    let factor = this.factors.get(token);
    if (factor === undefined) {
      const { fusion } = this;
      factor = Math.max(SMALLEST_FACTOR, fusion.weighted(this.context, fusion.words[token]) * fusion.bonusFactor);
      this.factors.set(token, factor);
    }
    return factor;
  }

  /** Returns the state after `token`. */
  following(token: number): LanguageState {
    let state = this.next.get(token);
    if (!state) {
      const { fusion } = this;
      state = fusion.model ? fusion.state(fusion.model.contextAfter(this.context, fusion.words[token])) : this;
      this.next.set(token, state);
    }
    return state;
  }

  /** Returns the factor for the end of the sentence. */
  ending(): number {
    const { fusion } = this;
    this.end ??= Math.max(SMALLEST_FACTOR, fusion.model ? fusion.weighted(this.context, fusion.model.endId) : 1);
    return this.end;
  }
}
