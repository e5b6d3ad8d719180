/** The version of this package. */
export const VERSION = "0.1.0";

/** What the server sees of this client, in its logs. */
export const USER_AGENT = `kandinsky-client-typescript/${VERSION}`;
