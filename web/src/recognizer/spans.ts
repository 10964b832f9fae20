/** The time span of each gloss of a decoded sentence. */

import type { Calibration } from "./confidence";
import type { Emission } from "./hypothesis";
import type { Run } from "./viterbi";

/** The farthest that a sign reaches from its middle, in typical distances from one sign to the next. */
const REACH = 0.75;

/** The position of signs relative to a model's emissions. */
export interface Timing {
  readonly shift_seconds: number;
  readonly gloss_seconds: number;
}

/** How the spans and confidences of one model are made. */
export interface SpanSettings {
  readonly timing: Timing;
  readonly calibration: Calibration;
}

/** Returns the time at which each gloss is emitted, in seconds from the first frame, strictly increasing. */
export function emissionSeconds(emission: Emission, ids: readonly number[], runs: readonly Run[]): number[] {
  const { data, rows, columns } = emission.logProbs;
  const edge = (frame: number) => Math.min(frame * emission.stepSeconds, emission.durationSeconds);
  return runs.map(([start, stop], index) => {
    const first = Math.max(start - 1, index ? runs[index - 1][1] : 0);
    const last = Math.min(stop + 1, index + 1 < runs.length ? runs[index + 1][0] : rows);
    const halves: number[] = [];
    for (let row = first; row < last; row++) halves.push(data[row * columns + ids[index]] / 2);
    const most = Math.max(...halves);
    let sum = 0;
    let total = 0;
    halves.forEach((half, number) => {
      const weight = Math.exp(half - most);
      sum += ((edge(first + number + 1) + edge(first + number)) / 2) * weight;
      total += weight;
    });
    return sum / total;
  });
}

/** Returns start and end of each gloss emitted at some seconds, ordered without overlap. */
export function spans(emitted: readonly number[], durationSeconds: number, timing: Timing): [number, number][] {
  // Signs at the edges are shifted less, so that all of them stay inside and in order.
  const middles = emitted.map((seconds) =>
    Math.min(Math.max(seconds + timing.shift_seconds, seconds / 2), (seconds + durationSeconds) / 2),
  );
  const outer = timing.gloss_seconds / 2;
  const reach = REACH * timing.gloss_seconds;
  const clip = (seconds: number) => Math.min(Math.max(seconds, 0), durationSeconds);
  return middles.map((middle, index) => {
    const start = index ? (middle + middles[index - 1]) / 2 : middle - outer;
    const end = index + 1 < middles.length ? (middles[index + 1] + middle) / 2 : middle + outer;
    return [clip(Math.max(start, middle - reach)), clip(Math.min(end, middle + reach))];
  });
}
