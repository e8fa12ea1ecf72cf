//! What the operator set, read once by each instance: a change starts a new generation.

use std::cell::OnceCell;

use trellis_sdk::config;

/// The settings of `plugin.toml`.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The name of this node in every record.
    pub node: String,
    /// Do not record what calls itself a robot.
    pub drop_bots: bool,
    /// Do not record who asks not to be tracked.
    pub respect_dnt: bool,
    /// The parameter with an event's id, if ids are to be checked.
    pub dedupe: Option<String>,
    /// The keys one of which a batch must bring; none: everybody may send.
    pub write_keys: Vec<String>,
    /// The origins that may send with credentials.
    pub origins: Vec<String>,
}

impl Settings {
    fn read() -> Self {
        Self {
            node: config::get("node").unwrap_or_default(),
            drop_bots: config::get("bots").as_deref() == Some("drop"),
            respect_dnt: config::get("respect-dnt").as_deref() != Some("no"),
            dedupe: config::get("dedupe").filter(|name| !name.is_empty()),
            write_keys: config::list("write-keys"),
            origins: config::list("origins"),
        }
    }
}

/// Run with the settings of this instance.
pub fn with<T>(run: impl FnOnce(&Settings) -> T) -> T {
    thread_local! {
        static SETTINGS: OnceCell<Settings> = const { OnceCell::new() };
    }
    SETTINGS.with(|settings| run(settings.get_or_init(Settings::read)))
}
