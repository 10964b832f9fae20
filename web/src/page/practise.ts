/** Practise: the page asks for a sign, shows an example, and says what it saw. */

import type { GlossSpan } from "../recognizer/hypothesis";
import { byId, download, made } from "./dom";
import type { Drawing } from "./site";
import { play, type Film } from "./skeleton";
import { text } from "./texts";

interface Attempt {
  readonly gloss: string;
  readonly seen: readonly string[];
  readonly right: boolean;
}

export class Practise {
  private readonly attempts: Attempt[] = [];
  private asked: string | null = null;
  private order: string[] = [];
  private stopFilm = () => {};

  constructor(
    private readonly drawing: Drawing,
    private readonly glosses: readonly string[],
    private readonly films: ReadonlyMap<string, Film>,
  ) {
    byId("next").addEventListener("click", () => this.next());
    byId("replay").addEventListener("click", () => this.show(false));
    byId("results").addEventListener("click", () => this.save());
    byId("task").textContent = text("practise_start");
  }

  /** Judges an utterance, if a sign was asked for. One without any gloss is no attempt: hands move for many reasons. */
  judge(utterance: readonly GlossSpan[]): void {
    const gloss = this.asked;
    if (gloss === null) return;
    if (!utterance.length) {
      byId("verdict").textContent = text("practise_none");
      return;
    }
    const seen = utterance.map((span) => span.gloss);
    const right = seen.includes(gloss);
    this.attempts.push({ gloss, seen, right });
    const verdict = right ? text("practise_right", { gloss }) : text("practise_wrong", { gloss, seen: seen.join(" ") });
    byId("verdict").textContent = verdict;
    byId("attempts").prepend(made("li", verdict, right ? "right" : "wrong"));
    if (right) this.asked = null;
  }

  /** Asks for the next sign: all come once before any comes again. */
  private next(): void {
    if (!this.order.length) this.order = shuffled(this.films.size ? [...this.films.keys()] : this.glosses);
    this.asked = this.order.pop() ?? null;
    byId("task").textContent = text("practise_ask", { gloss: this.asked ?? "" });
    byId("verdict").textContent = "";
    this.show(true);
  }

  private show(repeats: boolean): void {
    this.stopFilm();
    const canvas = byId<HTMLCanvasElement>("example");
    const film = this.asked === null ? undefined : this.films.get(this.asked);
    canvas.hidden = !film;
    if (!film) {
      byId("verdict").textContent = this.asked === null ? "" : text("practise_no_example");
      return;
    }
    canvas.setAttribute("aria-label", text("practise_example", { gloss: film.example.gloss }));
    this.stopFilm = play(canvas, this.drawing, film, repeats);
  }

  private save(): void {
    download("practice.json", JSON.stringify({ attempts: this.attempts }, null, 1) + "\n");
  }
}

function shuffled(glosses: readonly string[]): string[] {
  const result = [...glosses];
  for (let at = result.length - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1));
    [result[at], result[other]] = [result[other], result[at]];
  }
  return result;
}
