/** Parts of the page that need no browser. */

import { describe, expect, it, vi } from "vitest";
import { Captions } from "../src/page/captions";
import { Tracker } from "../src/page/tracking";
import { written } from "../src/page/transcript";
import { freeing, trimmed } from "../scripts/holistic";
import type { GlossEvent } from "../src/recognizer/stream_events";
import type { FromTracker, ToTracker } from "../src/workers/messages";

const span = (gloss: string, startSeconds = 0) => ({ gloss, startSeconds, endSeconds: startSeconds + 0.5, confidence: 0.9 });
const event = (kind: GlossEvent["kind"], index: number, gloss: string): GlossEvent => ({
  kind,
  utterance: 0,
  index,
  span: span(gloss, index),
});

describe("captions", () => {
  it("replace, withdraw and keep glosses as events say", () => {
    const captions = new Captions();
    captions.update([event("provisional", 0, "A"), event("provisional", 1, "B"), event("provisional", 0, "C")]);
    expect(captions.shown.map(({ span: { gloss } }) => gloss)).toEqual(["C", "B"]);
    captions.update([event("final", 0, "C"), event("withdrawn", 1, "B")]);
    expect(captions.shown).toEqual([{ span: span("C"), isFinal: true }]);
    const ended = captions.update([{ kind: "end", utterance: 0, numGlosses: 1, seconds: 2 }]);
    expect(ended).toEqual([[span("C")]]);
    expect(captions.finals).toEqual([span("C")]);
  });
});

describe("the tracker", () => {
  it("takes the memory of the last frame for the next one", async () => {
    const transfers: Transferable[][] = [];
    class Stub {
      onmessage: ((event: { data: FromTracker }) => void) | null = null;
      postMessage(message: ToTracker, transfer: Transferable[]): void {
        if (message.kind !== "frame") throw new Error(message.kind);
        transfers.push(transfer);
        const { points, visibility } = structuredClone(message.reused, { transfer: transfer.slice(1) }) ?? {
          points: new Float32Array(3),
          visibility: new Float32Array(1),
        };
        points.fill(transfers.length);
        queueMicrotask(() => this.onmessage?.({ data: { kind: "tracked", points, visibility, milliseconds: 1 } }));
      }
    }
    vi.stubGlobal("Worker", Stub);
    const tracker = new Tracker();
    const picture = { image: {} as ImageBitmap, width: 1, height: 1 };
    const first = await tracker.track(picture);
    expect([...first.points]).toEqual([1, 1, 1]);
    const second = await tracker.track(picture);
    expect(transfers[0]).toEqual([picture.image]);
    expect(transfers[1]).toHaveLength(3);
    // The first frame's memory is gone from the page.
    expect([first.points.length, first.visibility.length]).toEqual([0, 0]);
    expect([...second.points]).toEqual([2, 2, 2]);
    vi.unstubAllGlobals();
  });
});

describe("transcripts", () => {
  it("are subtitles with whole milliseconds", () => {
    expect(written([span("A", 3599.9996)], "srt", null)).toBe("1\n01:00:00,000 --> 01:00:00,500\nA\n");
  });

  it("escape what XML would take for markup", () => {
    const text = written([span('<b>&"\u0001')], "eaf", 'a"b<.mp4');
    expect(text).toContain("&lt;b&gt;&amp;&quot;</ANNOTATION_VALUE>");
    expect(text).toContain("./a&quot;b&lt;.mp4");
  });

  it("say that nothing was recognised", () => {
    expect(written([], "text", null)).toBe("(no gloss recognised)\n");
  });
});

describe("the package of MediaPipe's models", () => {
  it("loses unused models, and its list follows", () => {
    const files = [
      { filename: "/a/palm_detection_full.tflite", start: 0, end: 2 },
      { filename: "/a/hand_landmark_full.tflite", start: 2, end: 5 },
    ];
    const asks = "function fetchRemotePackage(name) { new XMLHttpRequest(); } function handleError(error) {}";
    const loader = `load({"files": ${JSON.stringify(files)}, "remote_package_size": 5}); ${asks}`;
    const { loader: script, data } = trimmed(loader, Uint8Array.of(1, 2, 3, 4, 5));
    expect([...data]).toEqual([3, 4, 5]);
    const wanted = '{"files": [{"filename":"/a/hand_landmark_full.tflite","start":0,"end":3}], "remote_package_size": 3}';
    expect(script.startsWith(`load(${wanted});`)).toBe(true);
    expect(script).toContain("fetch(name)");
    expect(script).not.toContain("XMLHttpRequest");
  });

  it("is refused in another form", () => {
    expect(() => trimmed("load()", new Uint8Array())).toThrow("another form");
  });
});

describe("the script of Holistic", () => {
  it("frees what a frame gave: arrays in WebAssembly's memory, and objects once", () => {
    const freed: unknown[] = [];
    const result = (isDeleted: boolean) => ({ isDeleted: () => isDeleted, delete: () => freed.push("object") });
    const script = freeing('"object"===typeof n&&n.hasOwnProperty&&n.hasOwnProperty("delete")&&n.delete()');
    const free = new Function("n", "a", script) as (result: unknown, holistic: unknown) => void;
    const memory = new ArrayBuffer(64);
    for (const each of [new Uint8Array(memory, 16, 8), result(false), result(true), undefined, 3]) {
      free(each, { i: { _free: (place: number) => freed.push(place) } });
    }
    expect(freed).toEqual([16, "object"]);
  });

  it("is refused in another form", () => {
    expect(() => freeing("n.delete()")).toThrow("another form");
  });
});
