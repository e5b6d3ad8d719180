const PRINTABLE = /^[ -~]*$/;

/**
 * Checks metadata, and joins it to the client's own.
 *
 * @param sources - Later ones win.
 * @throws TypeError, for a name or a value that HTTP/2 cannot carry, or a name that is gRPC's own.
 */
export function joinMetadata(...sources: readonly (HeadersInit | undefined)[]): Headers {
  const joined = new Headers();
  for (const source of sources) {
    new Headers(source).forEach((value, key) => {
      if (key.startsWith("grpc-")) throw new TypeError(`metadata ${key}: names that start with "grpc-" are gRPC's own`);
      if (!PRINTABLE.test(value)) {
        throw new TypeError(
          `metadata ${key} must be printable ASCII; give bytes as base64, with a name that ends in -bin`,
        );
      }
      joined.set(key, value);
    });
  }
  return joined;
}

/**
 * Returns the metadata that shows a token; undefined and "" show none.
 *
 * @throws TypeError, when it has characters that HTTP/2 cannot carry, or white space at an end.
 */
export function bearer(token: string | undefined): Record<string, string> {
  if (token !== undefined && typeof token !== "string") throw new TypeError("token must be a string");
  if (!token) return {};
  if (token !== token.trim()) {
    throw new TypeError("token starts or ends with white space, such as a file's last newline; trim() it");
  }
  if (!PRINTABLE.test(token)) throw new TypeError("token must be printable ASCII");
  return { authorization: `Bearer ${token}` };
}
