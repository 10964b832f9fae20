/**
 * The glosses of one utterance, found while its frames arrive. Python's `inference/stream_window.py` explains windows
 * and seams.
 */

import { calibrated, confidences } from "./confidence";
import { named, type GlossSpan } from "./hypothesis";
import type { Model } from "./model";
import { round, slice, type Rows } from "./numbers";
import { emissionSeconds, spans } from "./spans";
import type { StreamOptions } from "./stream_options";
import { RepeatFinder, type Sighting } from "./stream_repeats";
import { forcedAlignment, type Run } from "./viterbi";
import { BLANK_ID } from "./vocabulary";

/** Where glosses follow one another without a free output frame, the seam lies elsewhere after so long. */
const LONGEST_WAIT_SECONDS = 1;
/** A gloss of such a confidence becomes final an output frame before its look-ahead is over. */
const SURE = 0.9;
/** A gloss waits at most so long after its end for one of which the model is sure. */
const LONGEST_HELD_SECONDS = 3;
const SMALLEST = 2.2250738585072014e-308;

/**
 * What a window showed: glosses that are final from now on, and those after them, as they look now. Both without those
 * that are not sure enough.
 */
export interface Reading {
  readonly finals: readonly GlossSpan[];
  readonly provisional: readonly GlossSpan[];
}

interface Located {
  readonly glosses: GlossSpan[];
  readonly runs: Run[];
  readonly emitted: number[];
}

/** The newest frames of one utterance, and its glosses that are not final. */
export class UtteranceWindow {
  numFrames = 0;
  /** How many frames there are up to the end of the last gloss that is shown, provisional or final. */
  numSigned = 0;
  private numSignedFinally = 0;
  private readonly update: number;
  private readonly outputs: number;
  private readonly lookahead: number;
  private readonly context: number;
  private readonly longestWait: number;
  private readonly frames: Float32Array[] = [];
  /** The numbers of the first frame that is kept, in grid steps, and of the first output frame that is not final. */
  private first = 0;
  private seam = 0;
  /** The last final gloss: when it was emitted, its end, and the probability that it goes on behind the seam. */
  private emitted: number | null = null;
  private end = 0;
  private stillOpen = 0;
  private readonly repeats = new RepeatFinder(SURE);
  private history: number[] = [];
  /**
   * Glosses that would be final if the model were sure of one; whether it was, in the last stretch of glosses; the end
   * of that stretch, and how soon another gloss belongs to it.
   */
  private held: readonly GlossSpan[] = [];
  private isSigning = false;
  private stretchEnd = -Infinity;
  private readonly longestGap: number;

  constructor(
    private readonly model: Model,
    options: StreamOptions,
    readonly startSeconds: number,
  ) {
    const { fps, stride, grid } = model.record;
    this.outputs = Math.floor(grid / stride);
    this.update = grid * Math.max(1, round((options.update_seconds * fps) / grid));
    this.lookahead = Math.ceil(options.lookahead_seconds / model.stepSeconds - 1e-6);
    this.context = Math.ceil((options.context_seconds * fps) / grid - 1e-6);
    this.longestGap = options.rest_seconds;
    this.longestWait = Math.ceil(LONGEST_WAIT_SECONDS / model.stepSeconds);
  }

  /** Returns what a window over the newest frames shows, if it is time for one. */
  async push(points: Float32Array): Promise<Reading | null> {
    this.frames.push(points);
    this.numFrames++;
    return this.numFrames % this.update === 0 ? this.read(null) : null;
  }

  /** Returns the last glosses of an utterance that has `numFrames`. The model sees later frames too. */
  async finish(numFrames: number): Promise<Reading> {
    const numOutputs = Math.ceil(numFrames / this.model.record.stride);
    return numOutputs > this.seam ? this.read(numOutputs - this.seam) : { finals: [], provisional: [] };
  }

