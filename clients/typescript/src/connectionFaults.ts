import { Code, type ConnectError } from "@connectrpc/connect";

/** What a broken connection means as a gRPC status. */
export interface ConnectionFault {
  readonly code: Code;
  /** Better words than the runtime's, where there are some. */
  readonly words?: string;
  /** Whether both ends disagree on encryption or trust, which no retry mends. */
  readonly isTls: boolean;
}

const TLS = /^(ERR_SSL_|ERR_TLS_|ERR_OSSL_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|EPROTO$|HOSTNAME_MISMATCH)/;
const CONNECTION = /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_|EHOSTUNREACH|ENETUNREACH|ERR_HTTP2_|ERR_STREAM_|UND_ERR_)/;

/**
 * Says what a failure of the connection means. Node tells by codes such as "ECONNRESET", to which Connect gives statuses
 * of its own; browsers throw the same `TypeError` for all.
 *
 * @returns undefined for a status that came from the other end.
 */
export function connectionFault(error: ConnectError): ConnectionFault | undefined {
  const causes = [...chain(error.cause)];
  const codes = causes.map(({ code }) => code).filter((code) => typeof code === "string");
  if (codes.some((code) => TLS.test(code))) {
    return {
      code: Code.Unavailable,
      words: `no TLS connection could be agreed on (${error.rawMessage}): check the target, the authorities and the client's certificate`,
      isTls: true,
    };
  }
  if (codes.some((code) => CONNECTION.test(code)) || causes.some((cause) => cause instanceof TypeError)) {
    return { code: Code.Unavailable, words: `the connection failed (${error.rawMessage})`, isTls: false };
  }
  return undefined;
}

function* chain(cause: unknown): Generator<Error & { readonly code?: unknown }> {
  for (let depth = 0; cause instanceof Error && depth < 8; depth += 1, cause = cause.cause) yield cause;
}
