/** Meets a full queue: what the error says, for programs that have a better plan than to try again. */
import { connect, embeddingOf, RpcError } from "@kandinsky-grpc/client/node";

const client = connect(process.env["KANDINSKY_TARGET"] ?? "localhost:50051", { retries: 0 });
// Any numbers will do: the queue is looked at before they are.
const zeros = embeddingOf(new Float32Array(1280));
const pair = { positive: zeros, negative: zeros };
try {
  await client.decode({ embeddings: [pair], sampling: { seed: 7, widthPx: 64, heightPx: 64, stepCount: 10 } });
} catch (error) {
  if (!(error instanceof RpcError) || error.reason !== "QUEUE_FULL") throw error;
  const seconds = ((error.retryDelayMs ?? 0) / 1000).toFixed(1);
  console.log(`the queue is full: try again in ${seconds} s`);
  console.log(`it has room for ${error.metadata["queue_size"] ?? "?"} trajectories`);
}
client.close();
