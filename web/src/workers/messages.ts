/** What the page and its workers say to each other. */

import type { Picture } from "../page/sources";
import type { Entry, Match } from "../recognizer/lookup";
import type { ModelRecord } from "../recognizer/model";
import type { StreamEvent } from "../recognizer/stream_events";

export type ToTracker =
  | { readonly kind: "start"; readonly folder: string }
  | { readonly kind: "restart" }
  /** reused: what the last frame showed, whose memory the next one takes. */
  | ({ readonly kind: "frame"; readonly reused: Tracked | null } & Picture);

/** points: x, y, z of the 543 points, x and y in fractions of the picture; NaN where missing. visibility: of the pose. */
export interface Tracked {
  readonly points: Float32Array;
  readonly visibility: Float32Array;
}

export type FromTracker =
  | { readonly kind: "ready"; readonly onCpu: boolean }
  | ({ readonly kind: "tracked"; readonly milliseconds: number } & Tracked)
  | { readonly kind: "failed"; readonly reason: string };

export type ToRecogniser =
  | {
      readonly kind: "start";
      readonly record: ModelRecord;
      readonly graph: ArrayBuffer;
      /** Signs are looked up in these clips; without any, among the words of the model. */
      readonly lexicon: readonly Entry[];
    }
  | { readonly kind: "push"; readonly points: Float32Array; readonly seconds: number }
  | { readonly kind: "finish" }
  | { readonly kind: "restart" };

export type FromRecogniser =
  | { readonly kind: "ready" }
  | {
      readonly kind: "recognised";
      readonly events: readonly StreamEvent[];
      /** Hands came to rest, whether or not they had made a gloss. */
      readonly isEnd: boolean;
      readonly milliseconds: number;
      /** The signs that are nearest to what an utterance showed, if one ended. */
      readonly nearest: readonly Match[];
    }
  | { readonly kind: "failed"; readonly reason: string };
