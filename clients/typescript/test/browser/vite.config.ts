import { fileURLToPath } from "node:url";

import { defineConfig } from "vite";

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  base: "./",
  resolve: { alias: { "@kandinsky-grpc/client/web": fileURLToPath(new URL("../../src/web.ts", import.meta.url)) } },
  build: { outDir: fileURLToPath(new URL("../../build/browser", import.meta.url)), emptyOutDir: true },
  logLevel: "warn",
});
