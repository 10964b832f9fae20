/** What a stream's recognition reports: glosses that appear, change and become final, and ends of utterances. */

import type { GlossSpan } from "./hypothesis";
import type { Reading } from "./stream_window";

/** Gloss `index` of utterance `utterance` looks like this now, is gone, or stays. */
export interface GlossEvent {
  readonly kind: "provisional" | "withdrawn" | "final";
  readonly utterance: number;
  readonly index: number;
  readonly span: GlossSpan;
}

/** An utterance with `numGlosses` final glosses ended at `seconds` of the stream. */
export interface UtteranceEnd {
  readonly kind: "end";
  readonly utterance: number;
  readonly numGlosses: number;
  readonly seconds: number;
}

export type StreamEvent = GlossEvent | UtteranceEnd;

/** Returns an event as Python's `to_json` writes it. */
export function toJson(event: StreamEvent): Record<string, unknown> {
  if (event.kind === "end") {
    return {
      event: "end",
      utterance: event.utterance,
      num_glosses: event.numGlosses,
      seconds: Number(event.seconds.toFixed(3)),
    };
  }
  return { event: event.kind, utterance: event.utterance, index: event.index, ...spanToJson(event.span) };
}

/** Returns a gloss as Python's `GlossSpan.to_json` writes it. */
export function spanToJson(span: GlossSpan): Record<string, unknown> {
  return {
    gloss: span.gloss,
    start_seconds: Number(span.startSeconds.toFixed(3)),
    end_seconds: Number(span.endSeconds.toFixed(3)),
    confidence: Number(span.confidence.toFixed(4)),
  };
}

/** Makes events of what the windows of a stream show. An utterance without any final gloss gets no number. */
export class EventMaker {
  private utterance = 0;
  private numFinals = 0;
  private shown: readonly GlossSpan[] = [];

  /** Returns what the next reading of the utterance changes. */
  changes({ finals, provisional }: Reading): StreamEvent[] {
    const events: StreamEvent[] = finals.map((span, number) => this.event("final", number, span));
    this.numFinals += finals.length;
    const shown = this.shown.slice(finals.length);
    provisional.forEach((span, number) => {
      if (number >= shown.length || shown[number].gloss !== span.gloss) {
        events.push(this.event("provisional", number, span));
      }
    });
    shown.forEach((span, number) => {
      if (number >= provisional.length) events.push(this.event("withdrawn", number, span));
    });
    this.shown = provisional;
    return events;
  }

  /** Returns what the last reading of the utterance changes, and its end. */
  end(reading: Reading, seconds: number): StreamEvent[] {
    const events = this.changes(reading);
    if (this.numFinals) {
      events.push({ kind: "end", utterance: this.utterance, numGlosses: this.numFinals, seconds });
      this.utterance++;
      this.numFinals = 0;
    }
    return events;
  }

  private event(kind: GlossEvent["kind"], number: number, span: GlossSpan): GlossEvent {
    return { kind, utterance: this.utterance, index: this.numFinals + number, span };
  }
}
