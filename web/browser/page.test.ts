/** The page with a video file: what it recognises, what it asks the network for, and who can use it. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import axe from "axe-core";
import type { AxeResults } from "axe-core";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Host } from "./host";
import { frames, kept, launch, open, ready, VIDEO_MS } from "./visit";

const folder = process.env.SIGNLOOM_BROWSER ?? "";

async function seriousFindings(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const results = await page.evaluate(() => (window as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run());
  return results.violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

async function downloaded(page: Page, label: string): Promise<string> {
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: label }).click()]);
  return readFileSync(await file.path(), "utf8");
}

describe.skipIf(!folder)("the page (SIGNLOOM_BROWSER; `pytest tests/test_page_browser.py` makes it)", () => {
  const host = new Host(join(folder, "site"));
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let complaints: string[];
  let address: string;

  beforeAll(async () => {
    address = await host.start();
    browser = await launch();
    context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB" });
    ({ page, complaints } = await open(context, `${address}#keep`));
    await ready(page);
  });

  afterAll(async () => {
    await browser?.close();
    host.stop();
  });

  it("loads each file once, all from its own host, and nothing more", async () => {
    expect(await page.textContent("#problem")).toBe("");
    const big = host.requests.filter((path) => /\.(gzip|onnx)$/.test(path));
    expect(big.length).toBe(new Set(big).size);
    expect(big.length).toBe(6);
  });

  it("shows glosses and titles as texts", async () => {
    expect(await page.textContent("h1")).toBe("<script>planted = 1</script>");
    expect(await page.evaluate(() => (window as unknown as { planted?: number }).planted)).toBeUndefined();
  });

  it("says that there is no camera, and goes on", async () => {
    await page.click("#camera");
    await page.waitForSelector("#problem:not([hidden])");
    expect(await page.textContent("#problem")).toBe("No camera was found. Connect one, or open a video file.");
  });

  it("says that a file is no video, and goes on", async () => {
    await page.setInputFiles("#file", { name: "a.mp4", mimeType: "video/mp4", buffer: Buffer.from("no video") });
    await page.waitForFunction(() => document.getElementById("problem")?.textContent?.includes("no video that"));
  });

  it("recognises every frame of a video without the network", async () => {
    const before = host.requests.length;
    complaints.length = 0;
    await page.click("#tab-practise");
    await page.click("#next");
    await page.setInputFiles("#file", join(folder, "video.mp4"));
    await frames(page, 2);
    await page.screenshot({ path: join(folder, "running.png") });
    await page.waitForSelector("#stop:disabled", { timeout: VIDEO_MS });
    const session = await kept(page);
    writeFileSync(join(folder, "kept.json"), JSON.stringify(session));
    expect(session.seconds.length).toBe(Number(process.env.SIGNLOOM_FRAMES));
    expect(host.askedSince(before)).toEqual([]);
    expect(complaints).toEqual([]);
    await page.click("#tab-lookup");
    expect(await page.locator("#nearest li").count()).toBe(5);
    // The lexicon has the same film, as Python's MediaPipe saw it.
    expect(await page.textContent("#nearest li")).toMatch(/^WAVE, \d+%$/);
    await page.click("#tab-practise");
    const asked = (await page.textContent("#task"))?.replace("Sign: ", "");
    const verdicts = await page.locator("#attempts li").allTextContents();
    expect(verdicts.some((verdict) => verdict === `Yes: I saw ${asked}`)).toBe(session.finals.some(({ gloss }) => gloss === asked));
    expect(verdicts.every((verdict) => verdict.endsWith(` I saw ${asked}`) || verdict.endsWith(` instead of ${asked}`))).toBe(true);
    expect(verdicts.length).toBeGreaterThan(0);
    await page.click("#tab-recognise");
    await page.screenshot({ path: join(folder, "done.png") });
    for (const [label, suffix] of [["Text", "txt"], ["Subtitles (SRT)", "srt"], ["JSON", "json"], ["ELAN", "eaf"]]) {
      writeFileSync(join(folder, `transcript.${suffix}`), await downloaded(page, label));
    }
  });

  it("keeps nothing but its own files", async () => {
    const stored = await page.evaluate(async () => ({
      local: localStorage.length + sessionStorage.length,
      databases: (await indexedDB.databases()).length,
      caches: (await caches.keys()).length,
      cookies: document.cookie,
    }));
    expect(stored).toEqual({ local: 0, databases: 0, caches: 1, cookies: "" });
    expect(await context.cookies()).toEqual([]);
  });

  it.each(["light", "dark"] as const)("has no serious finding of axe, %s", async (colorScheme) => {
    await page.emulateMedia({ colorScheme });
    for (const tab of ["Practise", "Look up", "About", "Recognise"]) {
      await page.getByRole("tab", { name: tab }).click();
      expect(await seriousFindings(page)).toEqual([]);
    }
  });

  it.each([[360, 640], [640, 360], [1280, 800]])("fits into %i x %i", async (width, height) => {
    await page.setViewportSize({ width, height });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    const tops = await page.locator("#tabs button").evaluateAll((tabs) => tabs.map((tab) => tab.getBoundingClientRect().top));
    expect(new Set(tops).size).toBe(1);
  });

  it("can be used with the keyboard alone", async () => {
    await page.getByRole("tab", { name: "Recognise" }).focus();
    await page.keyboard.press("ArrowRight");
    expect(await page.isVisible("#panel-practise")).toBe(true);
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("tab-practise");
    await page.keyboard.press("Home");
    expect(await page.isVisible("#panel-recognise")).toBe(true);
  });

  it("speaks another language", async () => {
    await page.selectOption("#language", "de");
    expect(await page.textContent("#camera")).toBe("Kamera starten");
    expect(await page.getAttribute("html", "lang")).toBe("de");
    await page.selectOption("#language", "en");
  });

  it("replaces the kept page by one that is published again", async () => {
    host.root = join(folder, "site2");
    await page.reload();
    // The page that was kept says so, unless the browser was faster than the page.
    const replaced = () =>
      document.getElementById("note")?.textContent?.startsWith("A new version") ||
      document.querySelector("h1")?.textContent === "Another title";
    await page.waitForFunction(replaced, null, { timeout: 120_000 });
    await page.reload();
    await page.waitForFunction(() => document.querySelector("h1")?.textContent === "Another title", null, { timeout: 60_000 });
  });

  it("works without a network after its first load", async () => {
    await context.setOffline(true);
    await page.reload();
    await ready(page);
    expect(await page.textContent("#problem")).toBe("");
    expect(await page.textContent("#progress")).toBe("Ready");
  });
});
