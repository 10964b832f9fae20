/** Big files of the site are compressed, and unpacked here: many hosts of static files do not compress what they send. */

/** Not `.gz`: some servers take that for an encoding of their own. */
export const PACKED_SUFFIX = ".gzip";

/** The browser's own, also where something else takes its place. */
const load = fetch;

/** Returns the answer for a file that the site has compressed. Throws Error if it cannot be loaded. */
export async function unpacked(address: string): Promise<Response> {
  const response = await load(address + PACKED_SUFFIX);
  if (!response.ok || !response.body) throw new Error(`${address}: ${response.status}`);
  const type = address.endsWith(".wasm") ? "application/wasm" : "application/octet-stream";
  const content = response.body.pipeThrough(new DecompressionStream("gzip"));
  return new Response(content, { headers: { "Content-Type": type } });
}
