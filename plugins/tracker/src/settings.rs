//! What the operator set, read once by each instance: a change starts a new generation.

use std::cell::OnceCell;

use trellis_sdk::config;

/// How long ids are known unless the configuration says otherwise: a day; and the most: a year.
const USUAL_SECONDS: u64 = 24 * 3600;
const MAX_SECONDS: u64 = 366 * 24 * 3600;

/// The settings of `plugin.toml`.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The name of this node in every record.
    pub node: String,
    /// Do not record what calls itself a robot.
    pub drop_bots: bool,
    /// Do not record who asks not to be tracked.
    pub respect_dnt: bool,
    /// How ids are checked, if they are to be.
    pub dedupe: Option<Dedupe>,
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
            dedupe: Dedupe::read(),
            write_keys: config::list("write-keys"),
            origins: config::list("origins"),
        }
    }
}

/// How the ids of events are checked.
#[derive(Clone, Debug)]
pub struct Dedupe {
    /// The parameter with an event's id.
    pub parameter: String,
    /// How long an id is known at least, and half of how long at most; never 0.
    pub window_ms: u64,
}

impl Dedupe {
    fn read() -> Option<Self> {
        let parameter = config::get("dedupe").filter(|name| !name.is_empty())?;
        let seconds =
            config::parse("dedupe-seconds").filter(|seconds| (1..=MAX_SECONDS).contains(seconds));
        Some(Self { parameter, window_ms: seconds.unwrap_or(USUAL_SECONDS) * 1_000 })
    }

    /// The number of the window in which a time lies, in milliseconds since 1970.
    pub fn window(&self, time_ms: u64) -> u64 {
        time_ms / self.window_ms
    }

    /// When a window starts, in milliseconds since 1970.
    pub fn start(&self, window: u64) -> u64 {
        window * self.window_ms
    }
}

/// Run with the settings of this instance.
pub fn with<T>(run: impl FnOnce(&Settings) -> T) -> T {
    thread_local! {
        static SETTINGS: OnceCell<Settings> = const { OnceCell::new() };
    }
    SETTINGS.with(|settings| run(settings.get_or_init(Settings::read)))
}
