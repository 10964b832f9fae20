/** Figures of benchmarks/figures/streams.md: memory in SIGNLOOM_MINUTES of camera, and the first load at 20 Mbit/s. */

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Host } from "./host";
import { frames, launch, open, ready } from "./visit";

const folder = process.env.SIGNLOOM_BROWSER ?? "";
const minutes = Number(process.env.SIGNLOOM_MINUTES ?? 0);
const SAMPLE_MS = 30_000;
const BYTES_PER_SECOND = 20e6 / 8;
/** A tracker that takes pictures as ours does, and tracks nothing: as many frames per second as a fast machine has. */
const STUB = `
  let pixels = new ImageData(1, 1), count = 0;
  self.onmessage = async ({ data }) => {
    if (data.kind !== "frame") return self.postMessage({ kind: "ready", onCpu: true });
    const { image, width, height, reused } = data;
    if (pixels.width !== width || pixels.height !== height) pixels = new ImageData(width, height);
    await image.copyTo(pixels.data, { format: "RGBA" });
    image.close();
    await new Promise((resolve) => setTimeout(resolve, 25));
    const points = reused?.points ?? new Float32Array(3 * 543);
    const visibility = (reused?.visibility ?? new Float32Array(33)).fill(1);
    const phase = ++count / 10;
    for (let point = 0; point < 543; point++) {
      points.set([0.5 + 0.3 * Math.cos(point + phase), 0.5 + 0.3 * Math.sin(1.3 * point + phase), 0], 3 * point);
    }
    self.postMessage({ kind: "tracked", points, visibility, milliseconds: 25 }, [points.buffer, visibility.buffer]);
  };
`;

/** Returns a copy of a site with the stub for a tracker. */
function stubbed(site: string): string {
  const copy = mkdtempSync(join(tmpdir(), "site-"));
  cpSync(site, copy, { recursive: true });
  const script = readdirSync(join(copy, "assets")).find((name) => /^tracker-.*\.js$/.test(name));
  if (!script) throw new Error(`${site}/assets: no tracker`);
  writeFileSync(join(copy, "assets", script), STUB);
  return copy;
}

/** Returns the private memory of a process in MB. */
function privateMegabytes(process: number): number {
  const found = /^Private_Dirty:\s+(\d+)/m.exec(readFileSync(`/proc/${process}/smaps_rollup`, "utf8"));
  return Math.round(Number(found?.[1]) / 1024);
}

function camera(): Promise<Awaited<ReturnType<typeof launch>>> {
  const film = `--use-file-for-fake-video-capture=${join(folder, "camera.mjpeg")}`;
  return launch("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", film);
}

describe.skipIf(!folder || !minutes)("figures (SIGNLOOM_BROWSER, SIGNLOOM_MINUTES, on Linux)", () => {
  it.each(["Holistic", "a stub"])("samples the memory of the page and its workers with %s", async (tracker) => {
    const site = join(folder, "site");
    const host = new Host(tracker === "a stub" ? stubbed(site) : site);
    const browser = await camera();
    const context = await browser.newContext({ permissions: ["camera"], locale: "en-GB" });
    const { page } = await open(context, await host.start());
    await ready(page);
    const processes = await browser.newBrowserCDPSession();
    await page.click("#camera");
    for (const begin = Date.now(); Date.now() - begin < 60_000 * minutes; ) {
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
      const { processInfo } = await processes.send("SystemInfo.getProcessInfo");
      const renderers = processInfo.filter(({ type }) => type === "renderer");
      const most = Math.max(...renderers.map(({ id }) => privateMegabytes(id)));
      console.log(Math.round((Date.now() - begin) / 1000), "s", most, "MB", await page.textContent("#figures"));
    }
    expect(await page.isHidden("#problem")).toBe(true);
    await browser.close();
    host.stop();
    if (host.root !== site) rmSync(host.root, { recursive: true });
  }, 60_000 * (minutes + 5));

  it.each([true, false])("times the first load (compressed: %s)", async (compresses) => {
    const host = new Host(join(folder, "site"), { compresses, bytesPerSecond: BYTES_PER_SECOND });
    const browser = await camera();
    const context = await browser.newContext({ permissions: ["camera"], locale: "en-GB" });
    const address = await host.start();
    const begin = Date.now();
    const { page } = await open(context, `${address}#keep`);
    await ready(page);
    const loaded = (Date.now() - begin) / 1000;
    await page.click("#camera");
    await frames(page, 1);
    console.log("ready after", loaded, "s; first frame tracked after", (Date.now() - begin) / 1000, "s");
    await browser.close();
    host.stop();
  });
});
