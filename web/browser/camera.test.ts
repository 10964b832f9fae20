/** The page with a camera, which the browser plays from a file: frames are dropped, never queued. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Host } from "./host";
import { frames, kept, launch, open, ready } from "./visit";

const folder = process.env.SIGNLOOM_BROWSER ?? "";
const NUM_FRAMES = 6;

describe.skipIf(!folder)("the page with a camera (SIGNLOOM_BROWSER)", () => {
  it("recognises the frames that it has time for", async () => {
    const host = new Host(join(folder, "site"));
    const browser = await launch(
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
      `--use-file-for-fake-video-capture=${join(folder, "camera.mjpeg")}`,
    );
    try {
      const context = await browser.newContext({ permissions: ["camera"], locale: "en-GB" });
      const { page } = await open(context, `${await host.start()}#keep`);
      await ready(page);
      const before = host.requests.length;
      await page.click("#camera");
      await frames(page, NUM_FRAMES);
      expect(await page.textContent("#figures")).toMatch(/^[\d.]+ frames per second · \d+ frames dropped$/);
      await page.click("#stop");
      await page.waitForSelector("#stop:disabled");
      const session = await kept(page);
      writeFileSync(join(folder, "camera.json"), JSON.stringify(session));
      expect(host.askedSince(before)).toEqual([]);
      // Each frame is later than the one before by a frame of the camera or more: none waited.
      session.seconds.slice(1).forEach((seconds, at) => expect(seconds).toBeGreaterThan(session.seconds[at]));
    } finally {
      await browser.close();
      host.stop();
    }
  });

  it.each([
    ["denied", [], "The camera is not allowed"],
  ])("says what to do where the camera is %s", async (_, permissions, message) => {
    const host = new Host(join(folder, "site"));
    const browser = await launch("--use-fake-device-for-media-stream", "--deny-permission-prompts");
    try {
      const context = await browser.newContext({ permissions, locale: "en-GB" });
      const { page } = await open(context, await host.start());
      await ready(page);
      await page.click("#camera");
      await page.waitForSelector("#problem:not([hidden])");
      expect(await page.textContent("#problem")).toContain(message);
    } finally {
      await browser.close();
      host.stop();
    }
  });

  it("says that the model is damaged", async () => {
    const host = new Host(join(folder, "damaged"));
    const browser = await launch();
    try {
      const { page } = await open(await browser.newContext({ locale: "en-GB" }), await host.start());
      await ready(page);
      expect(await page.textContent("#problem")).toContain("The model cannot be used");
    } finally {
      await browser.close();
      host.stop();
    }
  });
});
