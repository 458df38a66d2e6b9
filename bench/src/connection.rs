//! A keep-alive connection of a client that does as little as it can itself, so that the server is
//! what is measured.

use std::{io, net::SocketAddr, sync::Arc};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Where the headers of an HTTP message end.
const END_OF_HEADERS: &[u8] = b"\r\n\r\n";
const CONTENT_LENGTH: &str = "content-length:";

/// An open TLS connection to a server.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    received: Vec<u8>,
}

impl Connection {
    /// Opens a connection.
    pub async fn open(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(address.ip().into());
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        Ok(Self { stream, received: Vec::with_capacity(64 << 10) })
    }

    /// Sends a whole request, waits for the whole answer and gives its body. Any answer but 200 is
    /// an error.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<&[u8]> {
        self.received.clear();
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((start, end)) = body_range(&self.received)?
                && self.received.len() >= end
            {
                return Ok(self.received.get(start..end).unwrap_or_default());
            }
        }
    }
}

/// A request that posts a review, headers included.
#[must_use]
pub fn request(path: &str, review: &str) -> Vec<u8> {
    let length = review.len();
    format!(
        "POST {path}?timeout=10s HTTP/1.1\r\nHost: webhook.sidecar-policy-system.svc:443\r\n\
         User-Agent: kube-apiserver-admission\r\nContent-Length: {length}\r\nAccept: application/json, */*\r\n\
         Content-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n{review}"
    )
    .into_bytes()
}

/// Where the body of an answer starts and ends; `None` before its headers are complete.
fn body_range(received: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let Some(headers_end) =
        received.windows(END_OF_HEADERS.len()).position(|window| window == END_OF_HEADERS)
    else {
        return Ok(None);
    };
    let headers = received.get(..headers_end).unwrap_or_default();
    let headers = std::str::from_utf8(headers).map_err(|_| invalid("headers are not text"))?;
    if !headers.starts_with("HTTP/1.1 200") {
        return Err(invalid(headers));
    }
    let length = headers
        .lines()
        .find(|line| {
            line.get(..CONTENT_LENGTH.len())
                .is_some_and(|name| name.eq_ignore_ascii_case(CONTENT_LENGTH))
        })
        .and_then(|line| line.get(CONTENT_LENGTH.len()..)?.trim().parse::<usize>().ok())
        .ok_or_else(|| invalid("the answer has no Content-Length"))?;
    let start = headers_end + END_OF_HEADERS.len();
    Ok(Some((start, start + length)))
}
