/** Keeps the memory of a long session level. */

/** Half a minute without a graphics card. */
const FRAMES_PER_COLLECTION = 250;
/** Chromium collects garbage when so much has come from outside of JavaScript's heap. */
const ENOUGH_BYTES = 64 * 2 ** 20;

/**
 * Has the browser collect the garbage of this thread from time to time. `numFrames`: of the session so far. By itself it
 * waits until JavaScript's heap has grown, and a frame adds next to nothing to that one; what a frame holds elsewhere,
 * some 10 kB, stays for many minutes. A buffer counts as such memory at once, and takes none as long as nobody writes to it.
 */
export function collectGarbage(numFrames: number): void {
  if (numFrames % FRAMES_PER_COLLECTION) return;
  try {
    new ArrayBuffer(ENOUGH_BYTES);
  } catch {
    // A device that cannot give so much collects garbage in time.
  }
}
