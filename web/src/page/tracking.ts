/** The tracker in its worker: one picture at a time, and no queue. */

import type { FromTracker, ToTracker, Tracked } from "../workers/messages";

export class Tracker {
  /** The processor computes the networks, for want of a graphics card. */
  onCpu = false;
  private readonly worker = new Worker(new URL("../workers/tracker.ts", import.meta.url));
  private waiting: { resolve(message: FromTracker): void; reject(error: Error): void } | null = null;

  constructor() {
    this.worker.onmessage = ({ data }: MessageEvent<FromTracker>) => {
      const { waiting } = this;
      this.waiting = null;
      if (data.kind === "failed") waiting?.reject(new Error(data.reason));
      else waiting?.resolve(data);
    };
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.waiting?.reject(new Error(event.message));
    };
  }

  /** Whether a picture is being worked on; another one would have to wait. */
  get isBusy(): boolean {
    return this.waiting !== null;
  }

  async start(): Promise<void> {
    const message = await this.ask({ kind: "start", folder: new URL("holistic/", document.baseURI).href });
    if (message.kind === "ready") this.onCpu = message.onCpu;
  }

  /** What comes next does not continue the pictures so far. */
  restart(): void {
    this.worker.postMessage({ kind: "restart" } satisfies ToTracker);
  }

  async track(image: ImageBitmap): Promise<Tracked> {
    const message = await this.ask({ kind: "frame", image }, [image]);
    if (message.kind !== "tracked") throw new Error(`tracker: unexpected ${message.kind}`);
    return message;
  }

  private ask(message: ToTracker, transfer: Transferable[] = []): Promise<FromTracker> {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.worker.postMessage(message, transfer);
    });
  }
}
