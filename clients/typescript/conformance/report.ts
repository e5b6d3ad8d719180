import { createHash } from "node:crypto";

import {
  codeName,
  EmbeddingFileError,
  type EmbeddingResult,
  type Event,
  type ImageResult,
  IncompleteStreamError,
  RpcError,
} from "@kandinsky-grpc/client";
import type { Completed, Preview, Progress, Queued } from "@kandinsky-grpc/client/proto";

/** What a case's report says, as conformance/README.md says. */
export type Report = Record<string, unknown>;

/** Returns the SHA-256 of bytes, in hexadecimal. */
export function sha256(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** Adds an event to a report. */
export function addEvent(report: Report, { kind, value }: Event): void {
  append(report, "events", kind);
  if (kind === "queued") report["queued"] = queued(value);
  else if (kind === "progress") append(report, "progress", progress(value));
  else if (kind === "preview") append(report, "previews", preview(value));
  else if (kind === "embedding") append(report, "embeddings", embedding(value));
  else if (kind === "image") append(report, "images", image(value));
  else report["completed"] = completed(value);
}

/** Returns what a case reports of an error. */
export function errorReport(error: unknown): Report {
  if (error instanceof IncompleteStreamError) return { kind: "incomplete_stream" };
  if (error instanceof EmbeddingFileError) return { kind: "embedding_file" };
  if (error instanceof TypeError || error instanceof RangeError) return { kind: "argument" };
  if (!(error instanceof RpcError)) throw error;
  return {
    kind: "rpc",
    code: codeName(error.code),
    reason: error.reason,
    metadata: error.metadata,
    violations: error.fieldViolations.map(({ field, description }) => [field, description]),
    retry_delay_seconds: error.retryDelayMs === undefined ? null : error.retryDelayMs / 1000,
    request_id: error.requestId,
  };
}

function queued({ position, requestId, seed, trajectoryCount }: Queued): Report {
  return { position, request_id: requestId, seed, trajectory_count: trajectoryCount };
}

function progress({ stage, index, step, stepCount }: Progress): unknown[] {
  return [stage, index, step, stepCount];
}

function preview({ index, step, stepCount, format, data }: Preview): Report {
  return { index, step, step_count: stepCount, format, sha256: sha256(data) };
}

/** Embeddings hold their numbers as little-endian float32, so the digest is that of the message's bytes. */
export function embedding({ index, sourceIndex, fingerprint, pair, positive }: EmbeddingResult): Report {
  return {
    index,
    source_index: sourceIndex,
    fingerprint,
    width: positive.length,
    positive_sha256: sha256(pair.positive?.data ?? new Uint8Array()),
    negative_sha256: pair.negative && sha256(pair.negative.data),
    first: positive[0],
  };
}

function image({ index, sourceIndex, format, widthPx, heightPx, data, receipt }: ImageResult): Report {
  return {
    index,
    source_index: sourceIndex,
    format,
    width_px: widthPx,
    height_px: heightPx,
    size_bytes: data.byteLength,
    sha256: sha256(data),
    seed: receipt.seed,
  };
}

function completed({ embeddingCount, imageCount, stepCount, seed, warnings }: Completed): Report {
  return {
    embedding_count: embeddingCount,
    image_count: imageCount,
    step_count: stepCount,
    seed,
    warnings,
  };
}

function append(report: Report, key: string, item: unknown): void {
  report[key] = [...((report[key] as unknown[] | undefined) ?? []), item];
}