  /** Returns what a window shows. numOutputs: not final yet, if the utterance ends with them. */
  private async read(numOutputs: number | null): Promise<Reading> {
    const ends = numOutputs !== null;
    const all = await this.logProbs();
    const logProbs = ends ? slice(all, 0, Math.min(numOutputs, all.rows)) : all;
    const ids = this.model.decoder.best(logProbs, this.history, this.stillOpen, ends);
    const { runs, emitted, ...located } = this.located(logProbs, ids);
    let glosses: readonly GlossSpan[] = located.glosses;
    const length = logProbs.rows;
    const trusted = ends ? length : this.trusted(length, glosses, runs);
    const seam = ends ? trusted : seamOf(runs, length, trusted, trusted > this.longestWait);
    let count = runs.filter(([start]) => start < seam).length;
    if (count) {
      this.emitted = emitted[count - 1];
      this.end = glosses[count - 1].endSeconds;
      this.remember(ids.slice(0, count));
      this.stillOpen = 1;
    }
    if (seam) {
      const start = count ? Math.min(runs[count - 1][1], seam) : 0;
      this.stillOpen = this.openAfter(slice(logProbs, start, seam));
      this.seam += seam;
      this.forget();
    }
    const sightings = ids.map((word, at) => ({ word, emitted: emitted[at], confidence: glosses[at].confidence }));
    const earlier = ends ? null : this.repeats.found(sightings, count, this.seam * this.model.stepSeconds);
    if (earlier !== null) glosses = this.withEarlier(earlier, glosses, emitted, count++);
    // The others still take part in decoding and in times.
    const { least } = this.model.record.limits;
    const finals = this.vouched(named(glosses.slice(0, count), least));
    const provisional = ends ? [] : [...this.held, ...named(glosses.slice(count), least)];
    if (finals.length) this.numSignedFinally = this.numFramesUntil(finals[finals.length - 1].endSeconds);
    this.numSigned = provisional.length
      ? this.numFramesUntil(provisional[provisional.length - 1].endSeconds)
      : this.numSignedFinally;
    return { finals, provisional };
  }

  /** Returns the glosses that are final now, of those that are held and the next ones; holds the others. */
  private vouched(next: readonly GlossSpan[]): readonly GlossSpan[] {
    const vouched: GlossSpan[] = [];
    for (const span of next) {
      if (span.startSeconds - this.stretchEnd > this.longestGap) {
        this.held = [];
        this.isSigning = false;
      }
      this.stretchEnd = span.endSeconds;
      this.isSigning ||= span.confidence >= this.model.record.limits.sure;
      this.held = [...this.held, span];
      if (this.isSigning) {
        vouched.push(...this.held);
        this.held = [];
      }
    }
    const seen = this.startSeconds + this.seam * this.model.stepSeconds;
    if (seen - this.stretchEnd > this.longestGap) this.held = [];
    this.held = this.held.filter(({ endSeconds }) => seen - endSeconds <= LONGEST_HELD_SECONDS);
    return vouched;
  }

  /** Returns beyond how many of `length` output frames the window sees enough, in order to make them final. */
  private trusted(length: number, glosses: readonly GlossSpan[], runs: readonly Run[]): number {
    const next = length - this.lookahead + 1;
    const sure = runs.some(([, stop], index) => stop === next && next < length && glosses[index].confidence >= SURE);
    return sure ? next : next - 1;
  }

  /** Returns how many frames of the utterance begin before a moment of the stream. */
  private numFramesUntil(seconds: number): number {
    return Math.min(Math.ceil((seconds - this.startSeconds) * this.model.record.fps - 1e-6), this.numFrames);
  }

  /** Returns the probability that the last final gloss is still emitted after frames without another. */
  private openAfter({ data, rows, columns }: Rows): number {
    if (!this.history.length) return 0;
    const last = this.history[this.history.length - 1];
    let open = this.stillOpen;
    let closed = 1 - open;
    for (let row = 0; row < rows; row++) {
      const blank = Math.exp(data[row * columns + BLANK_ID]);
      const gloss = Math.exp(data[row * columns + last]);
      [open, closed] = [open * gloss, (open + closed) * blank];
      const total = Math.max(open + closed, SMALLEST);
      [open, closed] = [open / total, closed / total];
    }
    return open;
  }

