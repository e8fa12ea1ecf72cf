//! A door between a host and a server that can be made bad in several ways.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::sleep,
};

/// What is wrong with a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Connections end with a reset, and so do new ones.
    Reset,
    /// Nothing gets through, and nobody is told.
    Silent,
    /// Everything comes later.
    Late(Duration),
    /// So many bytes a second get through in each direction of each connection.
    Narrow(u32),
}

impl Fault {
    /// Some fault.
    pub fn any(random: &mut fastrand::Rng) -> Self {
        [
            Self::Reset,
            Self::Silent,
            Self::Late(Duration::from_millis(random.u64(1..200))),
            Self::Narrow(random.u32(10_000..200_000)),
        ][random.usize(..4)]
    }
}

/// A door that listens.
pub struct Proxy {
    address: SocketAddr,
    server: watch::Sender<Option<SocketAddr>>,
    fault: watch::Sender<Fault>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A door in front of nothing yet.
    pub async fn open() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (server, behind) = watch::channel(None);
        let (fault, wrong) = watch::channel(Fault::None);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, *behind.borrow(), wrong.clone()));
            }
        });
        Ok(Self { address, server, fault, accepting })
    }

    /// Where the door is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lead to this server from now on.
    pub fn lead_to(&self, server: SocketAddr) {
        self.server.send_replace(Some(server));
    }

    /// From now on this is wrong with it.
    pub fn make(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connection(
    mut client: TcpStream,
    server: Option<SocketAddr>,
    mut wrong: watch::Receiver<Fault>,
) {
    let Some(server) = server else { return };
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    // A connection that cannot be made prompt is only slower.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (there, back) = (wrong.clone(), wrong.clone());
    let was_reset = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            () = pump(from_client, to_server, there) => false,
            () = pump(from_server, to_client, back) => false,
            _ = wrong.wait_for(|fault| *fault == Fault::Reset) => true,
        }
    };
    if was_reset {
        // The end of both comes as a reset, and what was on its way is gone.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// Pass bytes on until one side ends.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut wrong: watch::Receiver<Fault>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        if wrong.wait_for(|fault| *fault != Fault::Silent).await.is_err() {
            return;
        }
        let fault = *wrong.borrow();
        match fault {
            Fault::Late(time) => sleep(time).await,
            Fault::Narrow(rate) => {
                sleep(Duration::from_secs_f64(count as f64 / f64::from(rate.max(1)))).await;
            }
            Fault::None | Fault::Reset | Fault::Silent => {}
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A door to somebody who says everything back, and a connection through it.
    async fn echo() -> (Proxy, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (from, to) = stream.into_split();
                tokio::spawn(pump(from, to, watch::channel(Fault::None).1));
            }
        });
        let proxy = Proxy::open().await.unwrap();
        proxy.lead_to(address);
        let client = TcpStream::connect(proxy.address()).await.unwrap();
        (proxy, client)
    }

    async fn say(client: &mut TcpStream) -> std::io::Result<()> {
        client.write_all(b"hello").await?;
        client.read_exact(&mut [0; 5]).await.map(drop)
    }

    #[tokio::test]
    async fn a_sound_door_lets_everything_through_and_a_late_one_later() {
        let (proxy, mut client) = echo().await;
        say(&mut client).await.unwrap();
        proxy.make(Fault::Late(Duration::from_millis(50)));
        let begun = Instant::now();
        say(&mut client).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(100), "there and back");
    }

    #[tokio::test]
    async fn a_narrow_door_lets_so_many_bytes_through() {
        let (proxy, mut client) = echo().await;
        proxy.make(Fault::Narrow(100));
        let begun = Instant::now();
        say(&mut client).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(100), "5 bytes there and 5 back");
    }

    #[tokio::test]
    async fn a_reset_ends_connections_with_an_error_and_new_ones_too() {
        let (proxy, mut client) = echo().await;
        say(&mut client).await.unwrap();
        proxy.make(Fault::Reset);
        assert!(say(&mut client).await.is_err());
        let mut later = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(say(&mut later).await.is_err());
        proxy.make(Fault::None);
        let mut after = TcpStream::connect(proxy.address()).await.unwrap();
        say(&mut after).await.unwrap();
    }

    #[tokio::test]
    async fn a_silent_door_keeps_what_comes_until_it_is_well() {
        let (proxy, mut client) = echo().await;
        say(&mut client).await.unwrap();
        proxy.make(Fault::Silent);
        client.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        let waited =
            tokio::time::timeout(Duration::from_millis(100), client.read_exact(&mut answer)).await;
        assert!(waited.is_err(), "nothing comes back");
        proxy.make(Fault::None);
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"hello");
    }
}
