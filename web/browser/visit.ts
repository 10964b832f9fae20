/** What the tests do in a browser. */

import { existsSync } from "node:fs";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
/** The models are loaded and made ready; slow on a busy machine without a graphics card. */
const READY_MS = 240_000;
const FRAME_MS = 120_000;
export const VIDEO_MS = 480_000;

export async function launch(...flags: string[]): Promise<Browser> {
  const executablePath = process.env.CHROMIUM ?? PLACES.find(existsSync);
  return chromium.launch({ executablePath, args: ["--enable-unsafe-swiftshader", "--no-sandbox", ...flags] });
}

/** Returns a page at an address, with what it complains about. */
export async function open(context: BrowserContext, address: string): Promise<{ page: Page; complaints: string[] }> {
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  await page.goto(address);
  return { page, complaints };
}

/** Waits until the page can be used, or says why not. */
export async function ready(page: Page): Promise<void> {
  await page.waitForFunction(
    () =>
      document.getElementById("progress")?.textContent === "Ready" || document.getElementById("problem")?.hidden === false,
    null,
    { timeout: READY_MS, polling: 250 },
  );
}

/** A frame with its time and what was tracked in it; null is missing. */
export interface Kept {
  readonly seconds: number[];
  readonly points: (number | null)[][];
  readonly finals: { gloss: string; startSeconds: number; endSeconds: number; confidence: number }[];
}

interface Keeping {
  kept: { seconds: number; points: Float32Array }[];
  captions(): Kept["finals"];
}

/** Waits until so many frames were recognised. */
export async function frames(page: Page, count: number): Promise<void> {
  const wanted = (least: number) => (window as unknown as Keeping).kept.length >= least;
  await page.waitForFunction(wanted, count, { timeout: count * FRAME_MS, polling: 250 });
}

/** Returns what an ended session kept. */
export async function kept(page: Page): Promise<Kept> {
  return page.evaluate(() => {
    const { kept: all, captions } = window as unknown as Keeping;
    return {
      seconds: all.map((frame) => frame.seconds),
      points: all.map((frame) => Array.from(frame.points, (value) => (Number.isNaN(value) ? null : value))),
      finals: captions(),
    };
  });
}
