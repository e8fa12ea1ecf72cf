//! The commands that the plugins' READMEs show, run as they stand there: what a reader types does
//! what the README says. A command that no test here knows fails the test of its plugin.
//!
//! `text` reads the READMEs, `shell` runs their commands, and one file a plugin says what must come
//! of each.

mod chat;
mod events;
mod live;
mod radio;
mod shell;
mod text;
mod video;

use text::Readme;

/// The plugins whose commands run here.
const KNOWN: &[&str] = &["chat", "counters", "enricher", "live", "radio", "tracker", "video"];

#[test]
fn no_readme_shows_commands_that_nobody_runs() {
    let plugins = text::plugins();
    for plugin in KNOWN {
        assert!(plugins.iter().any(|found| found == plugin), "{plugin} is gone");
    }
    for plugin in plugins {
        let readme = Readme::of(&plugin);
        assert!(
            readme.commands.is_empty() || KNOWN.contains(&plugin.as_str()),
            "the commands of plugins/{plugin}/README.md do not run: add a test of them here"
        );
        assert!(
            readme.aside.is_empty(),
            "these commands of plugins/{plugin}/README.md do not run: put them into a block of \
             `sh`: {:#?}",
            readme.aside
        );
    }
}
