/** Look up by signing: the signs that are nearest to what was signed, with drawn examples beside one another. */

import type { Match } from "../recognizer/lookup";
import { byId, made } from "./dom";
import type { Drawing } from "./site";
import { play, type Film } from "./skeleton";
import { percent, text } from "./texts";

const SIZE = 130;

export class Lookup {
  private stops: (() => void)[] = [];

  constructor(
    private readonly drawing: Drawing,
    private readonly films: ReadonlyMap<string, Film>,
  ) {}

  get hasFound(): boolean {
    return byId("nearest").childElementCount > 0;
  }

  /** Shows the signs that were found, the nearest first. */
  show(matches: readonly Match[]): void {
    this.stops.forEach((stop) => stop());
    this.stops = [];
    byId("nearest").replaceChildren(...matches.map((match) => this.row(match)));
  }

  private row({ gloss, score }: Match): HTMLElement {
    const row = made("li", text("lookup_row", { gloss, percent: percent(Math.max(score, 0)) }));
    const film = this.films.get(gloss);
    if (!film) return row;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIZE;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", text("practise_example", { gloss }));
    this.stops.push(play(canvas, this.drawing, film, true));
    row.append(document.createElement("br"), canvas);
    return row;
  }
}
