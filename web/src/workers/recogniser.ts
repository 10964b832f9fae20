/** Recognises a stream of landmarks in a worker: one after another, in the order of the messages. */

import wasmAddress from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import { collectGarbage } from "../garbage";
import { likeliest, nearest, type Entry, type Match } from "../recognizer/lookup";
import { Model, type ModelRecord } from "../recognizer/model";
import { StreamClock } from "../recognizer/stream_clock";
import { StreamingRecognizer } from "../recognizer/streaming";
import type { FromRecogniser, ToRecogniser } from "./messages";
import { OrtEngine } from "./ort_engine";
import { unpacked } from "./packed";

/** A longer utterance is no sign that somebody looks up. */
const LONGEST_SIGN_SECONDS = 10;

let engine: OrtEngine;
let model: Model;
let recognizer: StreamingRecognizer;
let lexicon: readonly Entry[];
let numFrames = 0;
/** The newest frames, of which an utterance is looked up when it ends. */
let recent: { readonly points: Float32Array; readonly seconds: number }[] = [];
let ended: readonly [start: number, end: number] | null = null;

async function start(record: ModelRecord, graph: ArrayBuffer, entries: readonly Entry[]): Promise<void> {
  const wasm = await (await unpacked(new URL(wasmAddress, import.meta.url).href)).arrayBuffer();
  engine = await OrtEngine.load(new Uint8Array(graph), record, wasm);
  model = new Model(record, engine);
  lexicon = entries;
  // The first run makes what later ones use.
  await engine.logProbs([new Float32Array(3 * record.points.length).fill(NaN)]);
  restart();
}

function restart(): void {
  recent = [];
  ended = null;
  recognizer = new StreamingRecognizer(model, undefined, (from, to) => {
    ended = [from, to];
  });
}

/** Returns the signs that are nearest to the utterance that ended, if one did. */
async function lookedUp(): Promise<Match[]> {
  if (!ended) return [];
  const [from, to] = ended;
  ended = null;
  const clock = new StreamClock(model.record.fps);
  const frames = recent
    .filter(({ seconds }) => seconds >= from && seconds <= to)
    .flatMap(({ points, seconds }) => clock.push(points, seconds).map(([each]) => each));
  if (!frames.length || to - from > LONGEST_SIGN_SECONDS) return [];
  const { logProbs, features } = await engine.both(frames);
  return lexicon.length ? nearest(features, lexicon) : likeliest(logProbs, model.record.words);
}

async function answer(message: ToRecogniser): Promise<FromRecogniser | null> {
  if (message.kind === "start") {
    await start(message.record, message.graph, message.lexicon);
    return { kind: "ready" };
  }
  if (message.kind === "restart") {
    restart();
    return null;
  }
  const begin = performance.now();
  if (message.kind === "push") {
    collectGarbage(++numFrames);
    recent.push({ points: message.points, seconds: message.seconds });
    const oldest = message.seconds - LONGEST_SIGN_SECONDS - model.record.stream.rest_seconds;
    while (recent[0].seconds < oldest) recent.shift();
  }
  const events =
    message.kind === "push" ? await recognizer.push(message.points, message.seconds) : await recognizer.finish();
  const isEnd = ended !== null;
  return { kind: "recognised", events, isEnd, nearest: await lookedUp(), milliseconds: performance.now() - begin };
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
