//! The routes behind TLS, with deadlines, and a stop that loses no request.

use std::{io, net::TcpListener, sync::Arc, time::Duration};

use axum::Router;
use axum_server::{
    Handle,
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use runtime::tls::ServingCertificate;

use crate::connection::{BoundedAcceptor, ConnectionLimits};

/// The API server keeps an idle connection for 90 seconds and has to be the one who closes it.
const CONNECTION_LIMITS: ConnectionLimits = ConnectionLimits {
    connections: 1024,
    head: Duration::from_secs(5),
    idle: Duration::from_secs(120),
};
/// How long requests that are under way may take once the server stops.
const FINISH_DEADLINE: Duration = Duration::from_secs(15);

/// Stops the server. Clones stop the same one.
#[derive(Clone, Debug, Default)]
pub struct Stop(Handle<std::net::SocketAddr>);

impl Stop {
    /// Takes no new connections, finishes the requests under way, then ends.
    pub fn gracefully(&self) {
        self.0.graceful_shutdown(Some(FINISH_DEADLINE));
    }
}

/// Serves the routes on a bound listener until stopped. New connections get the newest certificate.
///
/// HTTP/1.1 only, as the API server speaks it to webhooks: its connections spread over replicas,
/// which streams of one HTTP/2 connection would not.
pub async fn serve(
    listener: TcpListener,
    certificate: &ServingCertificate,
    router: Router,
    stop: Stop,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let config = certificate.server_config().map_err(io::Error::other)?;
    let tls = RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(config)))
        .handshake_timeout(CONNECTION_LIMITS.head)
        // Without it each answer waits for the client's acknowledgement of the one before.
        .acceptor(NoDelayAcceptor::new());
    let mut server = axum_server::from_tcp(listener)?
        .acceptor(BoundedAcceptor::new(tls, CONNECTION_LIMITS))
        .handle(stop.0)
        .http1_only();
    server.http_builder().http1().header_read_timeout(None);
    server.serve(router.into_make_service()).await
}
