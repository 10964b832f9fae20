/** A trained model: what `signloom page` writes about it, its decoder, and an engine that computes the network. */

import type { Decoding } from "./decoding";
import { Decoder } from "./decoding";
import { NGram, type NGramRecord } from "./ngram";
import type { Rows } from "./numbers";
import type { SpanSettings } from "./spans";
import type { StreamOptions } from "./stream_options";
import type { RestPoints } from "./stream_rest";

/** What `signloom page` writes about a model (`page/model_record.py`). */
export interface ModelRecord {
  readonly words: readonly string[];
  readonly decoding: Decoding;
  readonly language_model: NGramRecord | null;
  readonly spans: SpanSettings;
  /** Glosses with a confidence below `least` are never shown, nor others before one of which the model is `sure`. */
  readonly limits: { readonly least: number; readonly sure: number };
  readonly fps: number;
  /** Input frames per output frame, and the product of the body's strides. */
  readonly stride: number;
  readonly grid: number;
  /** The points of the model's view, as positions among the 543 of Holistic. */
  readonly points: readonly number[];
  readonly rest: RestPoints;
  readonly stream: StreamOptions;
}

/** A network that maps landmarks to log-probabilities. */
export interface Engine {
  /** Returns the log-probabilities of one clip of T frames of 3 P coordinates each. */
  logProbs(frames: readonly Float32Array[]): Promise<Rows>;
}

export class Model {
  readonly decoder: Decoder;
  readonly languageModel: NGram | null;

  constructor(readonly record: ModelRecord, readonly engine: Engine) {
    this.languageModel = record.language_model && new NGram(record.language_model);
    this.decoder = new Decoder(record.words, record.decoding, this.languageModel);
  }

  get stepSeconds(): number {
    return this.record.stride / this.record.fps;
  }
}
