/** When glosses become final and utterances end, in seconds of the stream. Python's `StreamOptions` explains them. */
export interface StreamOptions {
  readonly lookahead_seconds: number;
  readonly context_seconds: number;
  readonly update_seconds: number;
  readonly rest_seconds: number;
  readonly pause_seconds: number;
}
