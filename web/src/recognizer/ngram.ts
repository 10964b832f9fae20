/** An n-gram language model over glosses, with back-off. Logarithms are to base 10, as in ARPA files. */

import { InputError } from "./errors";

const START = "<s>";
const END = "</s>";
const UNKNOWN_SPELLINGS = ["<unk>", "<UNK>", "<unknown>"];
const IMPOSSIBLE = -99;

/** The n-grams of one order as base64 of little-endian int32 (words) and float32. */
export interface TableRecord {
  readonly ids: string;
  readonly log_probs: string;
  readonly backoffs: string;
}

export interface NGramRecord {
  readonly words: readonly string[];
  readonly tables: readonly TableRecord[];
}

/** A back-off n-gram model. A context is the numbers of its words; longer ones than the order needs are cut. */
export class NGram {
  readonly words: readonly string[];
  readonly order: number;
  private readonly ids: ReadonlyMap<string, number>;
  private readonly logProbs = new Map<string, number>();
  private readonly backoffs = new Map<string, number>();
  private readonly unknownId: number;

  constructor(record: NGramRecord) {
    this.words = record.words;
    this.order = record.tables.length;
    this.ids = new Map(record.words.map((word, number) => [word, number]));
    for (const word of [START, END]) {
      if (!this.ids.has(word)) throw new InputError(`language model: no ${word} among its words`);
    }
    const tables = record.tables.map((table, at) => ({
      order: at + 1,
      ids: new Int32Array(bytes(table.ids)),
      logProbs: new Float32Array(bytes(table.log_probs)),
      backoffs: new Float32Array(bytes(table.backoffs)),
    }));
    for (const { order, ids, logProbs } of tables) {
      logProbs.forEach((value, row) => {
        this.logProbs.set(ids.subarray(row * order, (row + 1) * order).join(), value);
        if (order > 1) this.backoffs.set(ids.subarray(row * order, (row + 1) * order - 1).join(), 0);
      });
    }
    for (const { order, ids, backoffs } of tables.slice(0, -1)) {
      backoffs.forEach((value, row) => {
        if (value !== 0) this.backoffs.set(ids.subarray(row * order, (row + 1) * order).join(), value);
      });
    }
    this.unknownId = this.unknown(tables[0].logProbs);
  }

  get startId(): number {
    return this.ids.get(START) as number;
  }

  get endId(): number {
    return this.ids.get(END) as number;
  }

  /** Returns the number of a word, or that of the unknown word. */
  idOf(word: string): number {
    return this.ids.get(word) ?? this.unknownId;
  }

  /** Returns the log10 probability of `word` after `context`; only its last words count. */
  logProb(context: readonly number[], word: number): number {
    let rest = context.slice(Math.max(0, context.length - this.order + 1));
    let total = 0;
    for (;;) {
      const value = this.logProbs.get([...rest, word].join());
      if (value !== undefined || !rest.length) return total + (value ?? IMPOSSIBLE);
      total += this.backoffs.get(rest.join()) ?? 0;
      rest = rest.slice(1);
    }
  }

  /** Returns the shortest context that predicts the same as `context` followed by `word`. */
  contextAfter(context: readonly number[], word: number): number[] {
    let longer = [...context, word];
    longer = longer.slice(Math.max(0, longer.length - this.order + 1));
    while (longer.length && !this.backoffs.has(longer.join())) longer = longer.slice(1);
    return longer;
  }

  /** Returns the number of `<unk>`, or of the least probable word if the model has none. */
  private unknown(logProbs: Float32Array): number {
    for (const spelling of UNKNOWN_SPELLINGS) {
      const id = this.ids.get(spelling);
      if (id !== undefined) return id;
    }
    let least = -1;
    logProbs.forEach((value, id) => {
      if (id === this.startId || id === this.endId) return;
      if (least < 0 || value < logProbs[least]) least = id;
    });
    return least;
  }
}

function bytes(base64: string): ArrayBuffer {
  const text = atob(base64);
  const result = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) result[at] = text.charCodeAt(at);
  return result.buffer;
}
