//! A websocket client that others wrote.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message, client::IntoClientRequest, handshake::client::Response,
        protocol::CloseFrame,
    },
};

use crate::support::{Host, PATIENCE};

/// A connection.
pub struct WebSocket(pub WebSocketStream<MaybeTlsStream<TcpStream>>);

impl WebSocket {
    /// Connect to a host, which has to let it in.
    pub async fn open(host: &Host, path: &str) -> Self {
        Self::knock(host, path, &[]).await.unwrap_or_else(|status| panic!("{path}: {status}"))
    }

    /// Connect to a host with these header fields; the status with which it is refused.
    pub async fn knock(host: &Host, path: &str, fields: &[(&str, &str)]) -> Result<Self, u16> {
        match Self::ask(host, path, fields).await {
            Ok((socket, _)) => Ok(socket),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{path}: {error}\n{}", host.log()),
        }
    }

    /// The same with the whole answer.
    pub async fn ask(
        host: &Host,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<(Self, Response), Error> {
        let url = format!("ws://{}{path}", host.address("http"));
        let mut request = url.into_client_request().unwrap();
        for (name, value) in fields {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let (stream, answer) =
            timeout(PATIENCE, connect_async(request)).await.expect("no answer")?;
        Ok((Self(stream), answer))
    }

    /// Connect to an address that is no host's.
    pub async fn to(url: &str) -> Self {
        Self(timeout(PATIENCE, connect_async(url)).await.expect("no answer").unwrap().0)
    }

    pub async fn say(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.unwrap();
    }

    pub async fn say_bytes(&mut self, bytes: &[u8]) {
        self.0.send(Message::binary(bytes.to_vec())).await.unwrap();
    }

    /// The next text, which is JSON.
    pub async fn json(&mut self) -> Value {
        timeout(PATIENCE, self.next()).await.expect("nothing came")
    }

    /// The next text, which is JSON, whenever it comes. Nothing is lost when this is given up.
    pub async fn next(&mut self) -> Value {
        match self.next_message().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// The next text.
    pub async fn text(&mut self) -> String {
        match self.message().await {
            Message::Text(text) => text.to_string(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// The next message.
    pub async fn message(&mut self) -> Message {
        timeout(PATIENCE, self.next_message()).await.expect("nothing came")
    }

    async fn next_message(&mut self) -> Message {
        loop {
            match self.0.next().await.expect("it ended").unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    /// The code it is closed with, after whatever else comes.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("nothing came") {
                Some(Ok(Message::Close(Some(CloseFrame { code, .. })))) => return code.into(),
                Some(Ok(_)) => {}
                other => panic!("it ended without a word: {other:?}"),
            }
        }
    }
}
