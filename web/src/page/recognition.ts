/** The recogniser in its worker: it answers in the order of the questions. */

import type { Entry, Match } from "../recognizer/lookup";
import type { ModelRecord } from "../recognizer/model";
import type { StreamEvent } from "../recognizer/stream_events";
import type { FromRecogniser, ToRecogniser } from "../workers/messages";
import { Answers } from "./answers";

/** What a frame changes; whether an utterance ended, with or without a gloss, and what is nearest to it. */
export interface Recognised {
  readonly events: readonly StreamEvent[];
  readonly isEnd: boolean;
  readonly nearest: readonly Match[];
}

export class Recogniser {
  private readonly worker = new Answers<ToRecogniser, FromRecogniser>(
    new Worker(new URL("../workers/recogniser.ts", import.meta.url), { type: "module" }),
  );

  constructor(private readonly record: ModelRecord) {}

  async start(graph: ArrayBuffer, lexicon: readonly Entry[]): Promise<void> {
    await this.worker.ask({ kind: "start", record: this.record, graph, lexicon }, [graph]);
  }

  /** What comes next does not continue the frames so far. */
  restart(): void {
    this.worker.tell({ kind: "restart" });
  }

  /** Returns what a frame changes. points: of all 543 points, x and z in units of the picture's height. */
  async push(points: Float32Array, seconds: number): Promise<Recognised> {
    const chosen = new Float32Array(3 * this.record.points.length);
    this.record.points.forEach((point, place) => chosen.set(points.subarray(3 * point, 3 * point + 3), 3 * place));
    return this.recognised({ kind: "push", points: chosen, seconds }, [chosen.buffer]);
  }

  /** Returns the last glosses when frames stop. */
  async finish(): Promise<Recognised> {
    return this.recognised({ kind: "finish" });
  }

  private async recognised(message: ToRecogniser, transfer: Transferable[] = []): Promise<Recognised> {
    const answer = await this.worker.ask(message, transfer);
    if (answer.kind !== "recognised") throw new Error(`recogniser: unexpected ${answer.kind}`);
    return answer;
  }
}
