/** The engine that runs an exported model in ONNX Runtime Web, on one thread: a window takes milliseconds. */

import * as ort from "onnxruntime-web/wasm";
import { InputError } from "../recognizer/errors";
import type { Engine, ModelRecord } from "../recognizer/model";
import type { Rows } from "../recognizer/numbers";

export class OrtEngine implements Engine {
  private constructor(private readonly session: ort.InferenceSession, private readonly record: ModelRecord) {}

  /**
   * Returns the engine of a graph. Throws InputError for one that is not of this model.
   * wasm: the WebAssembly of the runtime, where the runtime cannot load it by itself.
   */
  static async load(graph: Uint8Array, record: ModelRecord, wasm?: ArrayBuffer): Promise<OrtEngine> {
    ort.env.wasm.wasmBinary = wasm;
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = "error";
    const session = await opened(graph);
    check(session, record);
    return new OrtEngine(session, record);
  }

  async logProbs(frames: readonly Float32Array[]): Promise<Rows> {
    const { log_probs: found } = await this.run(frames, ["log_probs"]);
    return found;
  }

  /** Returns the log-probabilities of one clip, and the classifier's input. */
  async both(frames: readonly Float32Array[]): Promise<{ logProbs: Rows; features: Rows }> {
    const { log_probs: logProbs, features } = await this.run(frames, ["log_probs", "features"]);
    return { logProbs, features };
  }

  private async run(frames: readonly Float32Array[], outputs: readonly string[]): Promise<Record<string, Rows>> {
    const numPoints = this.record.points.length;
    const points = new Float32Array(frames.length * numPoints * 3);
    frames.forEach((frame, number) => points.set(frame, number * numPoints * 3));
    const results = await this.session.run(
      {
        points: new ort.Tensor("float32", points, [1, frames.length, numPoints, 3]),
        lengths: new ort.Tensor("int64", BigInt64Array.of(BigInt(frames.length)), [1]),
      },
      outputs,
    );
    return Object.fromEntries(
      outputs.map((name) => {
        const { data, dims } = results[name];
        return [name, { data: data as Float32Array, rows: dims[1], columns: dims[2] }];
      }),
    );
  }
}

async function opened(graph: Uint8Array): Promise<ort.InferenceSession> {
  try {
    return await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] });
  } catch (error) {
    // The runtime names its place in its own source first, which helps nobody.
    const reason = String(error instanceof Error ? error.message : error).replace(/^.*ERROR_MESSAGE: /s, "");
    const runtime = `ONNX Runtime ${ort.env.versions.web}`;
    throw new InputError(`it is damaged, no ONNX model, or of a newer kind than ${runtime} knows (${reason})`);
  }
}

/** Throws InputError if a graph is not one that `signloom export` made of the model of a record. */
function check({ inputMetadata, outputMetadata }: ort.InferenceSession, { points, words }: ModelRecord): void {
  const needed = [
    { parts: inputMetadata, name: "points", shape: [null, null, points.length, 3], what: "points per frame", other: "view" },
    { parts: inputMetadata, name: "lengths", shape: [null] },
    { parts: outputMetadata, name: "log_probs", shape: [null, null, words.length], what: "words", other: "vocabulary" },
    { parts: outputMetadata, name: "features", shape: [null, null, null] },
  ];
  for (const { parts, name, shape, what, other } of needed) {
    const part = parts.find((each) => each.name === name);
    if (!part?.isTensor || part.shape.length !== shape.length) {
      throw new InputError(`signloom export did not make it (its graph has no ${name} of ${shape.length} axes)`);
    }
    const got = part.shape[2];
    if (what && typeof got === "number" && got !== shape[2]) {
      throw new InputError(`it has ${got} ${what}, this page is of a model with ${shape[2]}: it has another ${other}`);
    }
  }
}
