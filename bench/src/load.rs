//! Load on a server: connections that each send the next request when the last one is answered.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rustls::ClientConfig;
use tokio::task::{JoinError, JoinSet, yield_now};

use crate::connection::Connection;

/// Longest latency that is told apart, in nanoseconds.
const LONGEST: u64 = 10_000_000_000;
/// Significant figures of latencies.
const FIGURES: u8 = 3;

/// Connections to one server, kept open from one measurement to the next.
pub struct Load {
    connections: Vec<Connection>,
    request: Arc<[u8]>,
}

/// What a load saw.
#[derive(Debug)]
pub struct Seen {
    /// Latencies in nanoseconds.
    pub latencies: Histogram<u64>,
    /// How long it took.
    pub elapsed: Duration,
}

/// A load could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A connection failed, or an answer was no answer.
    #[error("a request failed: {0}")]
    Request(#[from] io::Error),
    /// Its task ended.
    #[error("a connection's task ended: {0}")]
    Task(#[from] JoinError),
    /// Latencies cannot be counted.
    #[error("latencies: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
    /// Latencies cannot be added up.
    #[error("latencies: {0}")]
    Addition(#[from] hdrhistogram::AdditionError),
}

impl Load {
    /// Opens `concurrency` connections that will all send this request.
    pub async fn open(
        address: SocketAddr,
        config: &Arc<ClientConfig>,
        request: Vec<u8>,
        concurrency: usize,
    ) -> Result<Self, LoadError> {
        let mut connections = Vec::with_capacity(concurrency);
        for _ in 0..concurrency {
            connections.push(Connection::open(address, Arc::clone(config)).await?);
        }
        Ok(Self { connections, request: request.into() })
    }

    /// Gives one answer.
    pub async fn answer(&mut self) -> Result<Vec<u8>, LoadError> {
        match self.connections.first_mut() {
            Some(connection) => Ok(connection.exchange(&self.request).await?.to_vec()),
            None => Ok(Vec::new()),
        }
    }

    /// Sends requests for this long.
    pub async fn run(&mut self, duration: Duration) -> Result<Seen, LoadError> {
        let awake = tokio::spawn(stay_awake());
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for connection in self.connections.drain(..) {
            tasks.spawn(drive(connection, Arc::clone(&self.request), started + duration));
        }
        let mut latencies = histogram()?;
        while let Some(ended) = tasks.join_next().await {
            let (connection, own) = ended??;
            latencies.add(&own)?;
            self.connections.push(connection);
        }
        let elapsed = started.elapsed();
        awake.abort();
        Ok(Seen { latencies, elapsed })
    }
}

/// Keeps this thread from falling asleep. Over a network a server's core does not pay for waking its
/// clients; on one machine it would, and the slower the server, the more often.
async fn stay_awake() {
    loop {
        yield_now().await;
    }
}

async fn drive(
    mut connection: Connection,
    request: Arc<[u8]>,
    end: Instant,
) -> Result<(Connection, Histogram<u64>), LoadError> {
    let mut latencies = histogram()?;
    let mut before = Instant::now();
    while before < end {
        connection.exchange(&request).await?;
        let now = Instant::now();
        let latency = u64::try_from((now - before).as_nanos()).unwrap_or(LONGEST);
        latencies.saturating_record(latency);
        before = now;
    }
    Ok((connection, latencies))
}

fn histogram() -> Result<Histogram<u64>, hdrhistogram::CreationError> {
    Histogram::new_with_max(LONGEST, FIGURES)
}
