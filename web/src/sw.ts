/**
 * Keeps the page for use without a network. `files.js`, which `signloom page` writes, lists every file with its hash:
 * another list makes another worker, which takes what is new and forgets the rest.
 */

interface FileList {
  readonly version: string;
  readonly files: Readonly<Record<string, { readonly sha256: string; readonly bytes: number }>>;
}

interface Scope {
  readonly FILES: FileList;
  readonly clients: { claim(): Promise<void> };
  readonly registration: { readonly scope: string };
  importScripts(address: string): void;
  skipWaiting(): Promise<void>;
  addEventListener(kind: "install" | "activate", listener: (event: { waitUntil(work: Promise<unknown>): void }) => void): void;
  addEventListener(kind: "message", listener: () => void): void;
  addEventListener(
    kind: "fetch",
    listener: (event: { readonly request: Request; respondWith(response: Promise<Response>): void }) => void,
  ): void;
}

const scope = self as unknown as Scope;
scope.importScripts("files.js");
const { version, files } = scope.FILES;
const PREFIX = `signloom ${scope.registration.scope} `;
const NAME = PREFIX + version;
const news = new BroadcastChannel("signloom-files");

async function install(): Promise<void> {
  const earlier = await earlierFiles();
  const cache = await caches.open(NAME);
  const total = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
  let done = 0;
  try {
    for (const [name, { sha256, bytes }] of Object.entries(files)) {
      const address = new URL(name, scope.registration.scope).href;
      const kept = earlier.get(sha256);
      // A clone, since two files may be the same.
      await cache.put(keyOf(address, sha256), kept?.clone() ?? (await downloaded(name, address, sha256)));
      done += bytes;
      news.postMessage({ kind: "progress", done, total });
    }
  } catch (error) {
    await caches.delete(NAME);
    news.postMessage({ kind: "failed", reason: String(error) });
    throw error;
  }
  await scope.skipWaiting();
}

async function downloaded(name: string, address: string, sha256: string): Promise<Response> {
  const response = await fetch(address, { cache: "no-cache", integrity: `sha256-${sha256}` });
  if (!response.ok) throw new Error(`${name}: status ${response.status}`);
  return response;
}

/** The hash is a part of the key, so that a later worker finds the files that it need not load again. */
function keyOf(address: string, sha256: string): string {
  return `${address}?${encodeURIComponent(sha256)}`;
}

async function earlierFiles(): Promise<Map<string, Response>> {
  const found = new Map<string, Response>();
  for (const name of (await caches.keys()).filter((each) => each.startsWith(PREFIX))) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) {
      const response = await cache.match(request);
      if (response) found.set(decodeURIComponent(new URL(request.url).search.slice(1)), response);
    }
  }
  return found;
}

async function activate(): Promise<void> {
  const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== NAME);
  await Promise.all(old.map((name) => caches.delete(name)));
  await scope.clients.claim();
  tellVersion();
}

function tellVersion(): void {
  news.postMessage({ kind: "active", version });
}

async function answered(request: Request, address: string, sha256: string): Promise<Response> {
  const cache = await caches.open(NAME);
  return (await cache.match(keyOf(address, sha256))) ?? fetch(request);
}

scope.addEventListener("install", (event) => event.waitUntil(install()));
scope.addEventListener("activate", (event) => event.waitUntil(activate()));
// A page that began with an earlier version asks.
scope.addEventListener("message", tellVersion);
scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  const address = origin + pathname;
  if (request.method !== "GET" || !address.startsWith(scope.registration.scope)) return;
  const name = decodeURI(address.slice(scope.registration.scope.length)) || "index.html";
  const file = files[name];
  if (file) event.respondWith(answered(request, new URL(name, scope.registration.scope).href, file.sha256));
});
