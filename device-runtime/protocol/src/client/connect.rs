//! TCP connections that count their bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::codegen::Service;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::limits::{CALL_WINDOW_BYTES, CHUNK_BYTES, CONNECTION_WINDOW_BYTES};

/// How long a client waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// For a connection.
    pub connect_timeout: Duration,
    /// Without a byte from the peer before it is asked for a sign of life.
    pub keep_alive_interval: Duration,
    /// For that sign of life.
    pub keep_alive_timeout: Duration,
    /// For the answer of a call that is not an execution or a read.
    pub call_timeout: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            keep_alive_interval: Duration::from_secs(5),
            keep_alive_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(60),
        }
    }
}

/// Bytes that went through sockets, HTTP/2 framing included, TCP's and IP's headers not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketBytes {
    /// To the device.
    pub sent: u64,
    /// From the device.
    pub received: u64,
}

/// Both directions of all connections of a client.
#[derive(Debug, Default)]
pub(super) struct Counter {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Counter {
    pub(super) fn read(&self) -> SocketBytes {
        SocketBytes { sent: self.sent.load(Ordering::Relaxed), received: self.received.load(Ordering::Relaxed) }
    }
}

/// A channel that connects on its first call, and again after a failure.
pub(super) fn channel(endpoint: Endpoint, tuning: Tuning, counter: Arc<Counter>) -> Channel {
    endpoint
        .http2_keep_alive_interval(tuning.keep_alive_interval)
        .keep_alive_timeout(tuning.keep_alive_timeout)
        .initial_stream_window_size(CALL_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(CHUNK_BYTES as u32)
        .connect_with_connector_lazy(Connector { timeout: tuning.connect_timeout, counter })
}

#[derive(Clone)]
struct Connector {
    timeout: Duration,
    counter: Arc<Counter>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Counted>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { timeout, counter } = self.clone();
        async move {
            let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
            let connecting = TcpStream::connect((host, uri.port_u16().unwrap_or(crate::DEFAULT_PORT)));
            let Ok(stream) = tokio::time::timeout(timeout, connecting).await else {
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {timeout:?}")));
            };
            let stream = stream?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(Counted { stream, counter }))
        }
        .boxed()
    }
}

/// A connection whose bytes are counted.
#[derive(Debug)]
struct Counted {
    stream: TcpStream,
    counter: Arc<Counter>,
}

impl Counted {
    fn count_sent(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(len)) = &written {
            self.counter.sent.fetch_add(*len as u64, Ordering::Relaxed);
        }
        written
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.counter.received.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.count_sent(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.count_sent(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
