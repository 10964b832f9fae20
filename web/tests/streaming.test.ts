/** The recogniser of the page makes the events that Python's makes: `tests/page_vectors.py` records both. */

import { describe, expect, it } from "vitest";
import { Model, type Engine, type ModelRecord } from "../src/recognizer/model";
import type { Rows } from "../src/recognizer/numbers";
import type { StreamEvent } from "../src/recognizer/stream_events";
import { StreamingRecognizer } from "../src/recognizer/streaming";
import { floats, path, read } from "./vectors";

interface Vector {
  readonly model: ModelRecord;
  readonly frames: string;
  readonly seconds: readonly number[];
  readonly windows: readonly { frames: number; rows: number; log_probs: string }[];
  readonly events: readonly Record<string, string | number>[];
  readonly num_late: number;
}

/** Both compute in double precision, from the same numbers in single precision. */
const SECONDS = 6;
/** NumPy's and JavaScript's exponentials differ in the last digits of single precision. */
const CONFIDENCE = 4;

const vectors = read<Vector>("streams");

/** Gives what the network gave in Python, window by window. */
class ReplayedEngine implements Engine {
  calls = 0;

  constructor(private readonly vector: Vector) {}

  async logProbs(frames: readonly Float32Array[]): Promise<Rows> {
    const window = this.vector.windows[this.calls++];
    expect(frames.length).toBe(window.frames);
    return { data: floats(window.log_probs), rows: window.rows, columns: this.vector.model.words.length };
  }
}

async function events(vector: Vector): Promise<{ events: StreamEvent[]; calls: number; numLate: number }> {
  const engine = new ReplayedEngine(vector);
  const recognizer = new StreamingRecognizer(new Model(vector.model, engine));
  const frames = floats(vector.frames);
  const size = 3 * vector.model.points.length;
  const made: StreamEvent[] = [];
  for (const [number, seconds] of vector.seconds.entries()) {
    made.push(...(await recognizer.push(frames.subarray(number * size, (number + 1) * size), seconds)));
  }
  made.push(...(await recognizer.finish()));
  return { events: made, calls: engine.calls, numLate: recognizer.numLate };
}

describe.skipIf(!path || !vectors.length)("streams of Python's recogniser (SIGNLOOM_VECTORS; `pytest tests/test_page_web.py` makes them)", () => {
  it("are at least 200", () => expect(vectors.length).toBeGreaterThanOrEqual(200));

  it.each(vectors.map((vector, number) => [number, vector] as const))("stream %i", async (_, vector) => {
    const made = await events(vector);
    expect(made.calls).toBe(vector.windows.length);
    expect(made.numLate).toBe(vector.num_late);
    expect(made.events.map((event) => event.kind)).toEqual(vector.events.map((event) => event.kind));
    made.events.forEach((event, number) => {
      const wanted = vector.events[number];
      expect(event.utterance).toBe(wanted.utterance);
      if (event.kind === "end") {
        expect(event.numGlosses).toBe(wanted.num_glosses);
        expect(event.seconds).toBeCloseTo(wanted.seconds as number, SECONDS);
        return;
      }
      expect(event.index).toBe(wanted.index);
      expect(event.span.gloss).toBe(wanted.gloss);
      expect(event.span.startSeconds).toBeCloseTo(wanted.start_seconds as number, SECONDS);
      expect(event.span.endSeconds).toBeCloseTo(wanted.end_seconds as number, SECONDS);
      expect(event.span.confidence).toBeCloseTo(wanted.confidence as number, CONFIDENCE);
    });
  });
});
