/** The page: loads what it needs, then recognises what a camera or a video shows. */

import "./style.css";
import type { GlossSpan } from "./recognizer/hypothesis";
import { Captions } from "./page/captions";
import { byId, download, made } from "./page/dom";
import { keepForOffline } from "./page/offline";
import { Lookup } from "./page/lookup";
import { Practise } from "./page/practise";
import { Recogniser } from "./page/recognition";
import { Session, type Figures } from "./page/session";
import { LoadError, loadExamples, loadGraph, loadLexicon, loadSite, loadTexts, type Site } from "./page/site";
import { cleared, drawTracked, filmsOf } from "./page/skeleton";
import { SourceError } from "./page/sources";
import { Tabs } from "./page/tabs";
import { percent, preferred, text, use } from "./page/texts";
import { Tracker } from "./page/tracking";
import { FORMATS, SUFFIXES, written } from "./page/transcript";

const MEGABYTE = 1e6;
const FIGURES_MS = 1000;
/** A video that shows somebody in fewer of its frames is worth a word. */
const FEW_SEEN = 0.5;
/** The transcript shows so many utterances; files have all. */
const MOST_SHOWN = 200;

const video = byId<HTMLVideoElement>("video");
const drawing = byId<HTMLCanvasElement>("drawing");

function problem(message: string): void {
  const element = byId("problem");
  element.hidden = !message;
  element.textContent = message;
}

function explained(error: unknown): string {
  if (error instanceof LoadError) return text("error_load", { file: error.file, reason: error.reason });
  if (error instanceof SourceError) return text(error.key, { reason: error.message });
  if (error instanceof DOMException && error.name === "CameraGone") return text("error_camera_gone");
  return text("error_recogniser", { reason: error instanceof Error ? error.message : String(error) });
}

/** Fills the list of languages, and takes the visitor's. */
async function chooseLanguage(site: Site): Promise<void> {
  const select = byId<HTMLSelectElement>("language");
  const all = await Promise.all(site.languages.map(async (language) => [language, await loadTexts(language)] as const));
  const byName = new Map(all);
  for (const [language, texts] of all) {
    const option = made("option", texts.name ?? language);
    option.value = language;
    option.lang = language;
    select.append(option);
  }
  select.value = preferred(site.languages);
  const change = () => use(select.value, byName.get(select.value) ?? {});
  select.addEventListener("change", change);
  change();
}

function floats(base64: string): Float32Array {
  return new Float32Array(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)).buffer);
}

async function preparedTracker(): Promise<Tracker> {
  const tracker = new Tracker();
  try {
    await tracker.start();
  } catch (error) {
    throw new Error(text("error_tracker", { reason: String(error) }));
  }
  return tracker;
}

async function preparedRecogniser(site: Site, lexicon: Awaited<ReturnType<typeof loadLexicon>>): Promise<Recogniser> {
  const recogniser = new Recogniser(site.model);
  const graph = await loadGraph();
  try {
    const entries = lexicon.examples.map(({ gloss, embedding }) => ({ gloss, embedding: floats(embedding) }));
    await recogniser.start(graph, entries);
  } catch (error) {
    throw new Error(text("error_model", { reason: error instanceof Error ? error.message : String(error) }));
  }
  return recogniser;
}

class Page {
  private captions = new Captions();
  private media: string | null = null;
  private readonly session: Session;

  constructor(
    private readonly site: Site,
    tracker: Tracker,
    recogniser: Recogniser,
    private readonly practise: Practise,
    private readonly lookup: Lookup,
    private readonly tabs: Tabs,
  ) {
    // For who wants to check the captions: `#keep` in the address keeps the landmarks of a session.
    const keeps = location.hash === "#keep";
    this.session = new Session(video, tracker, recogniser, site.model.stream.pause_seconds, this.listener(), keeps);
    byId("camera").addEventListener("click", () => void this.start(null));
    byId("stop").addEventListener("click", () => void this.session.stop().then(() => this.listener().ended(null)));
    byId("open").addEventListener("click", () => byId("file").click());
    byId<HTMLInputElement>("file").addEventListener("change", ({ target }) => {
      const input = target as HTMLInputElement;
      if (input.files?.length) void this.start(input.files[0]);
      input.value = "";
    });
    const picture = byId("picture");
    picture.addEventListener("dragover", (event) => event.preventDefault());
    picture.addEventListener("drop", (event) => {
      event.preventDefault();
      const file = event.dataTransfer?.files[0];
      if (file) void this.start(file);
    });
    byId("mirror").addEventListener("change", ({ target }) => {
      picture.classList.toggle("mirrored", (target as HTMLInputElement).checked);
    });
    for (const format of FORMATS) {
      const button = made("button");
      button.type = "button";
      button.dataset.text = `download_${format}`;
      button.textContent = text(`download_${format}`);
      button.addEventListener("click", () => {
        download(`transcript${SUFFIXES[format]}`, written(this.captions.finals, format, this.media));
      });
      byId("downloads").append(button);
    }
    for (const id of ["camera", "open"]) byId<HTMLButtonElement>(id).disabled = false;
    setInterval(() => this.figures(), FIGURES_MS);
    if (keeps) Object.assign(window, { kept: this.session.kept, captions: () => this.captions.finals });
  }

  /** Starts with a video file, or with the camera. */
  private async start(file: File | null): Promise<void> {
    problem("");
    this.note("");
    this.captions = new Captions();
    this.media = file?.name ?? null;
    byId("transcript").replaceChildren();
    this.lookup.show([]);
    byId("hint").hidden = true;
    byId<HTMLInputElement>("mirror").checked = file === null;
    byId("picture").classList.toggle("mirrored", file === null);
    try {
      const running = file ? this.session.startVideo(file) : this.session.startCamera();
      byId<HTMLButtonElement>("stop").disabled = false;
      await running;
    } catch (error) {
      problem(explained(error));
      await this.session.stop();
    }
    this.show();
  }

