/** Does the cases that the conformance suite writes to standard input, one JSON object a line. */
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

import { type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { EmbeddingResult, EventStream, Kandinsky, StoredEmbedding, StreamName } from "@kandinsky-grpc/client";
import { loadEmbeddings, saveEmbeddings } from "@kandinsky-grpc/client/node";
import * as proto from "@kandinsky-grpc/client/proto";

import { bytesOf, type Case, callOptionsOf, clientOf } from "./case.js";
import { jsonLine } from "./jsonLine.js";
import { addEvent, embedding, errorReport, type Report } from "./report.js";

const REQUESTS: Record<StreamName, DescMessage> = {
  prior: proto.PriorRequestSchema,
  interpolate: proto.InterpolateRequestSchema,
  decode: proto.DecodeRequestSchema,
  img2img: proto.Img2ImgRequestSchema,
  inpaint: proto.InpaintRequestSchema,
  controlnet: proto.ControlNetRequestSchema,
  generate: proto.GenerateRequestSchema,
};

for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim()) process.stdout.write(jsonLine(await carryOut(JSON.parse(line) as Case)));
}

async function carryOut(asked: Case): Promise<Report> {
  const report: Report = { case: asked.case };
  const began = performance.now();
  let client: Kandinsky | undefined;
  try {
    client = clientOf(asked);
    await call(client, asked, report);
  } catch (error) {
    report["error"] = errorReport(error);
  }
  report["elapsed_seconds"] = (performance.now() - began) / 1000;
  await sleep((asked.linger_seconds ?? 0) * 1000);
  client?.close();
  return report;
}

async function call(client: Kandinsky, asked: Case, report: Report): Promise<void> {
  const options = callOptionsOf(asked);
  switch (asked.call) {
    case "info":
      report["info"] = encoded(proto.GetServerInfoResponseSchema, await client.info(options));
      break;
    case "health":
      report["health"] = await client.health(asked.service, options);
      break;
    case "estimate": {
      const question = fromBinary(proto.EstimateRequestSchema, bytesOf(asked.request));
      report["estimate"] = encoded(proto.EstimateResponseSchema, await client.estimate(question, options));
      break;
    }
    case "embed_image": {
      const result = await client.embedImage(bytesOf(asked.image), options);
      report["embeddings"] = [embedding(result)];
      await save(asked, [result]);
      break;
    }
    case "embedding_file":
      await save(asked, await loadEmbeddings(asked.embeddings_file ?? ""));
      break;
    case "round_trip": {
      const schema = (proto as unknown as Record<string, DescMessage>)[`${asked.type ?? ""}Schema`];
      if (!schema) throw new Error(`there is no message ${asked.type ?? ""}`);
      report["message"] = encoded(schema, fromBinary(schema, bytesOf(asked.message)));
      break;
    }
    default:
      await stream(client, asked, asked.call as StreamName, report);
  }
}

async function stream(client: Kandinsky, asked: Case, name: StreamName, report: Report): Promise<void> {
  const request = fromBinary(REQUESTS[name], bytesOf(asked.request)) as proto.DecodeRequest;
  if (asked.embeddings_file) {
    request.embeddings.push(...(await loadEmbeddings(asked.embeddings_file)).map(({ pair }) => pair));
  }
  const controller = new AbortController();
  const { cancel_after_seconds: seconds } = asked;
  const timer =
    seconds === undefined
      ? undefined
      : setTimeout(() => {
          controller.abort();
        }, seconds * 1000);
  const start = client.stream[name] as (...given: Parameters<Kandinsky["stream"]["decode"]>) => EventStream;
  const results: EmbeddingResult[] = [];
  try {
    for await (const event of start(request, callOptionsOf(asked, controller.signal))) {
      addEvent(report, event);
      if (event.kind === "embedding") results.push(event.value);
      if (event.kind === asked.cancel_on) controller.abort();
    }
  } catch (error) {
    if (error !== controller.signal.reason) throw error;
    report["cancelled"] = true;
  } finally {
    clearTimeout(timer);
  }
  if (results.length) await save(asked, results);
}

async function save(asked: Case, embeddings: StoredEmbedding[]): Promise<void> {
  if (asked.save_file) await saveEmbeddings(asked.save_file, embeddings);
}

function encoded<Desc extends DescMessage>(schema: Desc, message: Parameters<typeof toBinary<Desc>>[1]): string {
  return Buffer.from(toBinary(schema, message)).toString("base64");
}
