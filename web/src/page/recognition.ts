/** The recogniser in its worker: it answers in the order of the questions. */

import type { ModelRecord } from "../recognizer/model";
import type { StreamEvent } from "../recognizer/stream_events";
import type { FromRecogniser, ToRecogniser } from "../workers/messages";

export class Recogniser {
  /** Milliseconds that it computed so far. */
  milliseconds = 0;
  private readonly worker = new Worker(new URL("../workers/recogniser.ts", import.meta.url), { type: "module" });
  private readonly waiting: { resolve(message: FromRecogniser): void; reject(error: Error): void }[] = [];

  constructor(private readonly record: ModelRecord) {
    this.worker.onmessage = ({ data }: MessageEvent<FromRecogniser>) => {
      const next = this.waiting.shift();
      if (data.kind === "failed") next?.reject(new Error(data.reason));
      else next?.resolve(data);
    };
    this.worker.onerror = (event) => {
      event.preventDefault();
      for (const each of this.waiting.splice(0)) each.reject(new Error(event.message));
    };
  }

  async start(graph: ArrayBuffer): Promise<void> {
    await this.ask({ kind: "start", record: this.record, graph }, [graph]);
  }

  /** What comes next does not continue the frames so far. */
  restart(): void {
    this.worker.postMessage({ kind: "restart" } satisfies ToRecogniser);
  }

  /** Returns what a frame changes. points: of all 543 points, x and z in units of the picture's height. */
  async push(points: Float32Array, seconds: number): Promise<readonly StreamEvent[]> {
    const chosen = new Float32Array(3 * this.record.points.length);
    this.record.points.forEach((point, place) => chosen.set(points.subarray(3 * point, 3 * point + 3), 3 * place));
    return this.events({ kind: "push", points: chosen, seconds }, [chosen.buffer]);
  }

  /** Returns the last glosses when frames stop. */
  async finish(): Promise<readonly StreamEvent[]> {
    return this.events({ kind: "finish" });
  }

  private async events(message: ToRecogniser, transfer: Transferable[] = []): Promise<readonly StreamEvent[]> {
    const answer = await this.ask(message, transfer);
    if (answer.kind !== "recognised") throw new Error(`recogniser: unexpected ${answer.kind}`);
    this.milliseconds += answer.milliseconds;
    return answer.events;
  }

  private ask(message: ToRecogniser, transfer: Transferable[] = []): Promise<FromRecogniser> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.worker.postMessage(message, transfer);
    });
  }
}
