//! Where a client's server is and how to speak to it.

use std::time::Duration;

use tokio::runtime::Handle;
use tonic::metadata::MetadataMap;
use tonic::transport::Endpoint;

use crate::client::{Client, Settings};
use crate::error::Error;
use crate::limits::check_timeout;
use crate::metadata;
#[cfg(feature = "tls-ring")]
use crate::tls::Tls;
use crate::v1::Priority;

const USER_AGENT: &str = concat!("kandinsky-client-rust/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A request may wait in the queue without a word for longer than NAT tables and proxies remember.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// How a client speaks to its server; made by [`Client::builder`]. What cannot be is told by [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientBuilder {
    target: String,
    #[cfg(feature = "tls-ring")]
    tls: Option<Tls>,
    settings: Result<Settings, String>,
}

impl ClientBuilder {
    pub(crate) fn new(target: String) -> Self {
        let settings = Settings {
            timeout: None,
            retries: 5,
            priority: Priority::Unspecified,
            metadata: MetadataMap::new(),
        };
        Self {
            target,
            #[cfg(feature = "tls-ring")]
            tls: None,
            settings: Ok(settings),
        }
    }

    /// Encrypts the connection. Default: it is not encrypted.
    #[cfg(feature = "tls-ring")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sends "authorization: Bearer ..." with every call, on an unencrypted connection too. Printable ASCII; "" is none.
    pub fn token(self, token: &str) -> Self {
        self.set(|settings| metadata::bearer(&mut settings.metadata, token))
    }

    /// Sends a pair of gRPC metadata with every call: a lower-case key, and printable ASCII.
    pub fn metadata(self, key: &str, value: &str) -> Self {
        self.set(|settings| metadata::append(&mut settings.metadata, key, value))
    }

    /// The longest that a call may take, retries and waits included, above 0. Default: no limit, as `Duration::MAX`.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.set(|settings| {
            settings.timeout = Some(check_timeout(timeout)?);
            Ok(())
        })
    }

    /// The most retries of a call that the server turned away or that did not reach it, in a row that bring no checkpoint and
    /// no result. Default 5.
    pub fn retries(self, retries: u32) -> Self {
        self.set(|settings| {
            settings.retries = retries;
            Ok(())
        })
    }

    /// The priority of requests that name none.
    pub fn priority(self, priority: Priority) -> Self {
        self.set(|settings| {
            settings.priority = priority;
            Ok(())
        })
    }

    /// Makes the client. It connects at its first call, and again whenever the connection was lost.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`]: a target, certificate, token or other setting that cannot be, or no Tokio runtime to run in.
    pub fn build(self) -> Result<Client, Error> {
        let settings = self.settings.map_err(Error::Argument)?;
        if Handle::try_current().is_err() {
            return Err(Error::argument(
                "a client is made inside a Tokio runtime, such as under #[tokio::main]",
            ));
        }
        let endpoint = endpoint(&self.target, "http")?;
        #[cfg(feature = "tls-ring")]
        let endpoint = match self.tls {
            Some(tls) => endpoint_with_tls(&self.target, tls)?,
            None => endpoint,
        };
        Ok(Client::new(endpoint.connect_lazy(), settings))
    }

    fn set(mut self, change: impl FnOnce(&mut Settings) -> Result<(), Error>) -> Self {
        if let Ok(settings) = &mut self.settings
            && let Err(error) = change(settings)
        {
            self.settings = Err(error.to_string());
        }
        self
    }
}

fn endpoint(target: &str, scheme: &str) -> Result<Endpoint, Error> {
    let wrong =
        || Error::argument(format!("target must be an address such as localhost:50051, not {target:?}"));
    let uri: http::Uri = format!("{scheme}://{target}").parse().map_err(|_| wrong())?;
    if uri.authority().is_none_or(|authority| authority.as_str() != target) {
        return Err(wrong());
    }
    let endpoint = Endpoint::from(uri)
        .user_agent(USER_AGENT)
        .map_err(|error| Error::argument(error.to_string()))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_TIME)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    Ok(endpoint)
}

#[cfg(feature = "tls-ring")]
fn endpoint_with_tls(target: &str, tls: Tls) -> Result<Endpoint, Error> {
    endpoint(target, "https")?.tls_config(tls.config()?).map_err(|error| {
        let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
        Error::argument(format!("the certificates given cannot be used{cause}"))
    })
}
