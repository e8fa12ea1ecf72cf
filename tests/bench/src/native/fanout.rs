//! Websockets of a library, one task each, that hear a broadcast channel of tokio's.

use std::path::Path;

use anyhow::{Context, Result};
use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use serde::Deserialize;
use tokio::{
    net::TcpStream,
    sync::broadcast::{self, error::TryRecvError},
};
use tokio_tungstenite::{
    WebSocketStream, accept_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

/// The frames that are kept for slow listeners, as many as the plugin keeps.
const KEPT: usize = 1000;
/// What a websocket reads at once. The library takes as much memory before anything comes.
const READ: usize = 512;

/// What is published.
#[derive(Deserialize)]
struct Frames {
    #[serde(default)]
    first: u64,
    #[serde(default)]
    count: u64,
    #[serde(default)]
    size: usize,
    #[serde(default)]
    stamp: u64,
}

/// Serve until killed: a GET asks for a websocket, anything else is to publish.
pub async fn serve(ports_file: &Path) -> Result<()> {
    let listener = super::bind(ports_file).await?;
    let (channel, _) = broadcast::channel(KEPT);
    let publishing = Router::new().fallback(publish).with_state(channel.clone());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (channel, publishing) = (channel.clone(), publishing.clone());
        tokio::spawn(async move {
            // A client that went away is no matter, and one that misses frames says so itself.
            let _ = attend(stream, &channel, publishing).await;
        });
    }
}

async fn attend(
    stream: TcpStream,
    channel: &broadcast::Sender<Bytes>,
    publishing: Router,
) -> Result<()> {
    let mut method = [0];
    stream.peek(&mut method).await?;
    if method == *b"G" {
        let frames = channel.subscribe();
        drop(publishing);
        // In a box, so that the task keeps no room for it once it is over.
        let socket = Box::pin(accept_async_with_config(stream, Some(config()))).await?;
        return listen(socket, frames).await;
    }
    let service = TowerToHyperService::new(publishing);
    let mut builder = Builder::new(TokioExecutor::new());
    builder = builder.http1_only();
    let served = Box::pin(builder.serve_connection(TokioIo::new(stream), service)).await;
    served.map_err(|error| anyhow::anyhow!(error))
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(READ)
}

/// Send frames: all that there are, then flush.
async fn listen(
    mut socket: WebSocketStream<TcpStream>,
    mut frames: broadcast::Receiver<Bytes>,
) -> Result<()> {
    loop {
        tokio::select! {
            frame = frames.recv() => {
                socket.feed(Message::Binary(frame?)).await?;
                loop {
                    match frames.try_recv() {
                        Ok(frame) => socket.feed(Message::Binary(frame)).await?,
                        Err(TryRecvError::Empty) => break,
                        Err(error) => return Err(error.into()),
                    }
                }
                socket.flush().await?;
            }
            message = socket.next() => {
                message.context("the client went away")??;
            }
        }
    }
}

async fn publish(
    State(channel): State<broadcast::Sender<Bytes>>,
    Query(wanted): Query<Frames>,
) -> StatusCode {
    for number in wanted.first..wanted.first + wanted.count {
        let mut frame = Vec::with_capacity(wanted.size);
        frame.extend_from_slice(&number.to_le_bytes());
        frame.extend_from_slice(&wanted.stamp.to_le_bytes());
        frame.extend_from_slice(&(wanted.size as u64).to_le_bytes());
        frame.resize(wanted.size, b'.');
        // Without listeners it goes nowhere.
        let _ = channel.send(frame.into());
    }
    StatusCode::NO_CONTENT
}
