//! `trellis dev`: build the plugins of a directory, serve them, and build again what is saved.
//!
//! ```text
//!  sources ── build ── data/dev ── the host follows it like any plugin directory
//!     └─ saved: only what changed is built again
//! ```

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{
    Hinted, build,
    output::Output,
    serve::{runtime, stop_on_signals},
};
use crate::{
    admin::ports::Ports,
    observe, serve,
    settings::{self, Flag},
};

mod announce;
mod rebuild;
mod welcome;

/// Build the plugins of a directory, serve them, and build again what is saved
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trellis dev                             the plugins below `plugins`
  trellis dev my-plugin --listen 127.0.0.1:3000

Every plugin is granted what its manifest needs. Topics, databases and keys are
kept in the data directory; delete it to start afresh.")]
pub(super) struct Arguments {
    /// The folder of a plugin, or one above several
    #[arg(default_value = "plugins", value_name = "DIR")]
    folder: PathBuf,
    /// The directory of the embedded backends [default: data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to answer HTTP [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// A file of settings
    #[arg(long, env = "TRELLIS_SETTINGS", hide_env_values = true, value_name = "FILE")]
    settings: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<()> {
    let mut loaded =
        settings::load(arguments.settings.as_deref(), std::env::vars(), &arguments.flags())?;
    let data = loaded.settings.host.data.clone();
    loaded.settings.host.plugins = data.join(rebuild::OUT);
    if loaded.settings.observe.log == observe::Settings::default().log {
        // What goes live is announced in words of its own, and that folders vanish while a
        // compiler works is no news.
        loaded.settings.observe.log += ",trellis::plugins::swap=warn,notify=warn";
    }
    let progress = build::Progress::new(output.error_style());
    let sources = build::source::find(&arguments.folder)?;
    if sources.is_empty() {
        let message = format!("there is no plugin below `{}`", arguments.folder.display());
        return Err(Hinted::new(message, "a plugin is a folder with a `plugin.toml`").into());
    }
    let written = Arc::new(announce::Written::default());
    let folder = arguments.folder.clone();
    let rebuild = rebuild::Rebuild::new(arguments.folder, &data, progress, Arc::clone(&written))?;
    rebuild.all(&sources);
    let style = output.style();
    runtime()?.block_on(async {
        let shutdown = CancellationToken::new();
        stop_on_signals(shutdown.clone())?;
        let plugins = welcome::plugins(&sources);
        let watching = tokio::spawn(rebuild.run(shutdown.clone()));
        let ready = move |ports: &Ports, live| {
            print!("{}", welcome::welcome(ports, &folder, &plugins, style));
            tokio::spawn(async move { announce::announce(live, &written, style).await });
        };
        let served = serve::run(loaded, ready, shutdown.clone()).await;
        shutdown.cancel();
        watching.await??;
        served
    })
}

impl Arguments {
    fn flags(&self) -> Vec<Flag> {
        let flag = |name, key, value: Option<String>| Some(Flag { name, key, value: value? });
        let data = self.data.as_ref().map(|data| data.display().to_string());
        let flags = [
            flag("--data", "host.data", data),
            flag("--listen", "http.listen", self.listen.map(|listen| listen.to_string())),
            flag("dev", "grants.default", Some("needs".to_owned())),
        ];
        flags.into_iter().flatten().collect()
    }
}
