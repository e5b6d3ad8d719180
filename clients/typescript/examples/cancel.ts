/** Cancels a call at its first preview; the server stops within one step. */
import { connect } from "@kandinsky-grpc/client/node";

const client = connect(process.env["KANDINSKY_TARGET"] ?? "localhost:50051");
const controller = new AbortController();
const request = {
  prompts: ["a green ball"],
  sampling: { seed: 7, widthPx: 64, heightPx: 64, stepCount: 100 },
  options: { previewIntervalSteps: 3 },
};
let step = 0;
try {
  for await (const event of client.stream.generate(request, { signal: controller.signal })) {
    if (event.kind !== "preview") continue;
    step = event.value.step;
    controller.abort();
  }
} catch (error) {
  if (!controller.signal.aborted) throw error;
  console.log(`cancelled after step ${String(step)}`);
}
client.close();
