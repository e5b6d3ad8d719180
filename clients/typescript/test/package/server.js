/** Runs a program that calls localhost:50051, with a server there that makes two pictures: `node server.js PROGRAM`. */
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http2";
import { pathToFileURL } from "node:url";

import { connectNodeAdapter } from "@connectrpc/connect-node";
import { embeddingOf } from "@kandinsky-grpc/client";
import { ImageService, PriorService } from "@kandinsky-grpc/client/proto";

const ADDRESS = "localhost:50051";
const data = new Uint8Array([1, 2, 3]);

async function* prior() {
  const embeddings = { positive: embeddingOf([1, 2]), negative: embeddingOf([3, 4]) };
  yield { event: { kind: { case: "embedding", value: { embeddings } } } };
  yield { event: { kind: { case: "completed", value: { embeddingCount: 1 } } } };
}

async function* decode(request) {
  const { seed } = request.sampling;
  yield { event: { kind: { case: "progress", value: { step: 1, stepCount: 2 } } } };
  yield { event: { kind: { case: "preview", value: { data } } } };
  for (const index of [0, 1]) {
    const receipt = { seed: seed + BigInt(index) };
    yield { event: { kind: { case: "image", value: { index, data, sizeBytes: 3n, receipt } } } };
  }
  yield { event: { kind: { case: "completed", value: { imageCount: 2 } } } };
}

const server = createServer(
  connectNodeAdapter({
    routes: (router) => router.service(PriorService, { prior }).service(ImageService, { decode }),
  }),
);
server.listen(0, "localhost", async () => {
  const program = readFileSync(process.argv[2], "utf8");
  writeFileSync("program.js", program.replaceAll(ADDRESS, `localhost:${server.address().port}`));
  await import(pathToFileURL("program.js"));
  server.close();
});
