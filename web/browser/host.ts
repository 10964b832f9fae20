/** A host of static pages that knows nothing of the page: no headers but types. It serves a folder in a folder. */

import { createServer, type Server } from "node:http";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

export class Host {
  /** What was asked for so far. */
  readonly requests: string[] = [];
  private server: Server | null = null;

  /** root: the folder that is served; another one may be published later. */
  constructor(public root: string) {}

  async start(): Promise<string> {
    const server = createServer(async ({ url }, response) => {
      const path = decodeURIComponent(new URL(url ?? "/", "http://host").pathname);
      this.requests.push(path);
      const name = path.replace(/^\/signs\//, "") || "index.html";
      try {
        const content = await readFile(join(this.root, normalize(`/${name}`)));
        response.writeHead(200, { "Content-Type": TYPES[extname(name)] ?? "application/octet-stream" });
        response.end(content);
      } catch {
        response.writeHead(404).end();
      }
    });
    this.server = server;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `http://localhost:${(server.address() as AddressInfo).port}/signs/`;
  }

  /** Returns what was asked for after the first `count` requests, without the browser's own check for a newer worker. */
  askedSince(count: number): string[] {
    return this.requests.slice(count).filter((path) => !/\/(sw|files)\.js$/.test(path));
  }

  stop(): void {
    this.server?.closeAllConnections();
    this.server?.close();
  }
}
