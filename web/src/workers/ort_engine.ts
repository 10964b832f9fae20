/** The engine that runs an exported model in ONNX Runtime Web, on one thread: a window takes milliseconds. */

import * as ort from "onnxruntime-web/wasm";
import { InputError } from "../recognizer/errors";
import type { Engine, ModelRecord } from "../recognizer/model";
import type { Rows } from "../recognizer/numbers";

export class OrtEngine implements Engine {
  private constructor(private readonly session: ort.InferenceSession, private readonly record: ModelRecord) {}

  /** Returns the engine of a graph. Throws InputError for one that is not of this model. */
  static async load(graph: Uint8Array, record: ModelRecord): Promise<OrtEngine> {
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = "error";
    const session = await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] });
    for (const name of ["points", "lengths"]) {
      if (!session.inputNames.includes(name)) throw new InputError(`its graph has no input ${name}`);
    }
    if (!session.outputNames.includes("log_probs")) throw new InputError("its graph has no output log_probs");
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
    const numWords = results.log_probs.dims[2];
    if (numWords !== this.record.words.length) {
      throw new InputError(`its graph has ${numWords} words, its vocabulary ${this.record.words.length}`);
    }
    return Object.fromEntries(
      outputs.map((name) => {
        const { data, dims } = results[name];
        return [name, { data: data as Float32Array, rows: dims[1], columns: dims[2] }];
      }),
    );
  }
}
