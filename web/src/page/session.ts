/** One session: pictures of a camera or a video are tracked and recognised until it ends. */

import { collectGarbage } from "../garbage";
import type { Tracked } from "../workers/messages";
import type { Recognised, Recogniser } from "./recognition";
import { eachFrame, frameTimes, openCamera, openVideo, pictureOf } from "./sources";
import { Tracker } from "./tracking";

/** Below this rate signs have too few frames. */
const FEW_FRAMES_PER_SECOND = 12;
/** Somebody who leaves the picture for less has not left. */
const NOBODY_SECONDS = 1;
/** Figures are of this time. */
const FIGURES_SECONDS = 2;
const NUM_POSE = 33;

/** What the page shows of a session. */
export interface Listener {
  tracked(found: Tracked, width: number, height: number): void;
  recognised(found: Recognised): void;
  progress(seconds: number, duration: number): void;
  ended(problem: unknown): void;
  /** The page was hidden, so frames are missing. */
  paused(): void;
}

export interface Figures {
  readonly rate: number;
  readonly dropped: number;
  /** Of the frames, those with somebody in them. */
  readonly seenShare: number;
  /** The last frames show nobody. */
  readonly isEmpty: boolean;
  readonly isSlow: boolean;
}

/** A frame that was tracked, for who wants to compute its captions again. */
export interface KeptFrame {
  readonly seconds: number;
  readonly points: Float32Array;
}

