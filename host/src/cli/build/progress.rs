//! What a build does, on one line of standard error that is written over.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use crate::cli::output::Style;

/// Shows what is built. Without a terminal only what is done is shown.
pub(in crate::cli) struct Progress {
    style: Style,
    live: bool,
}

impl Progress {
    /// On standard error.
    pub(in crate::cli) fn new(style: Style) -> Self {
        Self { style, live: io::stderr().is_terminal() }
    }

    /// How it is written.
    pub(in crate::cli) fn style(&self) -> Style {
        self.style
    }

    /// Whether messages may have colours.
    pub(super) fn colour(&self) -> bool {
        self.style.0
    }

    /// What is being done now.
    pub(in crate::cli) fn doing(&self, what: &str) {
        if self.live {
            let width = 79;
            let line: String = what.chars().take(width).collect();
            eprint!("\r\x1b[K{}", self.style.dim(&line));
            let _ = io::stderr().flush();
        }
    }

    /// Something that is worth a line of its own, since it takes long and happens once.
    pub(super) fn note(&self, what: &str) {
        self.clear();
        eprintln!("{}", self.style.dim(what));
    }

    /// A plugin is there.
    pub(super) fn done(&self, name: &str, size: usize, took: Duration) {
        self.clear();
        let (kib, seconds) = (size >> 10, took.as_secs_f64());
        eprintln!("{} {name} ({kib}KiB in {seconds:.1}s)", self.style.green("built"));
    }

    /// A plugin is not there; the report says why.
    pub(in crate::cli) fn failed(&self, report: &str) {
        self.clear();
        eprint!("{report}");
    }

    /// Take away what is being done.
    pub(in crate::cli) fn clear(&self) {
        if self.live {
            eprint!("\r\x1b[K");
        }
    }
}
