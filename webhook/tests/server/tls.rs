//! Over real sockets: certificates that change, headers that do not come, a stop that loses nothing.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use runtime::tls::ServingCertificate;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use webhook::server::{Stop, serve};

use crate::fixture::{Webhook, api_pod, helper, pod_review};

const NAME: &str = "webhook.test";
const PATIENCE: Duration = Duration::from_secs(20);

struct Running {
    address: SocketAddr,
    certificate: ServingCertificate,
    stop: Stop,
    webhook: Webhook,
    server: JoinHandle<std::io::Result<()>>,
}

fn start() -> Running {
    let webhook = Webhook::with(&[("helper", helper())]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (certificate, stop) = (ServingCertificate::default(), Stop::default());
    let server = tokio::spawn({
        let (certificate, stop, router) =
            (certificate.clone(), stop.clone(), webhook.router.clone());
        async move { serve(listener, &certificate, router, stop).await }
    });
    Running { address, certificate, stop, webhook, server }
}

/// Makes a certificate, serves it, and gives what a client trusts.
fn renew(certificate: &ServingCertificate) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    certificate.replace(chain.as_bytes(), key.as_bytes()).unwrap();
    CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()
}

async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(NAME).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    let body = pod_review(&api_pod()).to_string();
    let head = format!(
        "POST /mutate/pods HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("}}") {
        let mut bytes = [0; 4096];
        let read = timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap().unwrap();
        assert!(read > 0, "the connection ended in the middle: {answer}");
        answer.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    answer
}

#[tokio::test]
async fn a_new_certificate_is_served_while_old_connections_go_on() {
    let running = start();
    let first = renew(&running.certificate);
    let mut old = connect(running.address, &first).await.unwrap();
    assert!(ask(&mut old).await.contains("JSONPatch"));
    let second = renew(&running.certificate);
    assert!(connect(running.address, &first).await.is_err(), "the old one is no longer served");
    let mut new = connect(running.address, &second).await.unwrap();
    assert!(ask(&mut new).await.contains("JSONPatch"));
    assert!(ask(&mut old).await.contains("JSONPatch"));
}

#[tokio::test]
async fn without_a_certificate_a_handshake_fails_and_the_server_goes_on() {
    let running = start();
    let other = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    let trusted = CertificateDer::from_pem_slice(other.cert.pem().as_bytes()).unwrap();
    assert!(connect(running.address, &trusted).await.is_err());
    let trusted = renew(&running.certificate);
    assert!(connect(running.address, &trusted).await.is_ok());
}

#[tokio::test]
async fn headers_that_do_not_come_end_the_connection() {
    let running = start();
    let trusted = renew(&running.certificate);
    let mut stream = connect(running.address, &trusted).await.unwrap();
    stream.write_all(b"POST /mutate/pods HTTP/1.1\r\nHost: ").await.unwrap();
    let mut rest = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn a_request_under_way_is_answered_when_the_server_stops() {
    let running = start();
    let trusted = renew(&running.certificate);
    let mut stream = connect(running.address, &trusted).await.unwrap();
    let body = pod_review(&api_pod()).to_string();
    let head = format!(
        "POST /mutate/pods HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    timeout(PATIENCE, stream.read_exact(&mut go_on)).await.unwrap().unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n", "the request is under way");
    running.webhook.state.drain();
    running.stop.gracefully();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The end of the connection may come with or without a word of TLS; the answer has to be whole.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close") && answer.ends_with("}}"));
    timeout(PATIENCE, running.server).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}
