/** Keeps the memory of a long session level. */

/** Half a minute without a graphics card. */
const FRAMES_PER_COLLECTION = 250;
/** Chromium collects garbage when so much has come from outside of JavaScript's heap. */
const ENOUGH_BYTES = 64 * 2 ** 20;

/**
 * Has the browser collect the garbage of this thread after every FRAMES_PER_COLLECTION frames. Call it for each frame.
 *
 * The browser itself waits until JavaScript's heap has grown. A frame adds next to nothing to it, but holds some 10 kB
 * elsewhere, which would stay for many minutes. A buffer counts as such memory at once; as long as nobody writes to it,
 * it takes none. numFrames: how many frames this thread has had.
 */
export function collectGarbage(numFrames: number): void {
  if (numFrames % FRAMES_PER_COLLECTION) return;
  try {
    new ArrayBuffer(ENOUGH_BYTES);
  } catch {
    // A device that cannot give so much collects garbage in time.
  }
}
