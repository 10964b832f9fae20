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

/** A camera or a file cannot be used: the key of a text, and the browser's reason. */
export class SourceError extends Error {
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

/** Opens the camera of a visitor who allows it. Throws SourceError. */
export async function openCamera(video: HTMLVideoElement): Promise<MediaStream> {
  // Not there in pages of plain http.
  if (!navigator.mediaDevices) throw new SourceError("error_insecure");
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
    throw new SourceError(CAMERA_ERRORS[name] ?? "error_camera", message || name);
  }
}

/**
 * Calls `take` for a frame that a playing video shows, with its time and how many were not taken since the last one; and
 * again when that is done. Nobody is called for the frames between, which are dropped: each call costs browsers memory
 * that they free rarely. Returns what ends it.
 */
export function eachFrame(video: HTMLVideoElement, take: (seconds: number, numDropped: number) => Promise<void>): () => void {
  let numShown = 0;
  let isEnded = false;
  let request = video.requestVideoFrameCallback(function next(_, { mediaTime, presentedFrames }) {
    const numDropped = numShown ? Math.max(0, presentedFrames - numShown - 1) : 0;
    numShown = presentedFrames;
    void take(mediaTime, numDropped).then(() => {
      if (!isEnded) request = video.requestVideoFrameCallback(next);
    });
  });
  return () => {
    isEnded = true;
    video.cancelVideoFrameCallback(request);
  };
}

/** Returns what a video shows now; who takes it must close it. */
export async function pictureOf(video: HTMLVideoElement): Promise<Picture> {
  const scale = Math.min(1, MOST_PIXELS / Math.max(video.videoWidth, video.videoHeight));
  const [width, height] = [video.videoWidth, video.videoHeight].map((pixels) => Math.round(pixels * scale));
  const image = typeof VideoFrame === "undefined" ? await createImageBitmap(video) : frameOf(video);
  return { image, width, height };
}

/** Loads a video file into an element. Throws SourceError if it is none. */
export async function openVideo(video: HTMLVideoElement, file: Blob): Promise<void> {
  if (!file.size) throw new SourceError("error_video_empty");
  video.srcObject = null;
  video.src = URL.createObjectURL(file);
  await new Promise<void>((resolve, reject) => {
    video.onloadeddata = () => resolve();
    video.onerror = () => reject(videoError(video, "error_video"));
  });
  if (!video.videoWidth) throw new SourceError("error_video_blind");
}

function videoError({ error }: HTMLVideoElement, key: string): SourceError {
  return new SourceError(key, error?.message || `code ${error?.code}`);
}

/**
 * Yields the times of the frames of a video, one after another, while it shows each. Browsers do not say where frames
 * are, so the next one is looked for behind the last one: at first in small steps, then about one frame further. Throws
 * SourceError where the file is damaged.
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
  await new Promise<void>((resolve, reject) => {
    const damaged = () => reject(videoError(video, "error_video_damaged"));
    if (video.error) return damaged();
    video.onseeked = () => resolve();
    video.onerror = damaged;
    video.currentTime = seconds;
  });
}

/** Returns the frame that a video shows. Throws SourceError where decoding has failed since it was shown. */
function frameOf(video: HTMLVideoElement): VideoFrame {
  try {
    return new VideoFrame(video);
  } catch (error) {
    throw video.error ? videoError(video, "error_video_damaged") : error;
  }
}

/** Returns the time of the frame that a video shows. */
function shownSeconds(video: HTMLVideoElement): number {
  if (typeof VideoFrame === "undefined") return video.currentTime;
  const frame = frameOf(video);
  const seconds = frame.timestamp / 1e6;
  frame.close();
  return seconds;
}
