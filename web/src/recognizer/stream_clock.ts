/** Frames at any times to frames at a model's rate, one by one. A frame is the coordinates of P points, (3 P). */

import { round } from "./numbers";

/** A picture that stays longer is a pause of a recording: the pose is held, not moved slowly towards the next one. */
const LONGEST_MOVE_SECONDS = 0.5;
/** Times are rounded; a frame that is off by less is taken as it is. */
const ROUNDING_SECONDS = 1e-4;

/** A frame and its time in the stream's seconds. */
export type TimedFrame = readonly [points: Float32Array, seconds: number];

/** Resamples a stream to evenly spaced frames, whose first is the first one given. */
export class StreamClock {
  private origin = 0;
  private count = 0;
  private points: Float32Array | null = null;
  private seconds = 0;
  private step: number;

  constructor(private readonly fps: number) {
    this.step = 1 / fps;
  }

  /** Returns the frames up to the time of a new one, which is later than the frame before. */
  push(points: Float32Array, seconds: number): TimedFrame[] {
    let before = this.points;
    let earlier = this.seconds;
    if (before === null) {
      [before, earlier, this.origin] = [points, seconds, seconds];
    } else {
      this.step = seconds - earlier;
    }
    [this.points, this.seconds] = [points, seconds];
    // A longer gap is a pause: the pose is held until just before the next frame.
    const moving = this.step > LONGEST_MOVE_SECONDS ? seconds - 1 / this.fps : earlier;
    const frames: TimedFrame[] = [];
    for (;;) {
      const moment = this.origin + this.count / this.fps;
      if (!(moment <= seconds + ROUNDING_SECONDS)) return frames;
      this.count++;
      if (moment >= seconds - ROUNDING_SECONDS) frames.push([points, moment]);
      else if (moment <= moving) frames.push([before, moment]);
      else frames.push([between(before, points, (moment - moving) / (seconds - moving)), moment]);
    }
  }

  /** Returns the frames for which the last one stays on the screen: as long as the one before. */
  finish(): TimedFrame[] {
    const frames: TimedFrame[] = [];
    if (this.points === null) return frames;
    const end = round((this.seconds + this.step - this.origin) * this.fps);
    for (let number = this.count; number < end; number++) {
      frames.push([this.points, this.origin + number / this.fps]);
    }
    return frames;
  }
}

/** Returns the coordinates at a share of the way from one frame to the next, in single precision. */
function between(before: Float32Array, points: Float32Array, share: number): Float32Array {
  const weight = Math.fround(share);
  const result = new Float32Array(points.length);
  for (let at = 0; at < points.length; at++) {
    result[at] = before[at] + Math.fround(Math.fround(points[at] - before[at]) * weight);
  }
  return result;
}
