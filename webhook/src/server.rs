//! The routes behind TLS, with deadlines, and a stop that loses no request.

use std::{io, net::TcpListener, sync::Arc, time::Duration};

use axum::Router;
use axum_server::{
    Handle,
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hyper_util::rt::TokioTimer;
use runtime::tls::ServingCertificate;

/// How long a client may take for a handshake, and then for the headers of a request.
const HEADER_DEADLINE: Duration = Duration::from_secs(5);
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
pub async fn serve(
    listener: TcpListener,
    certificate: &ServingCertificate,
    router: Router,
    stop: Stop,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let config = certificate.server_config().map_err(io::Error::other)?;
    let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(config)))
        .handshake_timeout(HEADER_DEADLINE)
        // Without it each answer waits for the client's acknowledgement of the one before.
        .acceptor(NoDelayAcceptor::new());
    let mut server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(stop.0);
    let http = server.http_builder();
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_concurrent_streams(250);
    server.serve(router.into_make_service()).await
}
