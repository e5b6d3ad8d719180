/** Repaints the white part of a mask: `node inpaint.js IMAGE MASK`. */
import { readFile, writeFile } from "node:fs/promises";

import { connect } from "@kandinsky-grpc/client/node";

const [imagePath, maskPath] = process.argv.slice(2);
if (!imagePath || !maskPath) throw new Error("give the files of an image and of its mask");
const client = connect(process.env["KANDINSKY_TARGET"] ?? "localhost:50051");
const star = await client.prior({ prompts: ["a yellow star"], sampling: { seed: 7 } });
const { images, completed } = await client.inpaint({
  embeddings: star.pairs,
  image: { data: await readFile(imagePath) },
  mask: { data: await readFile(maskPath) },
  sampling: { seed: 7, stepCount: 10, widthPx: 64, heightPx: 64 },
});
for (const warning of completed.warnings) console.warn(warning);
for (const { data } of images) await writeFile("inpainted.png", data);
client.close();
