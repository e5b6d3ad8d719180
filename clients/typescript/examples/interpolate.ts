/** Goes from one prompt to another in five steps, and decodes each. */
import { writeFile } from "node:fs/promises";

import { connect } from "@kandinsky-grpc/client/node";

const client = connect(process.env["KANDINSKY_TARGET"] ?? "localhost:50051");
const path = await client.interpolate({
  conditions: ["a red cube", "a blue ball"].map((value) => ({ kind: { case: "text", value } })),
  weights: [0, 0.25, 0.5, 0.75, 1].map((share) => ({ values: [1 - share, share] })),
  sampling: { seed: 7 },
});
for (const { index, pair } of path.embeddings) {
  const sampling = { seed: 7, widthPx: 64, heightPx: 64, stepCount: 10 };
  const { images } = await client.decode({ embeddings: [pair], sampling });
  for (const { data } of images) await writeFile(`path-${String(index + 1)}.png`, data);
}
client.close();
