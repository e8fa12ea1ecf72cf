//! Listeners in a process of their own, beside the server.

use std::ffi::OsString;

use anyhow::Result;

use super::{Form, Order, Outcome};
use crate::dialog::Dialog;

/// The path of the listeners of the plugin `bench-fanout`; native servers take any.
pub const LISTEN: &str = "/bench-fanout/listen";
/// The path where it publishes.
pub const PUBLISH: &str = "/bench-fanout/publish";

/// Listeners that are connected, until this is dropped.
pub struct Listeners {
    count: u32,
    dialog: Dialog,
}

impl Listeners {
    /// Connect so many to a server, from a process on these processors.
    pub async fn connect(to: &str, form: Form, count: u32, pins: Option<&str>) -> Result<Self> {
        let count_text = count.to_string();
        let mut arguments = vec!["listeners", "--to", to, "--listen", LISTEN];
        arguments.extend(["--publish", PUBLISH, "--count", &count_text]);
        if form == Form::Stream {
            arguments.push("--streams");
        }
        let arguments: Vec<_> = arguments.into_iter().map(OsString::from).collect();
        Ok(Self { count, dialog: Dialog::start(&arguments, pins).await? })
    }

    /// How many listen.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The processor time that they have had, in seconds; they are one thread.
    pub fn processor_time(&self) -> Result<f64> {
        self.dialog.processor_time()
    }

    /// Publish as ordered, and wait until all have everything.
    pub async fn run(&mut self, order: &Order) -> Result<Outcome> {
        self.dialog.ask(order).await
    }
}
