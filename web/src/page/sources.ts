/** Where pictures come from: a camera, whose frames may be dropped, or a video file, of which every frame counts. */

/** The longer side of a picture that is tracked; a larger one is made smaller, which loses no landmark. */
const MOST_PIXELS = 1280;
/** Steps in which the second frame of a video is looked for: no video has more frames per second. */
const LEAST_STEP_SECONDS = 1 / 120;
/** A video whose picture stays longer than this has ended. */
const LONGEST_STEP_SECONDS = 2;

/** A picture, and its size when it is tracked. */
export interface Picture {
  readonly image: VideoFrame | ImageBitmap;
  readonly width: number;
  readonly height: number;
}

/** A camera cannot be used: the key of a text, and the browser's reason. */
export class CameraError extends Error {
  constructor(readonly key: string, reason = "") {
    super(reason);
  }
}

const CAMERA_ERRORS: Readonly<Record<string, string>> = {
  NotFoundError: "error_no_camera",
  OverconstrainedError: "error_no_camera",
  NotAllowedError: "error_denied",
  SecurityError: "error_denied",
  NotReadableError: "error_busy",
  AbortError: "error_busy",
};

/** Opens the camera of a visitor who allows it. Throws CameraError. */
export async function openCamera(video: HTMLVideoElement): Promise<MediaStream> {
  // Not there in pages of plain http.
  if (!navigator.mediaDevices) throw new CameraError("error_insecure");
  try {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 }, facingMode: "user" },
    });
    video.srcObject = stream;
    await video.play();
    return stream;
  } catch (error) {
    const { name, message } = error as DOMException;
    throw new CameraError(CAMERA_ERRORS[name] ?? "error_camera", message || name);
  }
}

/** Calls `offer` for every frame that a playing video shows, with its time; returns what ends that. */
export function eachFrame(video: HTMLVideoElement, offer: (seconds: number) => void): () => void {
  let request = video.requestVideoFrameCallback(function next(_, { mediaTime }) {
    offer(mediaTime);
    request = video.requestVideoFrameCallback(next);
  });
  return () => video.cancelVideoFrameCallback(request);
}

/** Returns what a video shows now; who takes it must close it. */
export async function pictureOf(video: HTMLVideoElement): Promise<Picture> {
  const scale = Math.min(1, MOST_PIXELS / Math.max(video.videoWidth, video.videoHeight));
  const [width, height] = [video.videoWidth, video.videoHeight].map((pixels) => Math.round(pixels * scale));
  const image = typeof VideoFrame === "undefined" ? await createImageBitmap(video) : new VideoFrame(video);
  return { image, width, height };
}

/** Loads a video file into an element. Throws Error with the browser's reason if it is none. */
export async function openVideo(video: HTMLVideoElement, file: Blob): Promise<void> {
  video.srcObject = null;
  video.src = URL.createObjectURL(file);
  await new Promise<void>((resolve, reject) => {
    video.onloadeddata = () => resolve();
    video.onerror = () => reject(new Error(video.error?.message || "unknown format"));
  });
  if (!video.videoWidth) throw new Error("it has no picture, or one in a format that the browser does not know");
}

/**
 * Yields the times of the frames of a video, one after another, while it shows each. Browsers do not say where frames
 * are, so the next one is looked for behind the last one: at first in small steps, then about one frame further.
 */
export async function* frameTimes(video: HTMLVideoElement): AsyncGenerator<number> {
  await seek(video, 0);
  let last = shownSeconds(video);
  yield last;
  let step = Infinity;
  for (;;) {
    // Half a frame further than the next one begins, so that its time need not be exact.
    let found = last;
    for (let ahead = step === Infinity ? LEAST_STEP_SECONDS : 1.5 * step; found <= last; ahead += Math.min(step / 2, LEAST_STEP_SECONDS)) {
      if (ahead > LONGEST_STEP_SECONDS || last + ahead >= video.duration) return;
      await seek(video, last + ahead);
      found = shownSeconds(video);
    }
    // Another one may lie between them where the rate changes.
    while (found - last > 1.6 * step) {
      await seek(video, (last + found) / 2);
      const between = shownSeconds(video);
      if (between <= last || between >= found) {
        await seek(video, found + 1e-4);
        break;
      }
      found = between;
    }
    step = Math.min(step, found - last);
    last = found;
    yield last;
  }
}

async function seek(video: HTMLVideoElement, seconds: number): Promise<void> {
  await new Promise<void>((resolve) => {
    video.onseeked = () => resolve();
    video.currentTime = seconds;
  });
}

/** Returns the time of the frame that a video shows. */
function shownSeconds(video: HTMLVideoElement): number {
  if (typeof VideoFrame === "undefined") return video.currentTime;
  const frame = new VideoFrame(video);
  const seconds = frame.timestamp / 1e6;
  frame.close();
  return seconds;
}
