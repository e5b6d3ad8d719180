//! Encrypted connections.
#![cfg(feature = "tls-ring")]

mod support;

use kandinsky_client::{Client, Code, Error, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::Running;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name, and its key.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

async fn start(authority: &Authority, name: &str, clients: Option<&Authority>) -> Running {
    let (certificate, key) = authority.issue(name);
    let mut tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
    if let Some(clients) = clients {
        tls = tls.client_ca_root(Certificate::from_pem(clients.pem()));
    }
    Running::start_with(Server::builder().tls_config(tls).unwrap(), []).await
}

async fn tls_failure(server: &Running, tls: Tls) {
    match server.builder().tls(tls).build().unwrap().info().await {
        Err(Error::Rpc(error)) => assert!(error.code == Code::Unavailable && error.tls, "{error:?}"),
        other => panic!("expected a failure of TLS, not {other:?}"),
    }
}

#[tokio::test]
async fn a_trusted_server_is_called() {
    let authority = Authority::new();
    let server = start(&authority, "localhost", None).await;
    let tls = Tls::new().ca_certificate(authority.pem());
    server.builder().tls(tls).token("secret").build().unwrap().info().await.unwrap();
    assert_eq!(server.metadata(0).get("authorization").unwrap(), "Bearer secret");
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_a_failure_of_tls() {
    let authority = Authority::new();
    let server = start(&authority, "localhost", None).await;
    tls_failure(&server, Tls::new()).await;
    tls_failure(&server, Tls::new().ca_certificate(Authority::new().pem())).await;
    let server = start(&authority, "another.example", None).await;
    tls_failure(&server, Tls::new().ca_certificate(authority.pem())).await;
    let server = Running::start([]).await;
    tls_failure(&server, Tls::new().ca_certificate(authority.pem())).await;
}

#[tokio::test]
async fn a_server_may_want_the_client_s_certificate() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let server = start(&authority, "localhost", Some(&clients)).await;
    let (certificate, key) = clients.issue("client");
    let tls = Tls::new().ca_certificate(authority.pem());
    server.builder().tls(tls.clone().identity(certificate, key)).build().unwrap().info().await.unwrap();
    tls_failure(&server, tls).await;
}

#[tokio::test]
async fn what_is_no_pem_is_refused() {
    let (certificate, key) = Authority::new().issue("client");
    let (_, other_key) = Authority::new().issue("client");
    let refused = [
        Tls::new().ca_certificate("no certificate"),
        Tls::new().identity(certificate.clone(), "no key"),
        Tls::new().identity(key, certificate.clone()),
        Tls::new().identity(certificate, other_key),
    ];
    for tls in refused {
        let client = Client::builder("localhost:1").tls(tls).build();
        assert!(matches!(client, Err(Error::Argument(_))), "{client:?}");
    }
}