  private listener(): ConstructorParameters<typeof Session>[4] {
    return {
      tracked: (found, width, height) => {
        // A size that is set, even the same one, makes a new picture.
        if (drawing.width !== width || drawing.height !== height) [drawing.width, drawing.height] = [width, height];
        if (byId<HTMLInputElement>("skeleton").checked) {
          drawTracked(drawing, this.site.drawing, found.points, found.visibility);
        } else cleared(drawing);
      },
      recognised: ({ events, isEnd, nearest }) => {
        if (nearest.length) this.lookup.show(nearest);
        const ended = this.captions.update(events);
        if (events.length) this.show();
        ended.forEach((utterance) => this.ended(utterance));
        if (isEnd && !ended.length) this.practise.judge([]);
      },
      progress: (seconds, duration) => {
        // Browsers do not know how long some films are.
        const total = Number.isFinite(duration) ? duration.toFixed(1) : "?";
        byId("progress").textContent = text("video_progress", { done: seconds.toFixed(1), total });
      },
      ended: (error) => {
        if (error) problem(explained(error));
        const { seenShare } = this.rates();
        if (this.media !== null && !error) this.note(this.lacking(seenShare));
        this.show();
      },
      paused: () => {
        this.note(text("paused"));
      },
    };
  }

  /** Returns what the visitor should know of a video that has ended; nothing where signs were recognised. */
  private lacking(seenShare: number): string {
    if (!seenShare) return text("nobody_video");
    const lacking = seenShare < FEW_SEEN ? text("few_seen", { percent: percent(seenShare) }) : "";
    const isLookup = this.tabs.chosen === "lookup";
    if (isLookup ? this.lookup.hasFound : this.captions.finals.length) return lacking;
    return [lacking, text(isLookup ? "lookup_nothing" : "nothing")].filter(Boolean).join(" ");
  }

  private note(message: string): void {
    if (byId("note").textContent !== message) byId("note").textContent = message;
  }

  /** Shows the running captions: those that may still change are lighter. */
  private show(): void {
    byId<HTMLButtonElement>("stop").disabled = !this.session.isRunning;
    byId("caption").replaceChildren(
      ...this.captions.shown.map(({ span, isFinal }) => {
        const element = made("span", span.gloss, isFinal ? "final" : "provisional");
        const share = made("small", percent(span.confidence));
        element.append(" ", share);
        return element;
      }),
    );
  }

  private ended(utterance: readonly GlossSpan[]): void {
    const words = utterance.map((span) => span.gloss).join(" ");
    byId("spoken").textContent = words;
    const [first, last] = [utterance[0], utterance[utterance.length - 1]];
    const confidence = utterance.reduce((sum, span) => sum + span.confidence, 0) / utterance.length;
    const row = made("li");
    row.append(
      made("time", `${first.startSeconds.toFixed(1)} – ${last.endSeconds.toFixed(1)} s`),
      " ",
      made("strong", words),
      " ",
      made("small", text("confidence", { percent: percent(confidence) })),
    );
    const list = byId("transcript");
    list.append(row);
    if (list.children.length > MOST_SHOWN) list.firstElementChild?.remove();
    this.practise.judge(utterance);
  }

  /** Shows how fast the session is, or was. */
  private rates(): Figures {
    const figures = this.session.figures();
    byId("figures").textContent = text("figures", { rate: figures.rate.toFixed(1), dropped: figures.dropped });
    return figures;
  }

  private figures(): void {
    if (!this.session.isRunning) return;
    const { isEmpty, isSlow, rate } = this.rates();
    if (isEmpty) this.note(text("nobody"));
    else if (isSlow && this.media === null) this.note(text("few_frames", { rate: rate.toFixed(0) }));
    else if (byId("note").textContent !== text("paused")) this.note("");
  }
}

/** Returns whether WebAssembly is there, and neither the browser nor the host's policy blocks it. */
function runsWebAssembly(): boolean {
  try {
    // The smallest module: its magic number and version.
    return Boolean(new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)));
  } catch {
    return false;
  }
}

async function main(): Promise<void> {
  const site = await loadSite();
  document.title = site.title;
  byId("title").textContent = site.title;
  byId("card").textContent = site.card;
  await chooseLanguage(site);
  const tabs = new Tabs(["recognise", "practise", "lookup", "about"]);
  if (!runsWebAssembly()) return problem(text("error_wasm"));
  const progress = byId("progress");
  await keepForOffline(site.version, {
    progress: (done, total) => {
      const [ready, all] = [done, total].map((bytes) => (bytes / MEGABYTE).toFixed(1));
      progress.textContent = text("loading", { done: ready, total: all });
    },
    failed: (reason) => {
      byId("note").textContent = text("offline_not", { reason });
    },
    updated: () => {
      byId("note").textContent = text("update");
    },
  });
  progress.textContent = text("preparing");
  // One after another: each needs all cores for a moment.
  const lexicon = await loadLexicon();
  const recogniser = await preparedRecogniser(site, lexicon);
  const tracker = await preparedTracker();
  const films = filmsOf(await loadExamples());
  const practise = new Practise(site.drawing, site.model.words.slice(2), films);
  const lookup = new Lookup(site.drawing, lexicon.examples.length ? filmsOf(lexicon) : films);
  new Page(site, tracker, recogniser, practise, lookup, tabs);
  progress.textContent = text("ready");
}

main().catch((error: unknown) => {
  byId("progress").textContent = "";
  problem(error instanceof LoadError ? explained(error) : error instanceof Error ? error.message : String(error));
});
