/** The page where something is not as it should be: it says what, and goes on where it can. */

import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Host } from "./host";
import { launch, open, ready } from "./visit";

const folder = process.env.SIGNLOOM_BROWSER ?? "";

/** Puts other cameras into a page: `camera` names the one that it is given next. */
function otherCameras(): void {
  const { mediaDevices } = navigator;
  const real = mediaDevices.getUserMedia.bind(mediaDevices);
  mediaDevices.getUserMedia = async (wanted) => {
    const { camera } = window as unknown as { camera?: string };
    if (camera === "taken") throw new DOMException("Could not start video source", "NotReadableError");
    if (camera !== "4K") return real(wanted);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [3840, 2160];
    const context = canvas.getContext("2d");
    setInterval(() => context?.fillRect(Math.random() * 3840, 0, 99, 99), 100);
    return canvas.captureStream(10);
  };
}

describe.skipIf(!folder)("the page in trouble (SIGNLOOM_BROWSER)", () => {
  const host = new Host(join(folder, "site"));
  let browser: Browser;
  let page: Page;
  let address: string;

  beforeAll(async () => {
    address = await host.start();
    // The browser's own picture of a fake camera shows nobody.
    browser = await launch("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream");
    const context = await browser.newContext({ permissions: ["camera"], locale: "en-GB" });
    await context.addInitScript(otherCameras);
    ({ page } = await open(context, "about:blank"));
    const disk = await context.newCDPSession(page);
    await disk.send("Storage.overrideQuotaForOrigin", { origin: new URL(address).origin, quotaSize: 1e6 });
    await page.goto(`${address}#keep`);
    await ready(page);
  });

  afterAll(async () => {
    await browser?.close();
    host.stop();
  });

  async function noted(text: string): Promise<void> {
    await page.waitForFunction((wanted) => document.getElementById("note")?.textContent?.includes(wanted), text);
  }

  async function started(camera: string): Promise<void> {
    await page.evaluate((name) => Object.assign(window, { camera: name }), camera);
    await page.click("#camera");
  }

  it("works on a full disk, but not offline", async () => {
    await noted("does not keep the page");
    expect(await page.textContent("#progress")).toBe("Ready");
  });

  it("says that another program may use the camera", async () => {
    await started("taken");
    await page.waitForSelector("#problem:not([hidden])");
    expect(await page.textContent("#problem")).toContain("Another program may use it");
    expect(await page.isEnabled("#camera")).toBe(true);
  });

  it("says that nobody is in view, and that it was in the background", async () => {
    await started("empty");
    await noted("Nobody is in view");
    expect(await page.isHidden("#problem")).toBe(true);
    await page.evaluate(() => {
      Object.defineProperty(document, "hidden", { value: true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    });
    await noted("was in the background");
    await page.click("#stop");
    await page.waitForSelector("#stop:disabled");
  });

  it("makes the pictures of a 4K camera smaller", async () => {
    await started("4K");
    await page.waitForFunction(() => {
      const { width, height } = document.getElementById("drawing") as HTMLCanvasElement;
      return width === 1280 && height === 720;
    });
    expect(await page.evaluate(() => document.querySelector("video")?.videoWidth)).toBe(3840);
    expect(await page.isHidden("#problem")).toBe(true);
    await page.click("#stop");
  });

  /** A second of silence. */
  function sound(): Buffer {
    const samples = 8000;
    const head = Buffer.alloc(44);
    head.write("RIFF");
    head.writeUInt32LE(36 + samples, 4);
    head.write("WAVEfmt ", 8);
    head.writeUInt32LE(16, 16);
    head.writeUInt16LE(1, 20);
    head.writeUInt16LE(1, 22);
    head.writeUInt32LE(samples, 24);
    head.writeUInt32LE(samples, 28);
    head.writeUInt16LE(1, 32);
    head.writeUInt16LE(8, 34);
    head.write("data", 36);
    head.writeUInt32LE(samples, 40);
    return Buffer.concat([head, Buffer.alloc(samples, 128)]);
  }

  it.each([
    ["an empty file", Buffer.alloc(0), "This file is empty."],
    ["no video", Buffer.from("no video"), "This file is no video that this browser can play."],
    ["a sound", sound(), "This file has no picture"],
  ])("says that a file is %s", async (_, buffer, message) => {
    await page.setInputFiles("#file", { name: "a.mp4", mimeType: "video/mp4", buffer });
    await page.waitForFunction((text) => document.getElementById("problem")?.textContent?.includes(text), message);
    expect(await page.isDisabled("#stop")).toBe(true);
  });

  it("says at the end of a video that nobody was in it", async () => {
    await page.setInputFiles("#file", join(folder, "nobody.mp4"));
    await noted("Nobody was found in this video.");
    expect(await page.isHidden("#problem")).toBe(true);
    expect(await page.isDisabled("#stop")).toBe(true);
  });

  it("recognises what is left of a video that is cut off, and says so", async () => {
    await page.setInputFiles("#file", join(folder, "cut_off.mp4"));
    await page.waitForSelector("#problem:not([hidden])");
    expect(await page.textContent("#problem")).toContain("damaged");
    expect(await page.isDisabled("#stop")).toBe(true);
  });

  it("says that the host's policy blocks WebAssembly", async () => {
    const blocked = await page.context().newPage();
    await blocked.route(/signs\/$/, async (route) => {
      const response = await route.fetch();
      const headers = { ...response.headers(), "content-security-policy": "script-src 'self'" };
      await route.fulfill({ response, headers });
    });
    await blocked.goto(address);
    await ready(blocked);
    expect(await blocked.textContent("#problem")).toContain("does not run WebAssembly");
  });
});
