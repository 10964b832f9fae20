/**
 * Finds landmarks with MediaPipe Holistic, in a worker, so that the page stays quick.
 *
 * Its script is made for pages: it looks for `window` and `document` and adds scripts to the body. The worker gives it
 * both, as far as it uses them; its own path for workers makes no context for the pictures. What it fetches are files
 * that the site has compressed.
 */

import { collectGarbage } from "../garbage";
import type { Picture } from "../page/sources";
import type { FromTracker, ToTracker, Tracked } from "./messages";
import { unpacked } from "./packed";

interface Landmark {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly visibility?: number;
}

interface Results {
  readonly image?: { close?(): void };
  readonly poseLandmarks?: readonly Landmark[];
  readonly leftHandLandmarks?: readonly Landmark[];
  readonly rightHandLandmarks?: readonly Landmark[];
  readonly faceLandmarks?: readonly Landmark[];
}

interface Holistic {
  setOptions(options: Record<string, unknown>): void;
  onResults(listener: (results: Results) => void): void;
  initialize(): Promise<void>;
  reset(): Promise<void>;
  send(inputs: { image: ImageData }, milliseconds: number): Promise<void>;
}

interface Scope {
  window: unknown;
  document: unknown;
  fetch: typeof unpacked;
  Holistic: new (options: { locateFile(name: string): string }) => Holistic;
  importScripts(address: string): void;
  postMessage(message: FromTracker, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent<ToTracker>) => void) | null;
}

const NUM_POINTS = 543;
const NUM_POSE = 33;
/** The first point of each part, as in Python's `layout.GROUPS`. */
const STARTS = { poseLandmarks: 0, leftHandLandmarks: 33, rightHandLandmarks: 54, faceLandmarks: 75 } as const;
/** The options of Python's `extract/holistic.py`. */
const OPTIONS = {
  modelComplexity: 1,
  smoothLandmarks: true,
  enableSegmentation: false,
  refineFaceLandmarks: false,
  minDetectionConfidence: 0.5,
  minTrackingConfidence: 0.5,
};
/** MediaPipe's Python gives its filters frames at this pace, whatever the video has. */
const MILLISECONDS_PER_FRAME = 33.333;

const scope = self as unknown as Scope;
let holistic: Holistic;
const canvas = new OffscreenCanvas(1, 1);
let pixels = new ImageData(1, 1);
let copies = true;
let results: Results = {};
let count = 0;
let onCpu = false;

function giveDocument(): void {
  scope.window = scope;
  scope.document = {
    createElement(name: string) {
      if (name === "canvas") return new OffscreenCanvas(1, 1);
      const script = new EventTarget() as EventTarget & Record<string, unknown>;
      script.setAttribute = (key: string, value: string) => {
        script[key] = value;
      };
      return script;
    },
    body: {
      appendChild(script: EventTarget & { src: string }) {
        scope.importScripts(script.src);
        script.dispatchEvent(new Event("load"));
      },
    },
  };
}

/** Returns whether WebGL is computed by the processor: then the processor computes the networks itself, faster. */
function hasSlowGraphics(): boolean {
  const context = new OffscreenCanvas(1, 1).getContext("webgl2");
  if (!context) throw new Error("no WebGL 2");
  const info = context.getExtension("WEBGL_debug_renderer_info");
  const name = info ? String(context.getParameter(info.UNMASKED_RENDERER_WEBGL)) : "";
  context.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software/i.test(name);
}

async function start(folder: string): Promise<void> {
  onCpu = hasSlowGraphics();
  giveDocument();
  scope.fetch = unpacked;
  scope.importScripts(`${folder}holistic.js`);
  holistic = new scope.Holistic({ locateFile: (name) => folder + name });
  holistic.setOptions({ ...OPTIONS, useCpuInference: onCpu });
  holistic.onResults((found) => {
    results = found;
    found.image?.close?.();
  });
  await holistic.initialize();
  scope.postMessage({ kind: "ready", onCpu });
}

/** Returns whether the pixels of a frame are those that are shown: neither scaled nor turned. */
function isAsShown(frame: VideoFrame & { readonly rotation?: number; readonly flip?: boolean }, { width, height }: Picture): boolean {
  const { rotation, flip, visibleRect } = frame;
  return rotation === 0 && flip === false && visibleRect?.width === width && visibleRect.height === height;
}

/**
 * Returns the pixels of a picture, and closes it. Chromium keeps the memory of each frame that is drawn until it
 * collects garbage, which it does rarely, since this memory does not count for it. So frames are copied where they can be.
 */
async function pixelsOf(picture: Picture): Promise<ImageData> {
  const { image, width, height } = picture;
  try {
    if (copies && "copyTo" in image && isAsShown(image, picture)) {
      if (pixels.width !== width || pixels.height !== height) pixels = new ImageData(width, height);
      try {
        await image.copyTo(pixels.data, { format: "RGBA" });
        return pixels;
      } catch {
        copies = false;
      }
    }
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d", { willReadFrequently: true }) as OffscreenCanvasRenderingContext2D;
    context.drawImage(image, 0, 0, width, height);
    return context.getImageData(0, 0, width, height);
  } finally {
    image.close();
  }
}

async function track(picture: Picture, reused: Tracked | null): Promise<void> {
  const begin = performance.now();
  results = {};
  await holistic.send({ image: await pixelsOf(picture) }, ++count * MILLISECONDS_PER_FRAME);
  const points = (reused?.points ?? new Float32Array(3 * NUM_POINTS)).fill(NaN);
  const visibility = (reused?.visibility ?? new Float32Array(NUM_POSE)).fill(NaN);
  for (const [part, first] of Object.entries(STARTS)) {
    results[part as keyof typeof STARTS]?.forEach(({ x, y, z }, number) => points.set([x, y, z], 3 * (first + number)));
  }
  results.poseLandmarks?.forEach((point, number) => (visibility[number] = point.visibility ?? NaN));
  collectGarbage(count);
  const milliseconds = performance.now() - begin;
  scope.postMessage({ kind: "tracked", points, visibility, milliseconds }, [points.buffer, visibility.buffer]);
}

async function answer(message: ToTracker): Promise<void> {
  if (message.kind === "start") await start(message.folder);
  else if (message.kind === "frame") await track(message, message.reused);
  else {
    await holistic.reset();
    scope.postMessage({ kind: "ready", onCpu });
  }
}

let turn = Promise.resolve();
scope.onmessage = ({ data }) => {
  turn = turn.then(() => answer(data)).catch((error: unknown) => {
    scope.postMessage({ kind: "failed", reason: String(error) });
  });
};
