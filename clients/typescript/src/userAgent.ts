import type { Interceptor } from "@connectrpc/connect";

import { USER_AGENT } from "./version.js";

/**
 * Names this client to the server.
 *
 * @param header - "user-agent", or "x-user-agent" where a browser keeps the other to itself.
 */
export function userAgent(header: "user-agent" | "x-user-agent"): Interceptor {
  return (next) => (request) => {
    request.header.set(header, USER_AGENT);
    return next(request);
  };
}
