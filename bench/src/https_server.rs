//! HTTPS by the same libraries as the webhook and nothing more: for the null server, the recorder, and
//! stand-ins of an API server.

use std::{convert::Infallible, future::Future, sync::Arc};

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Body, Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Serves HTTP/1.1 over TLS until the listener fails.
pub async fn serve<A, F, B>(
    listener: TcpListener,
    config: ServerConfig,
    answer: A,
) -> std::io::Result<()>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream, acceptor.clone(), answer.clone()));
    }
}

/// An answer of JSON.
pub fn json(body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn connection<A, F, B>(stream: TcpStream, acceptor: TlsAcceptor, answer: A)
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes, Error = Infallible> + 'static,
{
    let service = service_fn(|request| {
        let response = answer(request);
        async { Ok::<_, Infallible>(response.await) }
    });
    match acceptor.accept(stream).await {
        // How it ends tells nothing: the programs that are measured are killed in the end.
        Ok(stream) => {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
        Err(error) => eprintln!("no TLS connection: {error}"),
    }
}
