/** Lets the service worker keep the page, so that it works without a network from then on. */

export interface News {
  /** Bytes that are kept, of all. */
  progress(done: number, total: number): void;
  /** The page is not kept; it works while there is a network. */
  failed(reason: string): void;
  /** Another version of the page was published, and is kept now. */
  updated(): void;
}

type Message =
  | { readonly kind: "progress"; readonly done: number; readonly total: number }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "active"; readonly version: string };

/**
 * Resolves when the page's files come from the browser, or when that is impossible, so that each is loaded once.
 * version: of the page as it was loaded.
 */
export async function keepForOffline(version: string, news: News): Promise<void> {
  if (!("serviceWorker" in navigator)) return news.failed("no service worker");
  const wasKept = navigator.serviceWorker.controller !== null;
  const channel = new BroadcastChannel("signloom-files");
  const ended = new Promise<void>((resolve) => {
    channel.onmessage = ({ data }: MessageEvent<Message>) => {
      if (data.kind === "progress" && !wasKept) news.progress(data.done, data.total);
      if (data.kind === "failed" && !wasKept) news.failed(data.reason);
      if (data.kind === "active" && data.version !== version) news.updated();
      if (data.kind !== "progress") resolve();
    };
  });
  const controlled = new Promise<void>((resolve) => {
    navigator.serviceWorker.addEventListener("controllerchange", () => resolve(), { once: true });
  });
  try {
    const registration = await navigator.serviceWorker.register("sw.js", { updateViaCache: "none" });
    // Browsers look for another version when they like; without a network there is none.
    if (wasKept) registration.update().catch(() => {});
  } catch (error) {
    // Without a network the one that is there goes on.
    if (!wasKept) news.failed(error instanceof Error ? error.message : String(error));
    return;
  }
  if (!wasKept) await Promise.race([ended, controlled]);
  navigator.serviceWorker.controller?.postMessage("version");
}
