/** Draws what was tracked, and examples of signs, as lines on a canvas. */

import type { Drawing, Example, Examples } from "./site";

type Place = readonly [x: number, y: number];

/** Draws points in units of a picture's width and height over it; limbs that are rather hidden are left out. */
export function drawTracked(
  canvas: HTMLCanvasElement,
  drawing: Drawing,
  points: Float32Array,
  visibility: Float32Array,
): void {
  const context = cleared(canvas);
  const { width, height } = canvas;
  const place = (point: number): Place | null => {
    // NaN, of a pose that was not detected, is not visible.
    if (point < visibility.length && !(visibility[point] >= drawing.visible)) return null;
    const [x, y] = [points[3 * point], points[3 * point + 1]];
    return Number.isFinite(x) ? [x * width, y * height] : null;
  };
  drawLines(context, drawing, place, Math.max(1, height / 240));
}

/** Draws one frame of an example in the middle of a canvas. */
export function drawExample(canvas: HTMLCanvasElement, drawing: Drawing, film: Film, number: number): void {
  const context = cleared(canvas);
  const scale = canvas.height / film.height;
  const left = canvas.width / 2 - ((film.left + film.right) / 2) * scale;
  drawLines(
    context,
    drawing,
    (point) => {
      const place = film.place(number, point);
      return place && [left + place[0] * scale, (place[1] - film.top) * scale];
    },
    Math.max(1.5, canvas.height / 120),
  );
}

/** Empties a canvas, and returns what draws on it. */
export function cleared(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.clearRect(0, 0, canvas.width, canvas.height);
  return context;
}

function drawLines(
  context: CanvasRenderingContext2D,
  drawing: Drawing,
  place: (point: number) => Place | null,
  thickness: number,
): void {
  context.lineCap = context.lineJoin = "round";
  for (const [part, lines] of Object.entries(drawing.lines)) {
    // Not a `Path2D`: browsers keep each one until they collect garbage, which they do rarely.
    context.beginPath();
    for (const line of lines) {
      const places = line.map(place);
      if (places.some((each) => each === null)) continue;
      (places as Place[]).forEach(([x, y], number) => (number ? context.lineTo(x, y) : context.moveTo(x, y)));
    }
    // A dark edge keeps hands apart from skin.
    if (part !== "face") {
      context.strokeStyle = "rgb(20 20 20 / 0.8)";
      context.lineWidth = thickness + 2;
      context.stroke();
    }
    context.strokeStyle = drawing.colours[part];
    context.lineWidth = part === "face" ? Math.max(1, thickness / 2) : thickness;
    context.stroke();
  }
}

const MISSING = -32768;

/** The frames of an example. top, height, left, right: of what is drawn, in thousandths of the frame's height. */
export class Film {
  readonly numFrames: number;
  readonly top: number;
  readonly height: number;
  readonly left: number;
  readonly right: number;
  private readonly values: Int16Array;
  private readonly places: ReadonlyMap<number, number>;

  constructor(readonly example: Example, { points }: Examples) {
    const bytes = Uint8Array.from(atob(example.frames), (letter) => letter.charCodeAt(0));
    this.values = new Int16Array(bytes.buffer);
    this.places = new Map(points.map((point, place) => [point, place]));
    this.numFrames = Math.floor(this.values.length / (2 * points.length));
    const known = [0, 1].map((axis) => [...this.values].filter((value, at) => at % 2 === axis && value !== MISSING).sort((a, b) => a - b));
    // Points that the tracker guesses far outside the picture are no part of it.
    const share = (values: number[], part: number) => values[Math.round(part * (values.length - 1))] ?? 0;
    [this.left, this.right] = [share(known[0], 0.01), share(known[0], 0.99)];
    this.top = share(known[1], 0.01) - 30;
    this.height = Math.max(share(known[1], 0.99) - this.top + 30, this.right - this.left + 60);
  }

  place(number: number, point: number): Place | null {
    const at = this.places.get(point);
    if (at === undefined) return null;
    const start = 2 * (number * this.places.size + at);
    return this.values[start] === MISSING ? null : [this.values[start], this.values[start + 1]];
  }
}

/** Returns the films of examples by their signs. */
export function filmsOf(examples: Examples): Map<string, Film> {
  return new Map(examples.examples.map((example) => [example.gloss, new Film(example, examples)]));
}

/** Shows an example again and again; with reduced motion, once its middle frame. Returns what stops it. */
export function play(canvas: HTMLCanvasElement, drawing: Drawing, film: Film, repeats: boolean): () => void {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches && repeats) {
    drawExample(canvas, drawing, film, film.numFrames >> 1);
    return () => {};
  }
  const begin = performance.now();
  const show = () => {
    const number = Math.floor(((performance.now() - begin) / 1000) * film.example.fps);
    if (!repeats && number >= film.numFrames) clearInterval(timer);
    // Nobody sees the canvas of another tab of the page.
    else if (canvas.offsetParent) drawExample(canvas, drawing, film, number % film.numFrames);
  };
  const timer = setInterval(show, 1000 / film.example.fps);
  show();
  return () => clearInterval(timer);
}
