/** Makes an embedding once, keeps it, and decodes it four times. */
import { writeFile } from "node:fs/promises";

import { connect, loadEmbeddings, saveEmbeddings } from "@kandinsky-grpc/client/node";

const client = connect(process.env["KANDINSKY_TARGET"] ?? "localhost:50051");
const prior = await client.prior({ prompts: ["a red cube on a blue table"], sampling: { seed: 7 } });
await saveEmbeddings("embedding.safetensors", prior.embeddings);

const embeddings = (await loadEmbeddings("embedding.safetensors")).map(({ pair }) => pair);
for (const seed of [1, 2, 3, 4]) {
  const { images } = await client.decode({ embeddings, sampling: { seed, widthPx: 64, heightPx: 64, stepCount: 10 } });
  for (const { data } of images) await writeFile(`decoded-${String(seed)}.png`, data);
}
client.close();
