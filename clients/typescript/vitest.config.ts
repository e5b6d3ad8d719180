import { fileURLToPath } from "node:url";

import { defineConfig } from "vitest/config";

const source = fileURLToPath(new URL("src", import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^@kandinsky-grpc\/client$/, replacement: `${source}/index.ts` },
      { find: /^@kandinsky-grpc\/client\/(.*)$/, replacement: `${source}/$1.ts` },
    ],
  },
  test: { include: ["test/**/*.test.ts"], maxWorkers: 1 },
});
