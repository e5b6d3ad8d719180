import { create } from "@bufbuild/protobuf";

import { embeddingOf, embeddingValues } from "./embeddings.js";
import { EmbeddingFileError } from "./errors.js";
import { Dtype, type Embedding, EmbeddingPairSchema, EmbeddingSchema } from "./gen/kandinsky_api/v1/types_pb.js";
import { receiptsFromJson, receiptsToJson } from "./receiptJson.js";
import type { StoredEmbedding } from "./results.js";
import { readTensors, type Tensor, writeTensors } from "./safetensors.js";

const STORED: Readonly<Record<string, Dtype>> = { F32: Dtype.F32, F16: Dtype.F16, BF16: Dtype.BF16 };

/**
 * Writes embeddings as a `.safetensors` file: two tensors, `positive` and `negative`, each `[pairs, width]`, which
 * diffusers takes as `image_embeds` and `negative_image_embeds`.
 *
 * float16 is kept; bfloat16 is written as float32, which holds it exactly.
 *
 * @param embeddings - Results of `prior` or `interpolate`, or what a file held.
 * @returns The bytes of the file, the same in every language's client.
 * @throws RangeError, when none were given, or they differ in width, prior, or in having a negative embedding.
 */
export function encodeEmbeddings(embeddings: Iterable<StoredEmbedding>): Uint8Array<ArrayBuffer> {
  const stored = [...embeddings];
  const positives = stored.flatMap(({ pair }) => pair.positive ?? []);
  const negatives = stored.flatMap(({ pair }) => pair.negative ?? []);
  const alike = new Set(stored.map(({ pair: { positive, negative } }) => kindOf(positive, negative)));
  const [first] = positives;
  if (!first || alike.size !== 1 || positives.length !== stored.length) {
    throw new RangeError("one file holds pairs of one prior and width, all with a negative embedding or none");
  }
  const tensors = new Map([["positive", stack(positives)]]);
  if (negatives.length) tensors.set("negative", stack(negatives));
  const receipts = receiptsToJson(stored.map(({ receipt }) => receipt));
  return writeTensors({ tensors, metadata: { prior_fingerprint: first.priorFingerprint, receipts } });
}

/**
 * Reads the pairs of a `.safetensors` file; any that has a `positive` tensor will do. float64 becomes float32.
 *
 * @param file - The bytes of the file.
 * @throws EmbeddingFileError, when it holds something else, or is damaged.
 */
export function decodeEmbeddings(file: Uint8Array): StoredEmbedding[] {
  try {
    return pairs(file);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new EmbeddingFileError(`no file of embeddings: ${why}`, { cause: error });
  }
}

function pairs(file: Uint8Array): StoredEmbedding[] {
  const { tensors, metadata } = readTensors(file);
  const positive = tensors.get("positive");
  if (!positive) {
    throw new RangeError(`it has no tensor \`positive\`, but ${[...tensors.keys()].sort().join(", ") || "none"}`);
  }
  const fingerprint = metadata["prior_fingerprint"] ?? "";
  const positives = rows("positive", positive, fingerprint);
  const negative = tensors.get("negative");
  const negatives = negative && rows("negative", negative, fingerprint);
  const receipts = receiptsFromJson(metadata["receipts"] ?? "null");
  checkCount("`negative`", negatives, positives.length);
  checkCount("`receipts`", receipts?.length ? receipts : undefined, positives.length);
  return positives.map((row, place) => ({
    pair: create(EmbeddingPairSchema, { positive: row, ...(negatives?.[place] && { negative: negatives[place] }) }),
    receipt: receipts?.[place],
  }));
}

function checkCount(name: string, items: readonly unknown[] | undefined, count: number): void {
  if (items && items.length !== count) {
    throw new RangeError(`it has ${String(count)} rows of \`positive\` and ${String(items.length)} of ${name}`);
  }
}

function rows(name: string, stored: Tensor, priorFingerprint: string): Embedding[] {
  const { dtype: dtypeName, shape, data } = stored.dtype === "F64" ? single(stored) : stored;
  const dtype = STORED[dtypeName];
  if (dtype === undefined) {
    throw new RangeError(`\`${name}\` is ${dtypeName} and must be ${Object.keys(STORED).join(", ")} or F64`);
  }
  const [count, width] = shape.length === 1 ? [1, shape[0]] : shape;
  if (shape.length > 2 || !count || !width) {
    throw new RangeError(`\`${name}\` is [${shape.join(", ")}] and must be [pairs, width] or [width]`);
  }
  const rowBytes = data.byteLength / count;
  return Array.from({ length: count }, (_, row) =>
    create(EmbeddingSchema, {
      data: data.slice(row * rowBytes, (row + 1) * rowBytes),
      dtype,
      shape: [width],
      priorFingerprint,
    }),
  );
}

function single({ shape, data }: Tensor): Tensor {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const values = Array.from({ length: data.byteLength / 8 }, (_, place) => view.getFloat64(place * 8, true));
  return { dtype: "F32", shape, data: embeddingOf(values).data };
}

function stack(embeddings: readonly Embedding[]): Tensor {
  const half = embeddings.every(({ dtype }) => dtype === Dtype.F16);
  const parts = embeddings.map((embedding) => (half ? embedding.data : embeddingOf(embeddingValues(embedding)).data));
  const rowBytes = parts[0]?.byteLength ?? 0;
  const data = new Uint8Array(rowBytes * parts.length);
  parts.forEach((part, row) => {
    data.set(part, row * rowBytes);
  });
  return { dtype: half ? "F16" : "F32", shape: [parts.length, rowBytes / (half ? 2 : 4)], data };
}

function kindOf(positive: Embedding | undefined, negative: Embedding | undefined): string {
  const width = positive && embeddingValues(positive).length;
  return JSON.stringify([positive?.priorFingerprint, width, negative !== undefined]);
}
