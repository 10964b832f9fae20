/** What Python computed: `tests/page_vectors.py` writes it, and SIGNLOOM_VECTORS names the file. */

import { readFileSync } from "node:fs";

export const path = process.env.SIGNLOOM_VECTORS;

/** Returns the vectors of a kind; none where there is no file. */
export function read<Kind>(kind: string): readonly Kind[] {
  return path ? ((JSON.parse(readFileSync(path, "utf8"))[kind] ?? []) as Kind[]) : [];
}

export function floats(base64: string): Float32Array {
  const bytes = Buffer.from(base64, "base64");
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}
