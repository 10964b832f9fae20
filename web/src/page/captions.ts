/** The captions of a stream: the glosses of the running utterance, and all final ones. */

import type { GlossSpan } from "../recognizer/hypothesis";
import type { StreamEvent } from "../recognizer/stream_events";

/** A gloss on the screen. isFinal: it stays as it is. */
export interface Caption {
  readonly span: GlossSpan;
  readonly isFinal: boolean;
}

export class Captions {
  /** The glosses of the running utterance, or of the last one until the next begins. */
  shown: readonly Caption[] = [];
  /** All final glosses. */
  readonly finals: GlossSpan[] = [];
  private running = new Map<number, Caption>();

  /** Follows the events of the stream. Returns the utterances that ended. */
  update(events: readonly StreamEvent[]): GlossSpan[][] {
    const ended: GlossSpan[][] = [];
    for (const event of events) {
      if (event.kind === "end") {
        ended.push(this.sorted().map(({ span }) => span));
        this.running = new Map();
        continue;
      }
      if (event.kind === "withdrawn") this.running.delete(event.index);
      else this.running.set(event.index, { span: event.span, isFinal: event.kind === "final" });
      if (event.kind === "final") this.finals.push(event.span);
      this.shown = this.sorted();
    }
    return ended;
  }

  private sorted(): Caption[] {
    return [...this.running].sort(([a], [b]) => a - b).map(([, caption]) => caption);
  }
}
