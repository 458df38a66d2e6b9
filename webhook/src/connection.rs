//! Bounds on connections: how many there are, how long the head of a request may take to arrive,
//! and how long a connection may be idle.
//!
//! hyper has one deadline for both waits. A short one would close connections that the API server
//! keeps to use again, and a request that it sends at that moment would fail.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum_server::accept::Accept;
use futures::future::BoxFuture;
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep, timeout},
};
use tower_service::Service;

/// Bounds on connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// Most connections at once; further ones wait.
    pub(crate) connections: usize,
    /// Time for a handshake, for a free place, and from the first byte of a request to the end of
    /// its head; it may take up to twice as long until a connection is closed for it.
    pub(crate) head: Duration,
    /// Time without a request.
    pub(crate) idle: Duration,
}

/// Accepts connections within limits.
#[derive(Clone, Debug)]
pub(crate) struct BoundedAcceptor<A> {
    inner: A,
    places: Arc<Semaphore>,
    limits: ConnectionLimits,
}

impl<A> BoundedAcceptor<A> {
    /// Bounds what `inner` accepts.
    pub(crate) fn new(inner: A, limits: ConnectionLimits) -> Self {
        Self { inner, places: Arc::new(Semaphore::new(limits.connections)), limits }
    }
}

impl<A, S> Accept<TcpStream, S> for BoundedAcceptor<A>
where
    A: Accept<TcpStream, S> + Clone + Send + 'static,
    A::Future: Send,
    A::Stream: Send,
    A::Service: Send,
    S: Send + 'static,
{
    type Stream = BoundedStream<A::Stream>;
    type Service = ObservedService<A::Service>;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Self { inner, places, limits } = self.clone();
        Box::pin(async move {
            let place = timeout(limits.head, places.acquire_owned()).await?;
            let place = place.map_err(io::Error::other)?;
            let (stream, service) = inner.accept(stream, service).await?;
            let progress = Progress::default();
            let service = ObservedService { inner: service, progress: progress.clone() };
            Ok((BoundedStream::new(stream, progress, limits, place), service))
        })
    }
}

/// How many requests of a connection began or ended; odd while one is answered.
#[derive(Clone, Debug, Default)]
struct Progress(Arc<AtomicUsize>);

impl Progress {
    fn advance(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn load(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A service that notes when it is busy.
#[derive(Clone, Debug)]
pub(crate) struct ObservedService<S> {
    inner: S,
    progress: Progress,
}

impl<S: Service<R>, R> Service<R> for ObservedService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.progress.advance();
        Observed { answer: self.inner.call(request), _busy: Busy(self.progress.clone()) }
    }
}

pin_project! {
    /// An answer in the making.
    #[derive(Debug)]
    pub(crate) struct Observed<F> {
        #[pin]
        answer: F,
        _busy: Busy,
    }
}

impl<F: Future> Future for Observed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.project().answer.poll(context)
    }
}

/// Notes the end of a request, also of one that is given up.
#[derive(Debug)]
struct Busy(Progress);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.advance();
    }
}

/// What a connection waits for, and until when.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The next request.
    Idle(Instant),
    /// The rest of the head of a request.
    Head(Instant),
    /// The answer; its body has a deadline of its own.
    Answer,
}

/// A stream that ends when the client takes too long.
#[derive(Debug)]
pub(crate) struct BoundedStream<S> {
    inner: S,
    progress: Progress,
    /// The progress that `phase` takes into account.
    seen: usize,
    phase: Phase,
    /// Wakes the connection often enough to meet deadlines. It is not set anew for each request,
    /// which would cost more than the requests' own part of the work.
    timer: Pin<Box<Sleep>>,
    limits: ConnectionLimits,
    _place: OwnedSemaphorePermit,
}

impl<S> BoundedStream<S> {
    fn new(
        inner: S,
        progress: Progress,
        limits: ConnectionLimits,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            inner,
            seen: progress.load(),
            progress,
            phase: Phase::Head(Instant::now() + limits.head),
            timer: Box::pin(sleep(limits.head)),
            limits,
            _place: place,
        }
    }

    /// Follows the requests that began or ended since the last look.
    fn follow_progress(&mut self) {
        let progress = self.progress.load();
        if progress != self.seen {
            self.seen = progress;
            self.phase = if progress % 2 == 1 {
                Phase::Answer
            } else {
                Phase::Idle(Instant::now() + self.limits.idle)
            };
        }
    }

    /// Ready when the client has taken too long.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (Phase::Idle(deadline) | Phase::Head(deadline)) = self.phase else {
            return Poll::Pending;
        };
        loop {
            ready!(self.timer.as_mut().poll(context));
            let now = Instant::now();
            if now >= deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(deadline.min(now + self.limits.head));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for BoundedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.follow_progress();
        let filled = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        if read.is_pending() {
            // To the reader it looks as if the client had ended the connection.
            return self.poll_deadline(context).map(Ok);
        }
        if matches!(self.phase, Phase::Idle(_)) && buffer.filled().len() > filled {
            self.phase = Phase::Head(Instant::now() + self.limits.head);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for BoundedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        connections: 1,
        head: Duration::from_secs(5),
        idle: Duration::from_secs(100),
    };

    fn connection() -> (DuplexStream, BoundedStream<DuplexStream>, Progress) {
        let (client, server) = duplex(64);
        let progress = Progress::default();
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        (client, BoundedStream::new(server, progress.clone(), LIMITS, place), progress)
    }

    /// Reads to the end; gives the seconds it took.
    async fn seconds_until_the_end(stream: &mut BoundedStream<DuplexStream>) -> u64 {
        let started = Instant::now();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        started.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_not_waited_for() {
        let (_client, mut stream, _) = connection();
        assert_eq!(seconds_until_the_end(&mut stream).await, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_may_be_idle_between_requests() {
        let (mut client, mut stream, progress) = connection();
        client.write_all(b"head").await.unwrap();
        stream.read_exact(&mut [0; 4]).await.unwrap();
        // The request begins and ends before the stream is read again.
        progress.advance();
        progress.advance();
        let seconds = seconds_until_the_end(&mut stream).await;
        assert!((100..105).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_head_has_its_own_deadline() {
        let (mut client, mut stream, progress) = connection();
        progress.advance();
        progress.advance();
        client.write_all(b"he").await.unwrap();
        let seconds = seconds_until_the_end(&mut stream).await;
        assert!((5..=10).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_its_time() {
        let (_client, mut stream, progress) = connection();
        progress.advance();
        let waited = timeout(Duration::from_secs(1000), seconds_until_the_end(&mut stream)).await;
        assert!(waited.is_err());
    }
}
