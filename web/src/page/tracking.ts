/** The tracker in its worker: it answers in the order of the questions. */

import type { FromTracker, ToTracker, Tracked } from "../workers/messages";
import { Answers } from "./answers";
import type { Picture } from "./sources";

export class Tracker {
  /** The processor computes the networks, for want of a graphics card. */
  onCpu = false;
  private reused: Tracked | null = null;
  private readonly worker = new Answers<ToTracker, FromTracker>(
    new Worker(new URL("../workers/tracker.ts", import.meta.url)),
  );

  async start(): Promise<void> {
    const message = await this.worker.ask({ kind: "start", folder: new URL("holistic/", document.baseURI).href });
    if (message.kind === "ready") this.onCpu = message.onCpu;
  }

  /** What comes next does not continue the pictures so far. */
  async restart(): Promise<void> {
    await this.worker.ask({ kind: "restart" });
  }

  /**
   * Returns what a picture shows, until the next one is tracked: its memory goes back to the worker then. What workers
   * send, browsers keep until they collect all garbage, which they do rarely.
   */
  async track(picture: Picture): Promise<Tracked> {
    const { reused } = this;
    this.reused = null;
    const memory = reused ? [reused.points.buffer, reused.visibility.buffer] : [];
    const message = await this.worker.ask({ kind: "frame", reused, ...picture }, [picture.image, ...memory]);
    if (message.kind !== "tracked") throw new Error(`tracker: unexpected ${message.kind}`);
    const { points, visibility } = message;
    this.reused = { points, visibility };
    return message;
  }
}
