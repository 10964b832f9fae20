/** ONNX Runtime Web computes what Python's computes, in all views and precisions that are exported. */

import { describe, expect, it } from "vitest";
import type { ModelRecord } from "../src/recognizer/model";
import { OrtEngine } from "../src/workers/ort_engine";
import { floats, path, read } from "./vectors";

interface Network {
  readonly name: string;
  readonly record: ModelRecord;
  readonly graph: string;
  readonly clips: readonly { frames: string; num_frames: number; log_probs: string; features: string }[];
}

/** Two builds of one library round differently. */
const DIGITS = 3;

const networks = read<Network>("networks");

function expectNear(found: Float32Array, wanted: Float32Array): void {
  expect(found.length).toBe(wanted.length);
  found.forEach((value, at) => expect(value).toBeCloseTo(wanted[at], DIGITS));
}

describe.skipIf(!path || !networks.length)("networks (SIGNLOOM_VECTORS)", () => {
  it.each(networks.map((network) => [network.name, network] as const))("%s", async (_, { record, graph, clips }) => {
    const engine = await OrtEngine.load(new Uint8Array(Buffer.from(graph, "base64")), record);
    for (const clip of clips) {
      const all = floats(clip.frames);
      const size = 3 * record.points.length;
      const frames = Array.from({ length: clip.num_frames }, (_, at) => all.subarray(at * size, (at + 1) * size));
      const { logProbs, features } = await engine.both(frames);
      expectNear(logProbs.data, floats(clip.log_probs));
      expectNear(features.data, floats(clip.features));
    }
  });

  it("refuses a graph of another vocabulary", async () => {
    const { record, graph } = networks[0];
    const other = { ...record, words: [...record.words, "MORE"] };
    const engine = await OrtEngine.load(new Uint8Array(Buffer.from(graph, "base64")), other);
    await expect(engine.logProbs([new Float32Array(3 * record.points.length)])).rejects.toThrow("words, its vocabulary");
  });
});
