/** Recognises a stream of landmarks in a worker: one after another, in the order of the messages. */

import { Model, type ModelRecord } from "../recognizer/model";
import { StreamingRecognizer } from "../recognizer/streaming";
import type { FromRecogniser, ToRecogniser } from "./messages";
import { OrtEngine } from "./ort_engine";

let model: Model;
let recognizer: StreamingRecognizer;

async function start(record: ModelRecord, graph: ArrayBuffer): Promise<void> {
  model = new Model(record, await OrtEngine.load(new Uint8Array(graph), record));
  // The first run makes what later ones use.
  await model.engine.logProbs([new Float32Array(3 * record.points.length).fill(NaN)]);
  recognizer = new StreamingRecognizer(model);
}

async function answer(message: ToRecogniser): Promise<FromRecogniser | null> {
  if (message.kind === "start") {
    await start(message.record, message.graph);
    return { kind: "ready" };
  }
  if (message.kind === "restart") {
    recognizer = new StreamingRecognizer(model);
    return null;
  }
  const begin = performance.now();
  const events =
    message.kind === "push" ? await recognizer.push(message.points, message.seconds) : await recognizer.finish();
  return { kind: "recognised", events, milliseconds: performance.now() - begin, of: message.kind };
}

let turn = Promise.resolve();
self.onmessage = ({ data }: MessageEvent<ToRecogniser>) => {
  turn = turn
    .then(() => answer(data))
    .catch((error: unknown): FromRecogniser => ({
      kind: "failed",
      reason: error instanceof Error ? error.message : String(error),
    }))
    .then((reply) => {
      if (reply) self.postMessage(reply);
    });
};
