//! A port that listens: lets clients in, up to as many as its manifest says.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    House, Key,
    meters::{self, Traffic},
    places::Places,
    serving,
    session::{self, Session},
};
use crate::{backends::channels::Reader, manifest::Listen};

/// How long a client may take for the handshake of TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long to wait until a port that was taken is tried again.
const TAKEN: Duration = Duration::from_secs(5);
/// How long to wait when the system has no more sockets.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// One port of one plugin.
pub struct Port {
    house: Arc<House>,
    key: Key,
    stop: CancellationToken,
    places: Arc<Places>,
    traffic: Traffic,
}

impl Port {
    /// The port of this key, until it is stopped.
    pub fn new(house: Arc<House>, key: Key, stop: CancellationToken) -> Self {
        let traffic = Traffic::of(&key.plugin, &key.name);
        Self { house, key, stop, places: Arc::default(), traffic }
    }

    /// Listen until it is stopped. Connections that are open go on.
    pub async fn run(self) {
        let stop = self.stop.clone();
        stop.run_until_cancelled(async {
            // What other hosts have said is known first.
            self.house.hub.ready().await;
            let listener = self.bind().await;
            loop {
                match listener.accept().await {
                    Ok((stream, client)) => self.accept(stream, client),
                    Err(error) => {
                        tracing::debug!(%error, port = self.key.port, "a client was not let in");
                        sleep(EXHAUSTED).await;
                    }
                }
            }
        })
        .await;
    }

    /// Listen, as soon as the port is free.
    async fn bind(&self) -> TcpListener {
        let address = SocketAddr::new(self.house.settings.address, self.key.port);
        let (plugin, listener) = (&self.key.plugin, &self.key.name);
        // Whoever had it a moment ago may be about to let go.
        let (mut told, mut patience) = (false, 20_u32);
        loop {
            match TcpListener::bind(address).await {
                Ok(bound) => {
                    tracing::info!(%plugin, listener, %address, "listens");
                    return bound;
                }
                Err(_) if patience > 0 => {
                    patience -= 1;
                    sleep(EXHAUSTED).await;
                    continue;
                }
                Err(error) if !told => {
                    let remedy = "free it, or change `port` in the `[[listen]]` of a sidecar";
                    tracing::error!(%plugin, listener, %address, %error, remedy, "cannot listen");
                    told = true;
                }
                Err(_) => {}
            }
            sleep(TAKEN).await;
        }
    }

    /// Serve a client in a task of its own, if there is room for it.
    fn accept(&self, stream: TcpStream, client: SocketAddr) {
        let Key { plugin, name, .. } = &self.key;
        let Some(listen) = self.table() else {
            return meters::refused(plugin, name, "gone");
        };
        let place = match self.places.take(&listen, client.ip()) {
            Ok(place) => place,
            Err(why) => return meters::refused(plugin, name, why),
        };
        // Answers are often small, and clients wait for them.
        let _ = stream.set_nodelay(true);
        let space = self.house.hub.space(plugin);
        let reader = Reader::new(listen.max_waiting.as_usize());
        let number = space.number();
        space.admit_unhandled(number, reader.outlet());
        let terms = session::Terms {
            number,
            idle: listen.idle.into(),
            stalled: self.house.settings.stalled.into(),
            max_waiting: listen.max_waiting.as_usize(),
        };
        let house = self.house.clone();
        let session = Session {
            terms,
            arrival: session::arrival(number, name, client),
            space,
            reader,
            traffic: self.traffic.clone(),
            live: house.live.clone(),
            shutdown: house.shutdown.clone(),
        };
        self.house.sessions.spawn(async move {
            let _place = place;
            match house.tls.as_ref().filter(|_| listen.tls) {
                None => session.run(stream).await,
                Some(tls) => match timeout(HANDSHAKE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => session.run(stream).await,
                    Ok(Err(_)) | Err(_) => session.fail("handshake"),
                },
            }
        });
    }

    /// Its table in the manifest of who serves it now.
    fn table(&self) -> Option<Listen> {
        let generation = serving(&self.house.live, &self.key.plugin)?;
        let tables = &generation.manifest().listen;
        tables.iter().find(|listen| listen.name == self.key.name).cloned()
    }
}
