//! `trellis dev`: build the plugins of a directory, serve them, and build again what is saved.
//!
//! ```text
//!  sources ── build ── data/dev ── the host follows it like any plugin directory
//!     └─ saved: only what changed is built again
//! ```

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, sync::Arc};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{
    Hinted, build,
    output::{Output, Style},
    serve::{runtime, stop_on_signals},
};
use crate::{
    admin::ports::Ports,
    manifest, observe, serve,
    settings::{self, Flag},
};

mod announce;
mod rebuild;

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
        // What goes live is announced in words of its own.
        loaded.settings.observe.log += ",trellis::plugins::swap=warn";
    }
    let progress = build::Progress::new(output.error_style());
    let sources = build::source::find(&arguments.folder)?;
    if sources.is_empty() {
        let message = format!("there is no plugin below `{}`", arguments.folder.display());
        return Err(Hinted::new(message, "a plugin is a folder with a `plugin.toml`").into());
    }
    let written = Arc::new(announce::Written::default());
    let rebuild = rebuild::Rebuild::new(arguments.folder, &data, progress, Arc::clone(&written))?;
    rebuild.all(&sources);
    let style = output.style();
    runtime()?.block_on(async {
        let shutdown = CancellationToken::new();
        stop_on_signals(shutdown.clone())?;
        let routes = routes(&sources);
        let watching = tokio::spawn(rebuild.run(shutdown.clone()));
        let ready = move |ports: &Ports, live| {
            print!("{}", welcome(ports, &routes, style));
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

/// The routes of all plugins that can be read.
fn routes(sources: &[build::source::Source]) -> Vec<String> {
    let manifests =
        sources.iter().filter_map(|source| manifest::read_file(&source.manifest()).ok());
    manifests.filter_map(|manifest| manifest.http).flat_map(|http| http.routes).collect()
}

/// What a newcomer does next.
fn welcome(ports: &Ports, routes: &[String], style: Style) -> String {
    let base = format!("http://{}", ports.http);
    let mut text = format!("\n{} {base}\n", style.green("serving"));
    let urls: BTreeSet<_> = routes.iter().map(|route| url(&base, route)).collect();
    for url in urls {
        text += &format!("  {url}\n");
    }
    text += &format!(
        "{} http://{} (`trellis plugins`, `logs`, `topics`)\n",
        style.dim("admin"),
        ports.admin
    );
    // One that takes any path answers to whatever is asked.
    let open = routes.iter().find(|route| route.contains("{*"));
    if let Some(route) = open.or(routes.first()) {
        text += &format!("\ntry   curl -i '{}'\n", url(&base, route).replace("...", "hello"));
    }
    text + "edit a plugin and save: it is built and swapped while it serves\n\n"
}

/// The URL of a route, with `...` for what is left open.
fn url(base: &str, route: &str) -> String {
    let path = route.find('/').map_or(route, |slash| &route[slash..]);
    let segments =
        path.split('/').map(|segment| if segment.starts_with('{') { "..." } else { segment });
    base.to_owned() + &segments.collect::<Vec<_>>().join("/")
}
