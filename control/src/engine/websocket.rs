//! `/ws`: sends back what it is sent. With the query `?handshake` its first message is the handshake's request,
//! as `/echo` tells it.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{OriginalUri, RawQuery};
use axum::http::{HeaderMap, Method, Version};
use axum::response::Response;

use super::echo;

/// The most bytes of a message.
const MAX_MESSAGE: usize = 1024 * 1024;

/// How long a connection may say nothing.
const IDLE: Duration = Duration::from_secs(300);

/// How long the other side may take to read.
const WRITE: Duration = Duration::from_secs(10);

pub(super) async fn accept(
    upgrade: WebSocketUpgrade,
    method: Method,
    OriginalUri(uri): OriginalUri,
    RawQuery(query): RawQuery,
    version: Version,
    headers: HeaderMap,
) -> Response {
    let first = (query.as_deref() == Some("handshake"))
        .then(|| Message::text(echo::head(&method, &uri, version, &headers).to_string()));
    upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .on_upgrade(|socket| converse(socket, first))
}

/// Ends when either side goes, is too slow or breaks the protocol; there is nobody to tell.
async fn converse(mut socket: WebSocket, first: Option<Message>) {
    let mut next = first;
    loop {
        if let Some(message) = next.take()
            && !matches!(tokio::time::timeout(WRITE, socket.send(message)).await, Ok(Ok(())))
        {
            return;
        }
        match tokio::time::timeout(IDLE, socket.recv()).await {
            Ok(Some(Ok(message @ (Message::Text(_) | Message::Binary(_))))) => next = Some(message),
            // Pings are answered by the protocol's own layer.
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return,
        }
    }
}
