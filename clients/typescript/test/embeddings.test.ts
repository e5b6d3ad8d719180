import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { create } from "@bufbuild/protobuf";
import {
  Dtype,
  decodeEmbeddings,
  EmbeddingFileError,
  embeddingOf,
  embeddingValues,
  encodeEmbeddings,
} from "@kandinsky-grpc/client";
import { loadEmbeddings, saveEmbeddings } from "@kandinsky-grpc/client/node";
import { EmbeddingPairSchema, EmbeddingSchema, ReceiptSchema } from "@kandinsky-grpc/client/proto";
import { describe, expect, onTestFinished, test } from "vitest";

import { receiptsToJson } from "../src/receiptJson.js";
import { writeTensors } from "../src/safetensors.js";

/** Files that the Python client wrote. */
const DATA = new URL("data/", import.meta.url);

function pairOf(
  values: number[],
  fingerprint = "abc",
  negative = true,
): ReturnType<typeof create<typeof EmbeddingPairSchema>> {
  const embedding = embeddingOf(values, fingerprint);
  return create(EmbeddingPairSchema, { positive: embedding, ...(negative && { negative: embedding }) });
}

describe("values", () => {
  test("of bytes that begin anywhere", () => {
    const { data } = embeddingOf([0.5, -1.25]);
    const shifted = new Uint8Array(data.length + 1);
    shifted.set(data, 1);
    const embedding = create(EmbeddingSchema, { data: shifted.subarray(1), dtype: Dtype.F32, shape: [1, 2] });
    expect([...embeddingValues(embedding)]).toEqual([0.5, -1.25]);
  });

  test.each([
    [Dtype.F16, [0x3800, 0xc500, 0x7bff, 0x0001, 0x8000], [0.5, -5, 65504, 2 ** -24, -0]],
    [Dtype.BF16, [0x3f00, 0xc0a0, 0x8000], [0.5, -5, -0]],
  ])("of dtype %i", (dtype, bits, values) => {
    const data = new Uint8Array(Uint16Array.from(bits).buffer);
    expect([...embeddingValues(create(EmbeddingSchema, { data, dtype, shape: [bits.length] }))]).toEqual(values);
  });

  test("that are not as many as they should be are refused", () => {
    expect(() => embeddingValues({ ...embeddingOf([1, 2]), shape: [3] })).toThrow(RangeError);
    expect(() => embeddingValues({ ...embeddingOf([1, 2]), dtype: 99 as Dtype })).toThrow(/newer client/);
  });
});

describe("files", () => {
  test.each(["prior", "path", "half", "bare"])("of Python are read, and written byte for byte: %s", async (name) => {
    const file = await readFile(new URL(`${name}.safetensors`, DATA));
    expect(Buffer.from(encodeEmbeddings(decodeEmbeddings(file))).equals(file)).toBe(true);
  });

  test("hold pairs and receipts", async () => {
    const embeddings = decodeEmbeddings(await readFile(new URL("path.safetensors", DATA)));
    expect(embeddings.map(({ receipt }) => receipt?.weights)).toEqual([
      [1, 0],
      [0.5, 0.5],
      [0.1, 0.9],
    ]); // prettier-ignore
    const [first] = embeddings;
    expect(first?.pair.positive?.shape).toEqual([96]);
    expect(first?.pair.positive?.priorFingerprint).toBe(first?.receipt?.fingerprint);
  });

  test("are saved in a folder that may be new", async () => {
    const folder = await mkdtemp(join(tmpdir(), "kandinsky-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const path = join(folder, "new", "a.safetensors");
    await saveEmbeddings(path, [{ pair: pairOf([1, 2]) }, { pair: pairOf([3, 4]) }]);
    const loaded = await loadEmbeddings(path);
    expect(loaded.map(({ pair }) => pair.negative && [...embeddingValues(pair.negative)])).toEqual([
      [1, 2],
      [3, 4],
    ]); // prettier-ignore
  });

  test("of float64 become float32, of one dimension one row", () => {
    const data = new Uint8Array(Float64Array.of(0.5, 0.1).buffer);
    const file = writeTensors({ tensors: new Map([["positive", { dtype: "F64", shape: [2], data }]]), metadata: {} });
    const [stored] = decodeEmbeddings(file);
    expect(stored?.pair.negative).toBeUndefined();
    expect(stored?.pair.positive && [...embeddingValues(stored.pair.positive)]).toEqual([0.5, Math.fround(0.1)]);
  });

  test("hold pairs that belong together", () => {
    const unlike = [pairOf([1]), pairOf([1, 2]), pairOf([1], "other"), pairOf([1], "abc", false)];
    for (const pair of unlike.slice(1)) {
      expect(() => encodeEmbeddings([{ pair: pairOf([1]) }, { pair }])).toThrow(RangeError);
    }
    expect(() => encodeEmbeddings([])).toThrow(RangeError);
    expect(() => encodeEmbeddings([{ pair: create(EmbeddingPairSchema) }])).toThrow(RangeError);
  });

  const row = { dtype: "F32", shape: [1, 1], data: new Uint8Array(4) };
  const good = writeTensors({ tensors: new Map([["positive", row]]), metadata: {} });
  const text = (json: string): Uint8Array => {
    const file = new Uint8Array(8 + json.length);
    new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
    file.set(new TextEncoder().encode(json), 8);
    return file;
  };
  const of = (tensors: Record<string, typeof row>, metadata: Record<string, string> = {}): Uint8Array =>
    writeTensors({ tensors: new Map(Object.entries(tensors)), metadata });
  test.each<[string, Uint8Array, RegExp]>([
    ["empty", new Uint8Array(), /too few/],
    ["cut off in its header", good.subarray(0, 20), /cut off/],
    ["cut off in its numbers", good.subarray(0, -1), /tensor positive/],
    ["longer than it says", Uint8Array.from([...good, 0]), /follow the header/],
    ["no JSON", text("{"), /JSON/],
    ["a JSON list", text("[]"), /JSON object/],
    ["without `positive`", of({ weight: row }), /no tensor `positive`, but weight/],
    ["of whole numbers", of({ positive: { ...row, dtype: "I32" } }), /I32/],
    ["of three dimensions", of({ positive: { ...row, shape: [1, 1, 1] } }), /\[1, 1, 1\]/],
    [
      "of too few negatives",
      of({ positive: { ...row, shape: [2, 1], data: new Uint8Array(8) }, negative: row }),
      /rows/,
    ],
    ["of too many receipts", of({ positive: row }, { receipts: "[null, null]" }), /receipts/],
    ["of receipts that are none", of({ positive: row }, { receipts: "[3]" }), /Receipt/],
  ])("that are none are refused: %s", (_, file, words) => {
    expect(() => decodeEmbeddings(file)).toThrow(EmbeddingFileError);
    expect(() => decodeEmbeddings(file)).toThrow(words);
  });
});

test("receipts are Python's JSON", () => {
  const receipt = create(ReceiptSchema, {
    guidanceScale: 4,
    strength: 1e-5,
    prompt: "é\u007f\n\u{1f600}",
    weights: [0.0001, 1e16, -0, 1234.5],
    priorSampling: { imageCount: 3, stepCount: 2 },
  });
  expect(receiptsToJson([receipt, undefined])).toBe(
    '[{"guidance_scale": 4.0, "strength": 1e-05, "prompt": "\\u00e9\\u007f\\n\\ud83d\\ude00", ' +
      '"timings": {"queued": "0s", "denoising": "0s", "total": "0s"}, "weights": [0.0001, 1e+16, -0.0, 1234.5], ' +
      '"prior_sampling": {"step_count": 2}}, null]',
  );
});
