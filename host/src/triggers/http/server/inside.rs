//! Connections from this process, which need no port and no socket.

use std::{future::poll_fn, net::IpAddr, pin::pin, sync::Arc, task::Poll};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{DuplexStream, duplex};

use super::{House, Server};
use crate::triggers::http::{
    client::Peer,
    connection::{Order, Pulse},
    service::Connection,
};

/// Bytes that may be on their way in each direction.
const ON_THE_WAY: usize = 64 << 10;

/// A way to the server from within.
#[derive(Clone)]
pub struct Inside(Arc<House>);

impl Server {
    /// A way in that goes past the listeners. It leads nowhere once the server has ended.
    pub fn inside(&self) -> Inside {
        Inside(self.house.clone())
    }
}

impl Inside {
    /// Connect, as a client with this address. All but the socket is as it is for others; so a
    /// request that is to go on with its socket breaks the connection.
    pub fn connect(&self, from: IpAddr) -> DuplexStream {
        let (near, far) = duplex(ON_THE_WAY);
        self.0.connections.spawn(self.0.clone().serve_inside(far, from));
        near
    }
}

impl House {
    async fn serve_inside(self: Arc<Self>, stream: DuplexStream, from: IpAddr) {
        let pulse = Pulse::new(self.clock.clone());
        let key = self.enter(pulse.clone());
        let peer = Peer::new(from, &self.edge.settings.trusted_proxies);
        let connection = Connection { edge: self.edge.clone(), peer, pulse: pulse.clone() };
        let connection = Arc::new(connection);
        let service = service_fn(move |request| Box::pin(connection.clone().answer(request)));
        let outcome = {
            let mut hyper = pin!(self.protocol.serve_connection(TokioIo::new(stream), service));
            poll_fn(|cx| match pulse.poll_order(cx) {
                Order::Abort => Poll::Ready(Ok(())),
                Order::Serve | Order::Finish if pulse.is_bequeathed() => Poll::Ready(Ok(())),
                Order::Serve => hyper.as_mut().poll(cx),
                Order::Finish => {
                    hyper.as_mut().graceful_shutdown();
                    hyper.as_mut().poll(cx)
                }
            })
            .await
        };
        self.leave(key);
        if let Err(error) = outcome {
            tracing::debug!(error, "a connection from within broke");
        }
    }
}
