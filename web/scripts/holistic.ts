/**
 * Puts the files of MediaPipe Holistic that the page uses into the site, and the licences of all that is in it. What they
 * fetch is compressed, for hosts that do not compress what they send.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";
import { PACKED_SUFFIX } from "../src/workers/packed";

const FOLDER = "node_modules/@mediapipe/holistic";
const PACKAGE = "holistic_solution_packed_assets";
const WHOLE = [
  "holistic.binarypb",
  "holistic_solution_simd_wasm_bin.js",
  "holistic_solution_simd_wasm_bin.wasm",
  "pose_landmark_full.tflite",
];
/** Models that Holistic never opens: hands are found from the pose, and the face mesh has no iris. 40 % of the package. */
const UNUSED = /face_landmark_with_attention|palm_detection/;
/** What Holistic and ONNX Runtime fetch. */
const FETCHED = /\.(wasm|data|tflite|binarypb)$/;
/** The loader asks in another way than the rest of Holistic. */
const REQUEST = /function fetchRemotePackage\(.*(?=function handleError)/s;
const FETCH = `function fetchRemotePackage(name, size, callback, errback) {
  fetch(name).then((response) => response.arrayBuffer()).then(callback, errback);
}
`;

/** How Holistic frees its results, which it never does: `delete` is no own property of them, and arrays have none. */
const FREE = `"object"===typeof n&&n.hasOwnProperty&&n.hasOwnProperty("delete")&&n.delete()`;
const FREED = "n&&(n.isDeleted?n.isDeleted()||n.delete():ArrayBuffer.isView(n)&&a.i._free(n.byteOffset))";

interface Packed {
  filename: string;
  start: number;
  end: number;
}

/** Returns the package of models without those that are unused, and the script that loads it, with `fetch`. */
export function trimmed(loader: string, data: Uint8Array): { loader: string; data: Uint8Array } {
  const list = /"files": (\[[^\]]*\])/.exec(loader);
  const size = /"remote_package_size": (\d+)/.exec(loader);
  if (!list || !size || !REQUEST.test(loader)) throw new Error(`${PACKAGE}_loader.js has another form than expected; look at its new version`);
  const files = JSON.parse(list[1]) as Packed[];
  let length = 0;
  const kept = files.map((file) => {
    const part = UNUSED.test(file.filename) ? data.subarray(0, 0) : data.subarray(file.start, file.end);
    const entry = { ...file, start: length, end: length + part.length };
    length = entry.end;
    return { entry, part };
  });
  const result = new Uint8Array(length);
  for (const { entry, part } of kept) result.set(part, entry.start);
  const entries = kept.filter(({ part }) => part.length).map(({ entry }) => entry);
  const script = loader
    .replace(list[0], `"files": ${JSON.stringify(entries)}`)
    .replace(size[0], `"remote_package_size": ${length}`)
    .replace(REQUEST, FETCH);
  return { loader: script, data: result };
}

/** Returns Holistic's script so that it frees the landmarks of each frame, 10 kB, in the memory of its WebAssembly. */
export function freeing(script: string): string {
  if (script.split(FREE).length !== 2) throw new Error("holistic.js has another form than expected; look at its new version");
  return script.replace(FREE, FREED);
}

export function holistic(): Plugin {
  return {
    name: "holistic",
    apply: "build",
    generateBundle() {
      const emit = (name: string, source: string | Uint8Array) =>
        this.emitFile({ type: "asset", fileName: `holistic/${name}`, source });
      for (const name of WHOLE) emit(name, readFileSync(join(FOLDER, name)));
      emit("holistic.js", freeing(readFileSync(join(FOLDER, "holistic.js"), "utf8")));
      const loader = readFileSync(join(FOLDER, `${PACKAGE}_loader.js`), "utf8");
      const models = trimmed(loader, readFileSync(join(FOLDER, `${PACKAGE}.data`)));
      const licences = readFileSync("scripts/notices.txt", "utf8") + readFileSync("../LICENSE", "utf8");
      this.emitFile({ type: "asset", fileName: "licences.txt", source: licences });
      emit(`${PACKAGE}_loader.js`, models.loader);
      emit(`${PACKAGE}.data`, models.data);
    },
  };
}

/** Compresses the files of the site that scripts fetch, whose names then end with `PACKED_SUFFIX`. */
export function packed(): Plugin {
  return {
    name: "packed",
    apply: "build",
    enforce: "post",
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        for (const [fileName, file] of Object.entries(bundle)) {
          if (file.type !== "asset" || !FETCHED.test(fileName)) continue;
          delete bundle[fileName];
          const source = gzipSync(file.source, { level: 9 });
          this.emitFile({ type: "asset", fileName: fileName + PACKED_SUFFIX, source });
        }
      },
    },
  };
}
