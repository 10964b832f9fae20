/** The tracker in its worker: it answers in the order of the questions. */

import type { FromTracker, ToTracker, Tracked } from "../workers/messages";
import type { Picture } from "./sources";

export class Tracker {
  /** The processor computes the networks, for want of a graphics card. */
  onCpu = false;
  private readonly worker = new Worker(new URL("../workers/tracker.ts", import.meta.url));
  private readonly waiting: { resolve(message: FromTracker): void; reject(error: Error): void }[] = [];

  constructor() {
    this.worker.onmessage = ({ data }: MessageEvent<FromTracker>) => {
      const next = this.waiting.shift();
      if (data.kind === "failed") next?.reject(new Error(data.reason));
      else next?.resolve(data);
    };
    this.worker.onerror = (event) => {
      event.preventDefault();
      for (const each of this.waiting.splice(0)) each.reject(new Error(event.message));
    };
  }

  /** Whether a picture is being worked on; another one would have to wait. */
  get isBusy(): boolean {
    return this.waiting.length > 0;
  }

  async start(): Promise<void> {
    const message = await this.ask({ kind: "start", folder: new URL("holistic/", document.baseURI).href });
    if (message.kind === "ready") this.onCpu = message.onCpu;
  }

  /** What comes next does not continue the pictures so far. */
  async restart(): Promise<void> {
    await this.ask({ kind: "restart" });
  }

  async track(picture: Picture): Promise<Tracked> {
    const message = await this.ask({ kind: "frame", ...picture }, [picture.image]);
    if (message.kind !== "tracked") throw new Error(`tracker: unexpected ${message.kind}`);
    return message;
  }

  private ask(message: ToTracker, transfer: Transferable[] = []): Promise<FromTracker> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.worker.postMessage(message, transfer);
    });
  }
}
