//! A connection that ends if it begins with silence, or if its peer takes nothing of what it is owed.
#![forbid(unsafe_code)]

use crate::api::meters::Fate;
use crate::api::meters::ServiceMeters;
use crate::api::meters::Turned;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// HTTP/2's connection preface (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) struct Guarded<S> {
    stream: S,
    /// Bytes of the preface that came. What is none of it is HTTP/1, which has a limit of its own.
    preface: usize,
    silence: Option<Pin<Box<Sleep>>>,
    /// Runs while something is to be written that nobody takes.
    untaken: Option<Pin<Box<Sleep>>>,
    write_max: Duration,
    meters: Arc<ServiceMeters>,
}

impl<S> Guarded<S> {
    /// Within a runtime.
    pub(super) fn new(stream: S, silence_max: Duration, write_max: Duration, meters: Arc<ServiceMeters>) -> Self {
        let silence = Some(Box::pin(tokio::time::sleep(silence_max)));
        Self { stream, preface: 0, silence, untaken: None, write_max, meters }
    }

    /// What a write came to, with the clock of those that wait.
    fn taken<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.untaken = None;
            return written;
        }
        let write_max = self.write_max;
        let untaken = self.untaken.get_or_insert_with(|| Box::pin(tokio::time::sleep(write_max)));
        if untaken.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.meters.meet(Fate::SlowReader);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let guarded = self.get_mut();
        let before = into.filled().len();
        let read = Pin::new(&mut guarded.stream).poll_read(context, into);
        let Some(silence) = &mut guarded.silence else { return read };
        let came = &into.filled()[before..];
        let rest = &PREFACE[guarded.preface..];
        let common = came.len().min(rest.len());
        guarded.preface += common;
        if guarded.preface == PREFACE.len() || came[..common] != rest[..common] {
            guarded.silence = None;
        } else if read.is_pending() && silence.as_mut().poll(context).is_ready() {
            guarded.meters.turn_away(Turned::Silence);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let guarded = self.get_mut();
        let written = Pin::new(&mut guarded.stream).poll_write(context, bytes);
        guarded.taken(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let guarded = self.get_mut();
        let written = Pin::new(&mut guarded.stream).poll_write_vectored(context, bytes);
        guarded.taken(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let guarded = self.get_mut();
        let flushed = Pin::new(&mut guarded.stream).poll_flush(context);
        guarded.taken(context, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let guarded = self.get_mut();
        let shut = Pin::new(&mut guarded.stream).poll_shutdown(context);
        guarded.taken(context, shut)
    }
}
