import { Code, ConnectError, decodeBinaryHeader } from "@connectrpc/connect";
import { connectionFault } from "./connectionFaults.js";
import { milliseconds } from "./durations.js";
import { RpcError } from "./errors.js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";

/** The `domain` of every ErrorInfo of this contract. */
export const DOMAIN = "kandinsky-grpc.github.io";
const DETAILS_KEY = "grpc-status-details-bin";
/** Where the status stands, in headers or trailers. */
export const STATUS_KEY = "grpc-status";
const REQUEST_ID_KEY = "x-request-id";

/** Translates what a Connect transport threw, with the details that the server attached. */
export function rpcErrorFrom(thrown: unknown): RpcError {
  const error = ConnectError.from(thrown);
  const fault = connectionFault(error);
  const [info] = error.findDetails(ErrorInfoSchema).filter(({ domain }) => domain === DOMAIN);
  const [retry] = error.findDetails(RetryInfoSchema);
  const [request] = error.findDetails(RequestInfoSchema);
  // So gRPC's servers answer calls that come as they end; the statuses of this contract have reasons.
  const isLetGo = error.code === Code.Canceled && error.rawMessage === "CANCELLED" && info === undefined;
  return new RpcError({
    code: fault?.code ?? (isLetGo ? Code.Unavailable : error.code),
    rawMessage: fault?.words ?? error.rawMessage,
    reason: info?.reason ?? "",
    metadata: info?.metadata ?? {},
    fieldViolations: error
      .findDetails(BadRequestSchema)
      .flatMap(({ fieldViolations }) => fieldViolations)
      .map(({ field, description }) => ({ field, description })),
    retryDelayMs: retry?.retryDelay && milliseconds(retry.retryDelay),
    requestId: error.metadata.get(REQUEST_ID_KEY) ?? request?.requestId ?? "",
    cause: error,
  });
}

/**
 * Removes status details that cannot be read, or that contradict the status, which a proxy may have rewritten: Connect
 * would report them in place of the status itself.
 */
export function dropUnreadableDetails(headers: Headers): void {
  const details = headers.get(DETAILS_KEY);
  if (details !== null && detailedCode(details) !== Number(headers.get(STATUS_KEY) ?? NaN)) {
    headers.delete(DETAILS_KEY);
  }
}

function detailedCode(details: string): number | undefined {
  try {
    return decodeBinaryHeader(details, StatusSchema).code;
  } catch {
    return undefined;
  }
}

/** The error of a call that `close` ended. */
export function closedError(): RpcError {
  return new RpcError({ code: Code.Canceled, rawMessage: "the client was closed" });
}
