/** Watches a picture while it is made. */
import { writeFile } from "node:fs/promises";

import { connect } from "@kandinsky-grpc/client/node";

const client = connect(process.env["KANDINSKY_TARGET"] ?? "localhost:50051");
const events = client.stream.generate({
  prompts: ["a green ball"],
  sampling: { seed: 7, widthPx: 64, heightPx: 64, stepCount: 10 },
  options: { previewIntervalSteps: 3 },
});
for await (const { kind, value } of events) {
  if (kind === "progress") console.log(`${value.stage}: step ${String(value.step)} of ${String(value.stepCount)}`);
  if (kind === "preview") await writeFile(`preview-${String(value.step)}.jpg`, value.data);
  if (kind === "image") await writeFile("generated.png", value.data);
}
client.close();
