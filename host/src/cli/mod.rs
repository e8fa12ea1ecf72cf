//! The commands: one file each, with its arguments and what it does.
//!
//! `new`, `serve`, `dev`, `build`, `check`, `test` and `docs` do their work in this process;
//! `plugins`, `rollback`, `split`, `reload`, `nodes`, `logs` and `topics` ask a running host through
//! its admin API. What people read goes to standard output,
//! as text or with `--json` as JSON; errors and progress go to standard error.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

mod assets;
mod build;
mod check;
mod client;
mod dev;
mod docs;
mod error;
mod logs;
mod new;
mod nodes;
mod output;
mod plugins;
mod reload;
mod rollback;
mod serve;
mod split;
mod test;
#[cfg(test)]
mod tests;
mod topics;

pub use error::Hinted;
use output::{Color, Output};

/// Run plugins: WebAssembly components that answer HTTP requests and consume topics.
#[derive(Debug, Parser)]
#[command(name = "trellis", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  trellis new greeter --lang python      the project of a plugin
  trellis dev                            build what is below `plugins`, serve it, watch
  trellis serve --plugins /srv/plugins   serve components and follow their directory
  trellis build plugins --out out        every plugin below `plugins`
  trellis check out/tracker.wasm         what it is and why it would be refused
  trellis test plugins/tracker           does it do what its cases say
  trellis plugins                        what a running host serves
  trellis rollback tracker               the version before serves again
  trellis topics consume events --follow";

/// Flags of every command.
#[derive(Debug, Args)]
struct Global {
    /// Print JSON instead of text
    #[arg(long, global = true, display_order = 100)]
    json: bool,
    /// When to use colours
    #[arg(long, global = true, display_order = 101, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
}

/// How to find a running host.
#[derive(Debug, Args)]
struct Running {
    /// The admin API of the host, as a URL or `HOST:PORT`; found through --data when not given
    #[arg(long, env = "TRELLIS_ADMIN_LISTEN", hide_env_values = true, value_name = "URL")]
    admin: Option<String>,
    /// Its token; read from the data directory when not given
    #[arg(long, env = "TRELLIS_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The data directory of the host
    #[arg(
        long,
        env = "TRELLIS_HOST_DATA",
        hide_env_values = true,
        default_value = "data",
        value_name = "DIR"
    )]
    data: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(new::Arguments),
    Dev(dev::Arguments),
    Serve(serve::Arguments),
    Build(build::Arguments),
    Check(check::Arguments),
    Test(test::Arguments),
    Docs(docs::Arguments),
    Plugins(plugins::Arguments),
    Rollback(rollback::Arguments),
    Split(split::Arguments),
    Reload(reload::Arguments),
    Nodes(nodes::Arguments),
    Logs(logs::Arguments),
    Topics(topics::Arguments),
}

/// Run a command. The exit code is 0 when it did what it was asked, 1 when not; 2, from the
/// parser, when it was asked in a wrong way.
pub fn run(arguments: Arguments) -> ExitCode {
    let output = Output::new(arguments.global.color, arguments.global.json);
    let outcome = match arguments.command {
        Command::New(arguments) => new::run(arguments, &output),
        Command::Dev(arguments) => dev::run(arguments, &output),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Build(arguments) => build::run(arguments, &output),
        Command::Check(arguments) => check::run(arguments, &output),
        Command::Test(arguments) => test::run(arguments, &output),
        Command::Docs(arguments) => docs::run(arguments, &output),
        Command::Plugins(arguments) => asking(plugins::run(arguments, &output)),
        Command::Rollback(arguments) => asking(rollback::run(arguments, &output)),
        Command::Split(arguments) => asking(split::run(arguments, &output)),
        Command::Reload(arguments) => asking(reload::run(arguments, &output)),
        Command::Nodes(arguments) => asking(nodes::run(arguments, &output)),
        Command::Logs(arguments) => asking(logs::run(arguments, &output)),
        Command::Topics(arguments) => asking(topics::run(arguments, &output)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let report = error::report(&error, output.error_style());
            // Nobody may be left to read it; the exit code says it as well.
            let _ = io::stderr().write_all(report.as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// Run a command that only waits for a running host.
fn asking(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

/// Whether the reader of our output has gone, as in `trellis logs | head`.
fn is_closed(error: &anyhow::Error) -> bool {
    let closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.downcast_ref::<io::Error>().is_some_and(closed)
}
