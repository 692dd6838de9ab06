//! Streams that take their time.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream::unfold;

/// One write to the client.
pub(super) struct Frame {
    /// Whether the stream waits before it.
    pub(super) paced: bool,
    /// What is written.
    pub(super) bytes: Bytes,
}

impl Frame {
    /// A frame that follows at once.
    pub(super) fn at_once(bytes: impl Into<Bytes>) -> Frame {
        Frame { paced: false, bytes: bytes.into() }
    }

    /// A frame that the stream waits for.
    pub(super) fn paced(bytes: impl Into<Bytes>) -> Frame {
        Frame { paced: true, bytes: bytes.into() }
    }
}

/// A body of `frames`, each made when its time has come. A client that goes away ends it.
pub(super) fn body(frames: impl Iterator<Item = Frame> + Send + 'static, delay: Duration) -> Body {
    Body::from_stream(unfold(frames, move |mut frames| async move {
        let frame = frames.next()?;
        if frame.paced && !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        Some((Ok::<Bytes, Infallible>(frame.bytes), frames))
    }))
}
