import { defineConfig } from "vitest/config";

/** The page in a real browser; `pytest tests/test_page_browser.py` makes what it needs and says where it is. */
export default defineConfig({
  test: { include: ["browser/**/*.test.ts"], testTimeout: 600_000, hookTimeout: 300_000, fileParallelism: false },
});
