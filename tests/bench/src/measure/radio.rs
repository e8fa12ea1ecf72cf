//! `radio-listeners`: what thousands who listen to one mount take of the plugin `radio`, beside
//! Icecast.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use http::{Request, header::AUTHORIZATION as FIELD};
use tokio::time::sleep;
use trellis::manifest::{read_embedded, section};

use super::Bench;
use crate::{
    client::Client,
    house::House,
    machine,
    peer::free_port,
    process::Process,
    radio::{
        AUTHORIZATION, MOUNT, PASSWORD, RATE,
        audience::{Audience, Order, Outcome},
        icecast::Icecast,
        source::Source,
    },
    report::{Against, Row, median, spread},
};

/// How many listen.
const LISTENERS: u32 = 2_000;
/// So many come and go before memory is measured: what the first ones bring about is not theirs.
const FIRST: u32 = 100;
/// What a listener is sent at once has gone out after so many seconds.
const WARM: u64 = 4;
/// So much audio may be on its way when it is counted: a second.
const SLACK: u64 = RATE;
/// How often better than Icecast is aimed at.
const AIM: f64 = 2.0;

/// A server that a source plays to.
struct Station<'a> {
    bench: &'a Bench,
    process: &'a Process,
    /// Where the source plays.
    door: String,
    /// Where listeners come to, and what they ask for.
    address: &'a str,
    path: String,
    _source: Source,
}

/// What a round showed, in per cent of one processor.
struct Run {
    server: f64,
    audience: f64,
}

/// Processor time and memory.
pub async fn listeners(bench: &Bench, name: &str) -> Result<Vec<Row>> {
    // A host gives connections half of its files.
    machine::open_files(2 * u64::from(LISTENERS) + 1000)?;
    let icecast = Icecast::start(bench.server_pin().as_deref())?;
    let (house, port) = radio(bench).await?;
    let (process, address) = (house.process()?, house.address());
    let door = format!("127.0.0.1:{port}");
    let plugin = Station::open(bench, process, door, address, format!("/radio{MOUNT}")).await?;
    let (process, address) = (icecast.process(), icecast.address());
    let peer = Station::open(bench, process, address.to_owned(), address, MOUNT.to_owned()).await?;

    // The first of each, which warms up, too: later ones get what those before have left.
    let (peer_kib, plugin_kib) = (peer.memory().await?, plugin.memory().await?);
    let (mut peers, mut plugins) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        let title = format!("round {round}");
        peers.push(peer.run(&title).await?);
        plugins.push(plugin.run(&title).await.with_context(|| house.said())?);
    }
    let memory = Row {
        less_is_better: true,
        peer: Some(peer_kib),
        against: Against::Peer,
        note: format!("resident, each of {LISTENERS} · peer: Icecast"),
        ..Row::new(format!("{name}-memory"), "KiB", plugin_kib)
    };
    Ok(vec![row(name, &plugins, &peers), memory])
}

/// A host with the plugin, and the port of its sources.
async fn radio(bench: &Bench) -> Result<(House, u16)> {
    let (name, password) = PASSWORD.split_once(';').unwrap_or_default();
    // Icecast keeps no recordings here either.
    let settings = format!("[config.values.radio]\ndjs = \"{name}:{password}\"\nrecord = \"no\"\n");
    let mut house = House::new(&bench.built, bench.server_pin(), &settings)?;
    let path = bench.built.component("radio")?;
    let component = fs::read(&path)?;
    let embedded = section::find(&component).context("the radio has no manifest")?;
    let mut manifest = read_embedded(embedded, "radio.wasm")?;
    let listen = manifest.listen.first_mut().context("the radio listens nowhere")?;
    listen.port = free_port()?;
    let port = listen.port;
    fs::write(house.plugins().join("radio.toml"), manifest.to_toml())?;
    house.install_all(&[path])?;
    house.run().await?;
    house.until_served("/radio").await?;
    // What the compiler had and gave back would be there for the listeners, uncounted.
    house.stop().await?;
    house.run().await?;
    house.until_served("/radio").await?;
    Ok((house, port))
}

