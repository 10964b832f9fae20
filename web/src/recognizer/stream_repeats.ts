/** A sign that is made twice in a row, where the model shows a single gloss. Python's `inference/stream_repeats.py`. */

import { UNKNOWN_ID } from "./vocabulary";

/** A gloss that is shown later by as much was signed before. */
const LONGEST_SLIDE_SECONDS = 0.8;
const EPSILON = 1e-6;

/** A gloss in a window: its word, when it was emitted, in seconds, and its confidence. */
export interface Sighting {
  readonly word: number;
  readonly emitted: number;
  readonly confidence: number;
}

/** A gloss that windows have shown: when the first of them saw it emitted, and the surest of those soon after. */
interface Shown {
  readonly first: number;
  readonly surest: Sighting;
}

/** Follows the glosses that are not final from window to window. sure: the least confidence of one that was signed. */
export class RepeatFinder {
  private shown: Shown[] = [];

  constructor(private readonly sure: number) {}

  /** Returns the gloss that was signed before the first one that is shown now and not final, if there is one. */
  found(sightings: readonly Sighting[], numFinal: number, finalUntil: number): Sighting | null {
    const follows =
      this.shown.length >= numFinal && this.shown.slice(0, numFinal).every(({ surest }, at) => surest.word === sightings[at].word);
    let before = follows ? this.shown.slice(numFinal) : [];
    this.shown = sightings.slice(numFinal).map((sighting, at) => {
      if (at >= before.length || before[at].surest.word !== sighting.word) {
        before = [];
        return { first: sighting.emitted, surest: sighting };
      }
      const { first, surest } = before[at];
      const isEarly = sighting.emitted - first <= LONGEST_SLIDE_SECONDS / 2;
      return { first, surest: isEarly && sighting.confidence > surest.confidence ? sighting : surest };
    });
    if (!this.shown.length) return null;
    const { first, surest } = this.shown[0];
    const now = sightings[numFinal];
    const isSign = surest.word !== UNKNOWN_ID && surest.confidence >= this.sure;
    const isOver = surest.emitted < finalUntil && now.emitted - first >= LONGEST_SLIDE_SECONDS - EPSILON;
    if (!isSign || !isOver) return null;
    this.shown[0] = { first: now.emitted, surest: now };
    return surest;
  }
}
