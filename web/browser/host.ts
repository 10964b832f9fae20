/** A host of static pages that knows nothing of the page: no headers but types. It serves a folder in a folder. */

import { createServer, type Server, type ServerResponse } from "node:http";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { gzipSync } from "node:zlib";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/** How a host sends: at once, or over a line of so many bytes per second, which all its answers share. */
interface Line {
  readonly compresses?: boolean;
  readonly bytesPerSecond?: number;
}

const CHUNK = 16_384;

export class Host {
  /** What was asked for so far. */
  readonly requests: string[] = [];
  private server: Server | null = null;
  /** When the line is free again. */
  private free = 0;

  /** root: the folder that is served; another one may be published later. */
  constructor(public root: string, private readonly line: Line = {}) {}

  async start(): Promise<string> {
    const server = createServer(async ({ url }, response) => {
      const path = decodeURIComponent(new URL(url ?? "/", "http://host").pathname);
      this.requests.push(path);
      const name = path.replace(/^\/signs\//, "") || "index.html";
      try {
        const file = await readFile(join(this.root, normalize(`/${name}`)));
        const content = this.line.compresses ? gzipSync(file) : file;
        const encoding = this.line.compresses ? { "Content-Encoding": "gzip" } : {};
        response.writeHead(200, { "Content-Type": TYPES[extname(name)] ?? "application/octet-stream", ...encoding });
        await this.send(content, response);
      } catch {
        response.writeHead(404).end();
      }
    });
    this.server = server;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `http://localhost:${(server.address() as AddressInfo).port}/signs/`;
  }

  private async send(content: Buffer, response: ServerResponse): Promise<void> {
    const { bytesPerSecond } = this.line;
    for (let at = 0; bytesPerSecond && at < content.length; at += CHUNK) {
      const part = content.subarray(at, at + CHUNK);
      this.free = Math.max(this.free, performance.now()) + (1000 * part.length) / bytesPerSecond;
      await new Promise((resolve) => setTimeout(resolve, this.free - performance.now()));
      response.write(part);
    }
    response.end(bytesPerSecond ? undefined : content);
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
