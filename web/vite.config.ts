import { defineConfig } from "vite";
import { holistic, packed } from "./scripts/holistic";

export default defineConfig({
  // Relative addresses: the site may lie in any folder of a host.
  base: "./",
  publicDir: "public",
  plugins: [holistic(), packed()],
  worker: { format: "es" },
  build: {
    outDir: "../src/signloom/page/site",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    // Nothing is put into other files as data: addresses, which the page's policy does not allow.
    assetsInlineLimit: 0,
    rollupOptions: {
      input: { index: "index.html", sw: "src/sw.ts" },
      output: { entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
    },
  },
  test: { include: ["tests/**/*.test.ts"], testTimeout: 60_000 },
} as Parameters<typeof defineConfig>[0]);
