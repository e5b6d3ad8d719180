import { Code } from "@connectrpc/connect";

import type { ErrorReason } from "./gen/kandinsky_api/v1/errors_pb.js";

/** A name of the contract's `ErrorReason`, such as "QUEUE_FULL". */
export type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED">;

/** The root of everything that this package throws on purpose, but for `TypeError` and `RangeError` of arguments. */
export class KandinskyError extends Error {
  override name = "KandinskyError";
}

/** The stream ended without `completed`, or what it carried does not add up. */
export class IncompleteStreamError extends KandinskyError {
  override name = "IncompleteStreamError";
}

/** A file that is no `.safetensors` file of embeddings. */
export class EmbeddingFileError extends KandinskyError {
  override name = "EmbeddingFileError";
}

/** One field of the request that broke its range. */
export interface FieldViolation {
  /** Its path, such as "sampling.step_count". */
  readonly field: string;
  /** What to change. */
  readonly description: string;
}

/** What an {@link RpcError} is made of. */
export interface RpcErrorParts {
  readonly code: Code;
  readonly rawMessage: string;
  readonly reason?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly fieldViolations?: readonly FieldViolation[];
  readonly retryDelayMs?: number | undefined;
  readonly requestId?: string;
  readonly cause?: unknown;
}

/** The server, or the way to it, answered with a status other than OK. */
export class RpcError extends KandinskyError {
  override name = "RpcError";
  /** The canonical code. */
  readonly code: Code;
  /** The server's sentence; `message` has the code, the violations and the request id besides. */
  readonly rawMessage: string;
  /** Why, for programs: a name of the contract's `ErrorReason`; "" when gRPC itself, or a proxy, made the status. */
  readonly reason: Reason | (string & {});
  /** The limits and values that the message speaks of, by the names that errors.proto gives at each reason. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The fields to change, for `Code.InvalidArgument`. */
  readonly fieldViolations: readonly FieldViolation[];
  /** Milliseconds to wait before another try, as the server advises; undefined when it does not. */
  readonly retryDelayMs: number | undefined;
  /** What the server's log knows the request by; "" when the request never got there. */
  readonly requestId: string;

  constructor(parts: RpcErrorParts) {
    super(describe(parts), { cause: parts.cause });
    this.code = parts.code;
    this.rawMessage = parts.rawMessage;
    this.reason = parts.reason ?? "";
    this.metadata = parts.metadata ?? {};
    this.fieldViolations = parts.fieldViolations ?? [];
    this.retryDelayMs = parts.retryDelayMs;
    this.requestId = parts.requestId ?? "";
  }
}

/**
 * Returns the name that gRPC gives a code.
 *
 * @param code - Such as `Code.ResourceExhausted`.
 * @returns Such as "RESOURCE_EXHAUSTED".
 */
export function codeName(code: Code): string {
  if (code === Code.Canceled) return "CANCELLED"; // gRPC's spelling; Connect's has one l
  return Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}

function describe(parts: RpcErrorParts): string {
  const { code, rawMessage, reason, fieldViolations = [], requestId } = parts;
  const violations = fieldViolations
    .filter(({ description }) => !rawMessage.includes(description))
    .map(({ field, description }) => `${field}: ${description}`);
  return [
    `${codeName(code)}${reason ? ` (${reason})` : ""}: ${rawMessage || "no message"}`,
    ...violations,
    ...(requestId ? [`request ${requestId}`] : []),
  ].join(" | ");
}
