/** For how long a person's hands have rested, frame by frame. Python's `stream_rest` has the reasons for the numbers. */

import { median, round } from "./numbers";

/** Heights are below the shoulders, in shoulder widths. */
const LOW = 0.85;
/** Shoulder widths per second. */
const SLOW = 0.6;
/** An undetected hand that low is out of view. */
const OUT_OF_VIEW = 1.1;
const STEP_SECONDS = 0.2;
const LEAST_WIDTH = 1e-3;
const BODY_SECONDS = 1;

/** Where the points that tell of rest are in a frame: places among the P points of the model's view, left before right. */
export interface RestPoints {
  readonly shoulders: readonly [number, number];
  readonly wrists: readonly [number, number];
  /** First point of each hand, its wrist, and the point after its last. */
  readonly hands: readonly [readonly [number, number], readonly [number, number]];
  /** Places of the finger tips within a hand. */
  readonly tips: readonly number[];
}

type Place = readonly [x: number, y: number];

/** Counts the frames for which both hands have rested: they are not there, out of view, or low and slow. */
export class RestDetector {
  private readonly share: number;
  private readonly lag: number;
  private readonly lagSeconds: number;
  /** Centre (x, y) and width of the shoulders; unknown until both were seen. */
  private body: [number, number, number] | null = null;
  private readonly earlier: Place[][][] = [];
  private readonly counts: [number, number] = [0, 0];
  /** For how many frames up to the last one no hand was detected. */
  numUnseen = 0;

  constructor(private readonly where: RestPoints, fps: number) {
    this.share = Math.min(1, 1 / (BODY_SECONDS * fps));
    this.lag = Math.max(1, round(STEP_SECONDS * fps));
    this.lagSeconds = this.lag / fps;
  }

  /** Returns for how many frames up to the next one both hands have rested; 0: one of them does not. */
  advance(points: Float32Array): number {
    this.follow(points);
    const places = this.where.hands.map((hand, side) => {
      const wrist = this.where.wrists[side];
      // The first point of a hand is its wrist, for frames without the pose's.
      const first = Number.isFinite(points[3 * wrist]) ? wrist : hand[0];
      return [first, ...this.where.tips.map((tip) => hand[0] + tip)].map((point) => place(points, point));
    });
    const seen = this.where.hands.some(([start, stop]) => isDetected(points, start, stop));
    this.numUnseen = seen ? 0 : this.numUnseen + 1;
    const before = this.earlier.length ? this.earlier[0] : places;
    this.earlier.push(places);
    if (this.earlier.length > this.lag) this.earlier.shift();
    // Without shoulders nothing is low.
    const [, top, wide] = this.body ?? [0, Infinity, 1];
    const width = Math.max(wide, LEAST_WIDTH);
    this.where.hands.forEach(([start, stop], side) => {
      const height = (places[side][0][1] - top) / width;
      const ways = places[side].map((now, number) => distance(now, before[side][number]));
      // Tips that were not detected do not count.
      const speed = largestKnown(ways[0], median(ways.slice(1))) / (width * this.lagSeconds);
      if (!isDetected(points, start, stop) && !(height <= OUT_OF_VIEW)) this.counts[side]++;
      else if (!(height > LOW) || speed >= SLOW) this.counts[side] = 0;
      // A hand that was not seen a moment ago has no speed yet: that frame changes nothing.
      else if (speed < SLOW) this.counts[side] = Math.max(this.counts[side] + 1, this.earlier.length);
    });
    return Math.min(...this.counts);
  }

  private follow(points: Float32Array): void {
    const [left, right] = this.where.shoulders.map((point) => place(points, point));
    const now = [(left[0] + right[0]) / 2, (left[1] + right[1]) / 2, distance(left, right)] as const;
    if (!now.every(Number.isFinite)) return;
    const old = this.body ?? now;
    this.body = [0, 1, 2].map((at) => old[at] + this.share * (now[at] - old[at])) as [number, number, number];
  }
}

function place(points: Float32Array, point: number): Place {
  return [points[3 * point], points[3 * point + 1]];
}

function distance(a: Place, b: Place): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

function isDetected(points: Float32Array, start: number, stop: number): boolean {
  for (let point = start; point < stop; point++) if (Number.isFinite(points[3 * point])) return true;
  return false;
}

/** Returns the larger of two numbers, or the one that is not NaN. */
function largestKnown(a: number, b: number): number {
  if (Number.isNaN(a)) return b;
  return Number.isNaN(b) ? a : Math.max(a, b);
}
