//! The commands, as `--help` tells of them.

use clap::{Arg, Command, CommandFactory};

use super::page::escape;
use crate::cli;

/// All commands, each with its flags and examples.
pub(super) fn html() -> String {
    let mut root = cli::Arguments::command();
    root.build();
    let mut text = String::new();
    describe(&root, "", &mut text);
    text
}

fn describe(command: &Command, above: &str, text: &mut String) {
    let name = format!("{above}{}", command.get_name());
    let id = name.replace(' ', "-");
    *text += &format!("<h2 id=\"{id}\"><a href=\"#{id}\">{name}</a></h2>\n");
    if let Some(about) = command.get_about() {
        *text += &format!("<p>{}.</p>\n", escape(about.to_string().trim_end_matches('.')));
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    *text += &format!("<pre><code>{}</code></pre>\n", escape(usage));
    let rows: String = command.get_arguments().filter(|arg| !arg.is_hide_set()).map(row).collect();
    if !rows.is_empty() {
        *text += &format!("<table>\n{rows}</table>\n");
    }
    if let Some(examples) = command.get_after_help() {
        *text += &format!("<pre><code>{}</code></pre>\n", escape(&examples.to_string()));
    }
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        describe(sub, &format!("{name} "), text);
    }
}

fn row(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values = arg.get_possible_values();
    let values: Vec<_> = values.iter().map(|value| value.get_name()).collect();
    let values = match arg.get_action().takes_values() && !values.is_empty() {
        true => format!(" One of {}.", values.join(", ")),
        false => String::new(),
    };
    let defaults = arg.get_default_values();
    let defaults: Vec<_> = defaults.iter().map(|value| value.to_string_lossy()).collect();
    let default = match arg.get_action().takes_values() && !defaults.is_empty() {
        true => format!(" Default: {}.", defaults.join(" ")),
        false => String::new(),
    };
    let help = format!("{}.{values}{default}", help.trim_end_matches('.'));
    format!(
        "<tr><td><code>{}</code></td><td>{}</td></tr>\n",
        escape(&arg.to_string()),
        escape(&help)
    )
}
