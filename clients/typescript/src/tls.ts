import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";

/** Certificates in PEM, as `tls.connect` takes them. */
export interface TlsOptions {
  /** Whom to trust. Default: the authorities that Node comes with. */
  readonly ca?: string | Buffer | undefined;
  /** This client's certificate chain, for mutual TLS; needs `key`. */
  readonly cert?: string | Buffer | undefined;
  /** Its private key, without password; needs `cert`. */
  readonly key?: string | Buffer | undefined;
}

/**
 * Checks certificates, which would only fail at each connection otherwise.
 *
 * @throws TypeError, when one is no PEM, or `cert` and `key` do not belong together.
 */
export function checkTls({ ca, cert, key }: TlsOptions): void {
  if ((cert === undefined) !== (key === undefined)) {
    throw new TypeError(`tls: cert and key need each other: ${cert === undefined ? "cert" : "key"} is missing`);
  }
  for (const [name, pem] of Object.entries({ ca, cert })) {
    if (pem !== undefined && !isCertificate(pem)) throw new TypeError(`tls: ${name} is no PEM certificate`);
  }
  if (key === undefined) return;
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw new TypeError("tls: key is not the private key, in PEM without password, of cert", { cause: error });
  }
}

function isCertificate(pem: string | Buffer): boolean {
  try {
    new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}
