/**
 * Build, dev server and tests of the console.
 *
 * `npm run dev` passes /api, /objects and /ws on to SOP_SERVER (default: the server of `make demo`; `npm run mock`
 * listens at :8900). Django serves `dist/` by whitenoise, which is why everything hashed lies under /assets/.
 */
import { fileURLToPath } from "node:url";

import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const server = process.env.SOP_SERVER ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react(), tailwindcss()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    outDir: "dist",
    assetsDir: "assets",
    // light-dark() in the tokens: every engine of the last two years has it, and lowering it would double the tokens.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    sourcemap: false,
  },
  server: {
    port: 5173,
    strictPort: true,
    proxy: {
      "/api": { target: server },
      "/objects": { target: server },
      "/ws": { target: server, ws: true },
    },
  },
  test: {
    environment: "jsdom",
    setupFiles: ["./src/testing/setup.ts"],
    include: ["src/**/*.test.{ts,tsx}"],
    restoreMocks: true,
    // Two cores are shared by everything that builds here; one worker is as fast and leaves the other alone.
    maxWorkers: 1,
    testTimeout: 60_000,
  },
});