impl<'a> Station<'a> {
    /// Let a source play.
    async fn open(
        bench: &'a Bench,
        process: &'a Process,
        door: String,
        address: &'a str,
        path: String,
    ) -> Result<Self> {
        let source = Source::start(&door, bench.load_pin().as_deref()).await?;
        Ok(Self { bench, process, door, address, path, _source: source })
    }

    /// How much more memory the server has for each who listens, in KiB.
    async fn memory(&self) -> Result<f64> {
        drop(self.audience(FIRST).await?);
        let before = self.process.settled_memory().await?;
        let mut audience = self.audience(LISTENERS).await?;
        self.listen(&mut audience, WARM, "memory").await?;
        let after = self.process.settled_memory().await?;
        Ok((after - before) * 1024.0 / f64::from(LISTENERS))
    }

    /// Who comes in a round hears one title, and then the next.
    async fn run(&self, title: &str) -> Result<Run> {
        let mut audience = self.audience(LISTENERS).await?;
        self.listen(&mut audience, WARM, &format!("{title}, the burst")).await?;
        let (heard, run) = self.listen(&mut audience, self.bench.seconds, title).await?;
        let due = (RATE as f64 * heard.seconds) as u64;
        let Outcome { least, most, .. } = heard;
        ensure!(
            least + SLACK >= due && most <= due + SLACK,
            "{due} bytes of audio were due, and listeners had {least} to {most}"
        );
        Ok(run)
    }

    async fn audience(&self, count: u32) -> Result<Audience> {
        let pins = self.bench.load_pin();
        Audience::connect(self.address, &self.path, count, pins.as_deref()).await
    }

    /// Listen for so long, to a title that begins in the middle.
    async fn listen(
        &self,
        audience: &mut Audience,
        seconds: u64,
        title: &str,
    ) -> Result<(Outcome, Run)> {
        let times = |audience: &Audience| {
            anyhow::Ok((self.process.processor_time()?, audience.processor_time()?))
        };
        let before = times(audience)?;
        let order = Order { seconds, title: title.to_owned() };
        let change = async {
            sleep(Duration::from_secs(seconds) / 2).await;
            self.announce(title).await
        };
        let (heard, ()) = tokio::try_join!(audience.listen(&order), change)?;
        let after = times(audience)?;
        let share = |before: f64, after: f64| (after - before) * 100.0 / heard.seconds;
        let run = Run { server: share(before.0, after.0), audience: share(before.1, after.1) };
        Ok((heard, run))
    }

    /// Say what plays, as sources do.
    async fn announce(&self, title: &str) -> Result<()> {
        let song = title.replace(' ', "+");
        let query = format!("mode=updinfo&mount={MOUNT}&song={song}");
        let request = Request::get(format!("http://{}/admin/metadata?{query}", self.door))
            .header(FIELD, AUTHORIZATION)
            .body(Default::default())?;
        let (status, answer) = Client::default().send(request).await?;
        ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&answer));
        Ok(())
    }
}

fn row(name: &str, plugins: &[Run], peers: &[Run]) -> Row {
    let of = |runs: &[Run]| runs.iter().map(|run| run.server).collect::<Vec<_>>();
    let audience: Vec<_> = plugins.iter().map(|run| run.audience).collect();
    let (plugin, peer) = (of(plugins), of(peers));
    Row {
        less_is_better: true,
        peer: Some(median(&peer)),
        against: Against::Peer,
        note: format!(
            "of one processor, for {LISTENERS} of 128 kbit/s · peer: Icecast · aim {AIM} · \
             listeners {:.0} % of a processor · ±{:.0} %",
            median(&audience),
            spread(&plugin).max(spread(&peer))
        ),
        ..Row::new(name, "%", median(&plugin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_time_is_twice_as_good() {
        let runs = |shares: [f64; 3]| shares.map(|server| Run { server, audience: 50.0 });
        let row = row("a", &runs([5.0, 4.0, 6.0]), &runs([10.0, 10.0, 12.0]));
        assert_eq!(row.ratio(), Some(2.0));
        assert!(row.note.ends_with("50 % of a processor · ±20 %"), "{}", row.note);
    }
}
