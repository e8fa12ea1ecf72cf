//! `trellis logs`: what a running host and its plugins wrote.

use clap::Args;

use super::{
    Running,
    client::{Client, encode},
    output::{Output, Style, tame, time},
};
use crate::observe::logs::Line;

/// Show what a running host and its plugins wrote
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trellis logs                        the last 100 lines
  trellis logs -f --plugin tracker    those of one plugin, and all further ones")]
pub(super) struct Arguments {
    /// Go on with further lines
    #[arg(short, long)]
    follow: bool,
    /// Only lines of this plugin or about it
    #[arg(long, value_name = "NAME")]
    plugin: Option<String>,
    /// How many of the lines that are there
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    last: usize,
    #[command(flatten)]
    running: Running,
}

pub(super) async fn run(arguments: Arguments, output: &Output) -> anyhow::Result<()> {
    let client = Client::find(arguments.running)?;
    let mut path = format!("/api/logs?follow={}&last={}", arguments.follow, arguments.last);
    if let Some(plugin) = &arguments.plugin {
        path += &format!("&plugin={}", encode(plugin));
    }
    let style = output.style();
    client
        .lines(&path, |line| {
            let text = match output.json {
                true => format!("{line}\n"),
                false => show(&serde_json::from_str(line)?, style),
            };
            Ok(output.text(&text)?)
        })
        .await
}

/// Time, level, who, what, and the other fields.
pub(super) fn show(line: &Line, style: Style) -> String {
    let time = style.dim(&time(i64::try_from(line.time_ms).unwrap_or(i64::MAX)));
    let level = format!("{:>5}", line.level);
    let level = match &*line.level {
        "ERROR" => style.red(&level),
        "WARN" => style.yellow(&level),
        "INFO" => style.green(&level),
        _ => style.dim(&level),
    };
    let who = line.plugin.as_deref().unwrap_or(&line.target);
    let fields = line.fields.iter().map(|(name, value)| format!(" {name}={}", tame(value)));
    let fields = style.dim(&fields.collect::<String>());
    format!("{time} {level} {who}: {}{fields}\n", tame(&line.message))
}
