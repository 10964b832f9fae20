/** Recognition of a stream: frames go in, glosses come out while people sign. See Python's `inference/streaming.py`. */

import { InputError } from "./errors";
import type { Model } from "./model";
import { round } from "./numbers";
import { StreamClock } from "./stream_clock";
import { EventMaker, type StreamEvent } from "./stream_events";
import type { StreamOptions } from "./stream_options";
import { RestDetector } from "./stream_rest";
import { UtteranceWindow } from "./stream_window";

/** Hands that move for a shorter time start no utterance. */
const ONSET_SECONDS = 0.12;
/** An utterance has so much of the rest before and after it. */
const MARGIN_SECONDS = 0.2;
/** Hands that rest for so many times `rest_seconds` end an utterance whatever the model shows. */
const LONGEST_RESTS = 1.5;
/** A frame that is late by more shows that the clock of the stream was set back. */
const LATEST_SECONDS = 1;

/**
 * Recognises one stream. Its memory is constant, however long the stream is.
 * `push` and `finish` are called one after another: each call waits until the one before is done.
 */
export class StreamingRecognizer {
  /** Frames that were left out so far, because they were not later than the frame before. */
  numLate = 0;
  private readonly options: StreamOptions;
  private readonly onset: number;
  private readonly margin: number;
  private readonly rest: number;
  private readonly events = new EventMaker();
  private clock!: StreamClock;
  private detector!: RestDetector;
  private window: UtteranceWindow | null = null;
  /** Frames of the rest, or of the pause, before the next utterance. */
  private waiting: Float32Array[] = [];
  private numResting = 0;
  private numActive = 0;
  private lastSeconds: number | null = null;

  /** onUtterance: called with start and end of each utterance in the stream's seconds, whether or not it had a gloss. */
  constructor(
    private readonly model: Model,
    options?: StreamOptions,
    private readonly onUtterance: (start: number, end: number) => void = () => {},
  ) {
    const { fps, stream } = model.record;
    this.options = options ?? stream;
    const frames = (seconds: number) => Math.max(1, round(seconds * fps));
    this.onset = frames(ONSET_SECONDS);
    this.margin = frames(MARGIN_SECONDS);
    this.rest = frames(this.options.rest_seconds);
    this.restart();
  }

  /**
   * Returns what the next frame changes.
   * points: the coordinates (3 P) of the model's view, in units of image height, NaN where missing.
   */
  async push(points: Float32Array, seconds: number): Promise<StreamEvent[]> {
    this.check(points, seconds);
    const last = this.lastSeconds;
    if (last !== null && seconds <= last) {
      this.numLate++;
      return [];
    }
    const events: StreamEvent[] = [];
    if (last !== null && seconds - last > this.options.pause_seconds) events.push(...(await this.finish()));
    this.lastSeconds = seconds;
    for (const [frame, moment] of this.clock.push(points, seconds)) events.push(...(await this.advance(frame, moment)));
    return events;
  }

  /** Returns the last glosses when the stream ends, or stops for a while. Later frames may follow. */
  async finish(): Promise<StreamEvent[]> {
    const events: StreamEvent[] = [];
    for (const [points, moment] of this.clock.finish()) events.push(...(await this.advance(points, moment)));
    events.push(...(await this.endUtterance()));
    this.restart();
    return events;
  }

  private check(points: Float32Array, seconds: number): void {
    const needed = 3 * this.model.record.points.length;
    if (points.length !== needed) throw new InputError(`stream: ${points.length} coordinates; needed ${needed}`);
    if (!Number.isFinite(seconds)) throw new InputError("stream: the time of a frame is NaN or infinite; needed seconds");
    if (points.some((value) => value === Infinity || value === -Infinity)) {
      throw new InputError("stream: a coordinate is infinite; needed numbers, or NaN for points that are missing");
    }
    const last = this.lastSeconds;
    if (last !== null && last - seconds > LATEST_SECONDS) {
      throw new InputError(
        `stream: a frame at ${seconds.toFixed(3)} s follows one at ${last.toFixed(3)} s; needed ascending times`,
      );
    }
  }

  /** Returns what one frame at the model's rate changes. */
  private async advance(points: Float32Array, seconds: number): Promise<StreamEvent[]> {
    this.numResting = this.detector.advance(points);
    if (this.window === null) {
      this.waiting.push(points);
      if (this.waiting.length > this.margin + this.onset) this.waiting.shift();
      this.numActive = this.numResting ? 0 : this.numActive + 1;
      return this.numActive >= this.onset ? this.begin(seconds) : [];
    }
    const events = await this.windowEvents(this.window, points);
    const ended = this.numIdle(this.window) >= this.rest || this.numResting >= LONGEST_RESTS * this.rest;
    return ended ? [...events, ...(await this.endUtterance())] : events;
  }

  /** Returns for how many frames up to the last one hands have rested, and were not seen or no gloss was shown. */
  private numIdle(window: UtteranceWindow): number {
    return Math.min(this.numResting, Math.max(window.numFrames - window.numSigned, this.detector.numUnseen));
  }

  /** Begins an utterance with the frames that waited, the last of them at `seconds`. */
  private async begin(seconds: number): Promise<StreamEvent[]> {
    const { fps } = this.model.record;
    const window = new UtteranceWindow(this.model, this.options, seconds - (this.waiting.length - 1) / fps);
    this.window = window;
    const waiting = this.waiting;
    this.waiting = [];
    const events: StreamEvent[] = [];
    for (const points of waiting) events.push(...(await this.windowEvents(window, points)));
    return events;
  }

  private async windowEvents(window: UtteranceWindow, points: Float32Array): Promise<StreamEvent[]> {
    const reading = await window.push(points);
    return reading === null ? [] : this.events.changes(reading);
  }

  /** Ends the utterance, if there is one, shortly after the hands began to rest. */
  private async endUtterance(): Promise<StreamEvent[]> {
    const window = this.window;
    this.window = null;
    this.numActive = 0;
    if (window === null) return [];
    const numFrames = window.numFrames - Math.max(0, this.numIdle(window) - this.margin);
    const reading = await window.finish(numFrames);
    const end = window.startSeconds + numFrames / this.model.record.fps;
    this.onUtterance(window.startSeconds, end);
    return this.events.end(reading, end);
  }

  /** Forgets the frames so far: what comes next does not continue them. */
  private restart(): void {
    this.clock = new StreamClock(this.model.record.fps);
    this.detector = new RestDetector(this.model.record.rest, this.model.record.fps);
    this.waiting = [];
    this.numResting = this.numActive = 0;
  }
}
