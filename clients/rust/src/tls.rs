//! How to trust the server, and how to be trusted by it.

use std::fmt;

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::Error;

/// TLS, trusting the system's roots unless told otherwise. Certificates and keys are the bytes of PEM files.
#[derive(Clone, Default)]
#[must_use]
pub struct Tls {
    roots: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    /// Trusts the system's roots.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these certificates in place of the system's roots.
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Shows the server a certificate chain and its private key, which has no password: mutual TLS.
    pub fn identity(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some((certificate.into(), key.into()));
        self
    }

    pub(crate) fn config(self) -> Result<ClientTlsConfig, Error> {
        let mut config = ClientTlsConfig::new();
        config = match self.roots {
            Some(pem) => {
                config.ca_certificate(Certificate::from_pem(holds("ca_certificate", pem, "CERTIFICATE")?))
            }
            None => config.with_native_roots(),
        };
        if let Some((certificate, key)) = self.identity {
            let certificate = holds("identity's certificate", certificate, "CERTIFICATE")?;
            let key = holds("identity's key", key, "PRIVATE KEY")?;
            config = config.identity(Identity::from_pem(certificate, key));
        }
        Ok(config)
    }
}

/// tonic takes a PEM without any certificate for no roots at all, and then trusts nobody.
fn holds(name: &str, pem: Vec<u8>, kind: &str) -> Result<Vec<u8>, Error> {
    let there = String::from_utf8_lossy(&pem)
        .lines()
        .any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&format!("{kind}-----")));
    if there {
        Ok(pem)
    } else {
        Err(Error::argument(format!("{name}: no PEM {} in it", kind.to_lowercase())))
    }
}

/// Without the private key.
impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tls")
            .field("system_roots", &self.roots.is_none())
            .field("identity", &self.identity.is_some())
            .finish()
    }
}