  /** Returns the log-probabilities of the output frames that are not final. */
  private async logProbs(): Promise<Rows> {
    const rows = await this.model.engine.logProbs(this.frames);
    return slice(rows, this.seam - this.first * this.outputs, rows.rows);
  }

  /** Returns glosses with their spans, their output frames, and the times of their emission. */
  private located(logProbs: Rows, ids: readonly number[]): Located {
    const { words, spans: settings, fps } = this.model.record;
    const runs = forcedAlignment(logProbs, ids);
    const offset = this.seam * this.model.stepSeconds;
    const duration = this.numFrames / fps;
    const emission = { logProbs, stepSeconds: this.model.stepSeconds, durationSeconds: duration - offset };
    const emitted = emissionSeconds(emission, ids, runs).map((seconds) => offset + seconds);
    const times = this.times(emitted);
    const raw = confidences(logProbs, ids, runs);
    const glosses = ids.map((word, index) => ({
      gloss: words[word],
      ...times[index],
      confidence: calibrated(settings.calibration, raw[index]),
    }));
    return { glosses, runs, emitted };
  }

  /** Returns start and end of the glosses after the last final one, from when they were emitted. */
  private times(emitted: readonly number[]): Pick<GlossSpan, "startSeconds" | "endSeconds">[] {
    const { spans: settings, fps } = this.model.record;
    // The last final gloss is the neighbour of the first one here.
    const before = this.emitted === null ? [] : [this.emitted];
    const least = Math.max(this.end, this.startSeconds);
    return spans([...before, ...emitted], this.numFrames / fps, settings.timing)
      .slice(before.length)
      .map(([start, end]) => ({
        startSeconds: Math.max(start + this.startSeconds, least),
        endSeconds: Math.max(end + this.startSeconds, least),
      }));
  }

  /** Returns the glosses of a window with one that was signed after the `count` final ones, and is final too. */
  private withEarlier(
    earlier: Sighting,
    glosses: readonly GlossSpan[],
    emitted: readonly number[],
    count: number,
  ): readonly GlossSpan[] {
    const { words } = this.model.record;
    const [first, ...times] = this.times([earlier.emitted, ...emitted.slice(count)]);
    const gloss = { gloss: words[earlier.word], ...first, confidence: earlier.confidence };
    this.emitted = earlier.emitted;
    this.end = gloss.endSeconds;
    this.remember([earlier.word]);
    this.stillOpen = 0;
    const later = glosses.slice(count).map((one, at) => ({ ...one, ...times[at] }));
    return [...glosses.slice(0, count), gloss, ...later];
  }

  /** Keeps the last glosses that are final, as many as the language model needs. */
  private remember(ids: readonly number[]): void {
    const kept = Math.max(1, (this.model.languageModel?.order ?? 1) - 1);
    this.history = [...this.history, ...ids].slice(-kept);
  }

  /** Drops the frames that no later window needs. */
  private forget(): void {
    const first = Math.max(this.first, Math.floor(this.seam / this.outputs) - this.context);
    this.frames.splice(0, (first - this.first) * this.model.record.grid);
    this.first = first;
  }
}

/** Returns how many of `length` output frames become final: at most `trusted`, so that no gloss is cut. */
function seamOf(runs: readonly Run[], length: number, trusted: number, waited: boolean): number {
  const owner = new Int32Array(length).fill(-1);
  runs.forEach(([start, stop], number) => owner.fill(number, start, stop));
  for (let end = trusted; end > 0; end--) if (owner[end] < 0) return end;
  if (!waited) return 0;
  for (let end = trusted; end > 0; end--) if (owner[end - 1] !== owner[end]) return end;
  return Math.max(trusted, 0);
}
