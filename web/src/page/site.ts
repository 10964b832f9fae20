/** The files of the site: what `signloom page` wrote. */

import type { ModelRecord } from "../recognizer/model";
import type { Texts } from "./texts";

/** How the points of Holistic are drawn (Python's `drawing/tracked.py` and `layout.py`). */
export interface Drawing {
  /** Lines of each part, as positions among the 543 points. */
  readonly lines: Readonly<Record<string, readonly (readonly number[])[]>>;
  readonly colours: Readonly<Record<string, string>>;
  /** Pose points that are less visible are left out. */
  readonly visible: number;
}

/** An example of a sign, as a skeleton: x and y of `points` in units of the frame's height, in thousandths. */
export interface Example {
  readonly gloss: string;
  readonly fps: number;
  /** Base64 of int16, (T, P, 2); the smallest number is missing. */
  readonly frames: string;
}

export interface Examples<Kind extends Example = Example> {
  /** Positions among the 543 points. */
  readonly points: readonly number[];
  readonly examples: readonly Kind[];
}

/** A clip of a lexicon. embedding: base64 of float32, what the model sees in it. */
export interface LexiconExample extends Example {
  readonly embedding: string;
}

export interface Site {
  readonly title: string;
  readonly model: ModelRecord;
  readonly card: string;
  readonly languages: readonly string[];
  readonly drawing: Drawing;
  readonly version: string;
}

/** A file of the site could not be loaded. */
export class LoadError extends Error {
  constructor(readonly file: string, readonly reason: string) {
    super(`${file}: ${reason}`);
  }
}

export async function loadSite(): Promise<Site> {
  return loadJson<Site>("data/page.json");
}

export async function loadTexts(language: string): Promise<Texts> {
  return loadJson<Texts>(`locales/${language}.json`);
}

export async function loadExamples(): Promise<Examples> {
  return loadJson<Examples>("data/examples.json");
}

export async function loadLexicon(): Promise<Examples<LexiconExample>> {
  return loadJson<Examples<LexiconExample>>("data/lexicon.json");
}

export async function loadGraph(): Promise<ArrayBuffer> {
  return (await loaded("data/model.onnx")).arrayBuffer();
}

async function loadJson<Kind>(name: string): Promise<Kind> {
  const response = await loaded(name);
  try {
    return (await response.json()) as Kind;
  } catch (error) {
    throw new LoadError(name, String(error));
  }
}

async function loaded(name: string): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(name);
  } catch (error) {
    throw new LoadError(name, String(error));
  }
  if (!response.ok) throw new LoadError(name, `${response.status}`);
  return response;
}
