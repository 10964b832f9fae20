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

  const first = networks[0];
  const load = ({ graph }: Network, record: ModelRecord) => OrtEngine.load(new Uint8Array(Buffer.from(graph, "base64")), record);

  it("refuses a graph of another vocabulary", async () => {
    const record = { ...first.record, words: [...first.record.words, "MORE"] };
    await expect(load(first, record)).rejects.toThrow(/words, this page is of a model with \d+: it has another vocabulary/);
  });

  it("refuses a graph of another view", async () => {
    const record = { ...first.record, points: first.record.points.slice(1) };
    await expect(load(first, record)).rejects.toThrow(/points per frame, this page is of a model with \d+: it has another view/);
  });

  it("refuses what is no graph, or one of another program", async () => {
    await expect(load({ ...first, graph: btoa("no model") }, first.record)).rejects.toThrow("it is damaged, no ONNX model");
    // A graph of one node, y = Identity(x).
    const foreign = "CAhCAhANOjcKEAoBeBIBeSIISWRlbnRpdHkSAWdaDwoBeBIKCggIARIECgIIAmIPCgF5EgoKCAgBEgQKAggC";
    await expect(load({ ...first, graph: foreign }, first.record)).rejects.toThrow("signloom export did not make it");
  });
});
