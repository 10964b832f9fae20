/** Decoding: from emissions to glosses. */

import { prefixBeam } from "./beam";
import { InputError } from "./errors";
import { greedyIds } from "./greedy";
import { NGramFusion } from "./lm_fusion";
import type { NGram } from "./ngram";
import type { Rows } from "./numbers";
import { BLANK_ID } from "./vocabulary";

/** The settings of a decoder, as Python's `Decoding` writes them. */
export interface Decoding {
  readonly decoder: "greedy" | "beam";
  readonly beam_size: number;
  readonly tokens_per_frame: number;
  readonly lm_weight: number;
  readonly insertion_bonus: number;
}

/** Decodes emissions over one vocabulary. */
export class Decoder {
  private readonly fusion: NGramFusion | null = null;

  constructor(
    private readonly vocabulary: readonly string[],
    private readonly decoding: Decoding,
    languageModel: NGram | null,
  ) {
    if (decoding.decoder === "beam" && decoding.lm_weight > 0 && languageModel === null) {
      throw new InputError("decoding: lm_weight is above 0, but there is no language model");
    }
    if (decoding.decoder === "beam" && (decoding.lm_weight || decoding.insertion_bonus)) {
      this.fusion = new NGramFusion(vocabulary, languageModel, decoding.lm_weight, decoding.insertion_bonus);
    }
  }

  /** Returns the ids of the best gloss sequence of a part of a sentence; see `BeamOptions`. */
  best(logProbs: Rows, history: readonly number[], stillOpen: number, ends: boolean): readonly number[] {
    if (logProbs.columns !== this.vocabulary.length) {
      throw new InputError(
        `decoding: an emission over ${logProbs.columns} words and a vocabulary of ${this.vocabulary.length} words`,
      );
    }
    if (this.decoding.decoder === "greedy") {
      return greedyIds(logProbs, stillOpen > 0.5 ? history[history.length - 1] : BLANK_ID);
    }
    return prefixBeam(logProbs, {
      beamSize: this.decoding.beam_size,
      tokensPerFrame: this.decoding.tokens_per_frame,
      fusion: this.fusion,
      history,
      stillOpen,
      ends,
    })[0].ids;
  }
}