export class Session {
  /** The tracked frames of this session, if somebody asked for them: 6 kB each. */
  readonly kept: KeptFrame[] = [];
  private end: (() => void) | null = null;
  private numDropped = 0;
  private numTracked = 0;
  private numSeen = 0;
  private numStarts = 0;
  /** When the session began, and ended. */
  private begun = 0;
  private ended = 0;
  private readonly moments: number[] = [];
  private recognising = Promise.resolve();
  /** Times of the newest frame, and of the newest one that shows somebody, in seconds of the source. */
  private newest = 0;
  private lastSeen = 0;
  private pause: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly tracker: Tracker,
    private readonly recogniser: Recogniser,
    private readonly pauseSeconds: number,
    private readonly listener: Listener,
    private readonly keeps: boolean,
  ) {}

  get isRunning(): boolean {
    return this.end !== null;
  }

  /** Returns the figures of the last seconds; of the whole session when it has ended, or has few frames. */
  figures(): Figures {
    const now = this.isRunning ? performance.now() : this.ended;
    while (this.moments.length && this.moments[0] < now - 1000 * FIGURES_SECONDS) this.moments.shift();
    const seconds = (now - this.begun) / 1000;
    const hasMany = this.isRunning && this.moments.length >= FIGURES_SECONDS;
    const rate = hasMany ? this.moments.length / FIGURES_SECONDS : this.numTracked / Math.max(seconds, 1e-3);
    return {
      rate,
      dropped: this.numDropped,
      seenShare: this.numTracked ? this.numSeen / this.numTracked : 1,
      isEmpty: this.newest - this.lastSeen > NOBODY_SECONDS,
      isSlow: seconds > FIGURES_SECONDS && rate < FEW_FRAMES_PER_SECOND,
    };
  }

  /** Recognises what a camera gives. Frames that come while the tracker works are dropped. Throws SourceError. */
  async startCamera(): Promise<void> {
    const start = await this.nextStart();
    const stream = await openCamera(this.video);
    await this.begin();
    if (start !== this.numStarts) return stream.getTracks().forEach((track) => track.stop());
    const unwatch = eachFrame(this.video, async (seconds, numDropped) => {
      this.numDropped += numDropped;
      // A slow tracker is no pause of the camera.
      clearTimeout(this.pause);
      try {
        await this.one(seconds);
        this.awaitNext();
      } catch (error) {
        this.fail(error);
      }
    });
    const gone = () => this.fail(new DOMException("", "CameraGone"));
    stream.getVideoTracks().forEach((track) => track.addEventListener("ended", gone));
    const hidden = () => document.hidden && this.listener.paused();
    document.addEventListener("visibilitychange", hidden);
    this.end = () => {
      unwatch();
      document.removeEventListener("visibilitychange", hidden);
      stream.getTracks().forEach((track) => track.stop());
      this.video.srcObject = null;
    };
  }

  /** Recognises every frame of a video file, as fast as it goes. Throws SourceError if it is none. */
  async startVideo(file: Blob): Promise<void> {
    const start = await this.nextStart();
    await openVideo(this.video, file);
    await this.begin();
    if (start !== this.numStarts) return;
    let isStopped = false;
    this.end = () => {
      isStopped = true;
      URL.revokeObjectURL(this.video.src);
    };
    for await (const seconds of frameTimes(this.video)) {
      if (isStopped) return;
      await this.one(seconds);
      if (isStopped) return;
      this.listener.progress(seconds, this.video.duration);
    }
    await this.stop();
    this.listener.ended(null);
  }

  /** Ends the session, if one runs; its last glosses become final. */
  async stop(): Promise<void> {
    if (!this.end) return;
    this.end();
    this.end = null;
    this.ended = performance.now();
    await this.finish();
  }

  /** Ends what runs. Returns the number of this start: a later one takes the place of one that is not ready yet. */
  private async nextStart(): Promise<number> {
    const start = ++this.numStarts;
    await this.stop();
    return start;
  }

  private async begin(): Promise<void> {
    await this.tracker.restart();
    this.recogniser.restart();
    this.kept.length = this.moments.length = this.numDropped = this.numTracked = this.numSeen = 0;
    this.newest = this.lastSeen = 0;
    this.begun = performance.now();
  }

  /** Tracks what the video shows now, and has it recognised while the next one is tracked; no third one waits. */
  private async one(seconds: number): Promise<void> {
    const { end } = this;
    const picture = await pictureOf(this.video);
    const { width, height } = picture;
    const aspect = this.video.videoWidth / this.video.videoHeight;
    const found = await this.tracker.track(picture);
    // Another session may have begun meanwhile, or none.
    if (this.end !== end || end === null) return;
    this.moments.push(performance.now());
    const isSeen = found.points.subarray(0, 3 * NUM_POSE).some(Number.isFinite);
    if (isSeen) this.numSeen++;
    if (isSeen || !this.numTracked) this.lastSeen = seconds;
    this.numTracked++;
    collectGarbage(this.numTracked);
    this.newest = seconds;
    this.listener.tracked(found, width, height);
    const { points } = found;
    scale(points, aspect);
    if (this.keeps) this.kept.push({ seconds, points: points.slice() });
    await this.recognising;
    if (this.end !== end) return;
    this.recognising = this.recognise(points, seconds);
  }

  private async recognise(points: Float32Array, seconds: number): Promise<void> {
    try {
      this.listener.recognised(await this.recogniser.push(points, seconds));
    } catch (error) {
      this.fail(error);
    }
  }

  /** Lets captions become final also when a camera gives no more frames. */
  private awaitNext(): void {
    clearTimeout(this.pause);
    if (this.isRunning) this.pause = setTimeout(() => void this.finish(), 1000 * this.pauseSeconds);
  }

  private async finish(): Promise<void> {
    clearTimeout(this.pause);
    try {
      this.listener.recognised(await this.recogniser.finish());
    } catch (error) {
      if (this.isRunning) this.fail(error);
      else this.listener.ended(error);
    }
  }

  private fail(error: unknown): void {
    if (!this.isRunning) return;
    this.end?.();
    this.end = null;
    this.ended = performance.now();
    clearTimeout(this.pause);
    this.listener.ended(error);
  }
}

/** Puts points into units of the picture's height: x is a fraction of its width, and z is in units of it. */
function scale(points: Float32Array, aspect: number): void {
  const factor = Math.fround(aspect);
  points.forEach((value, at) => {
    if (at % 3 !== 1) points[at] = value * factor;
  });
}
