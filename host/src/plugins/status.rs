//! What operators are told about a plugin: one shape for the admin API and the command line.

use serde::{Deserialize, Serialize};

use crate::capabilities::Needs;

/// A plugin at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub state: State,
    /// Why it is there: for [`State::Failed`] what is wrong with the newest version.
    #[serde(default)]
    pub reason: Option<String>,
    /// The number of the generation that serves, counted from 1 since the host started; `None`
    /// when none does.
    #[serde(default)]
    pub generation: Option<u64>,
    /// The version in its manifest.
    #[serde(default)]
    pub version: Option<String>,
    /// The digest of the component that serves, in hexadecimal.
    #[serde(default)]
    pub digest: Option<String>,
    /// Its routes.
    #[serde(default)]
    pub routes: Vec<String>,
    /// The topics it consumes.
    #[serde(default)]
    pub consumes: Vec<String>,
    /// What it asked for and was granted.
    #[serde(default)]
    pub needs: Needs,
    /// Instances that exist.
    #[serde(default)]
    pub instances: u32,
    /// Those of them that run a call.
    #[serde(default)]
    pub lent: u32,
    /// Bytes of linear memory of all its instances.
    #[serde(default)]
    pub memory: u64,
    /// Calls that were begun by the generation that serves.
    #[serde(default)]
    pub calls: u64,
    /// Calls of it that trapped, hung or took too much memory.
    #[serde(default)]
    pub faults: u64,
    /// When it came into this state, in milliseconds since 1970.
    pub since_ms: u64,
    /// The file it was loaded from.
    #[serde(default)]
    pub file: Option<String>,
}

impl Status {
    /// A plugin of which nothing but its state is known.
    pub fn new(name: String, state: State, since_ms: u64) -> Self {
        Self {
            name,
            state,
            reason: None,
            generation: None,
            version: None,
            digest: None,
            routes: Vec::new(),
            consumes: Vec::new(),
            needs: Needs::default(),
            instances: 0,
            lent: 0,
            memory: 0,
            calls: 0,
            faults: 0,
            since_ms,
            file: None,
        }
    }
}

/// Where a plugin is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its first version is being checked and compiled.
    Loading,
    /// A generation serves, and it is the newest version.
    Live,
    /// The newest version was refused. The one before serves, if [`Status::generation`] is some.
    Failed,
    /// Its file is gone: calls in flight end, then it is gone too.
    Draining,
}

impl State {
    /// As it is shown and written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Live => "live",
            Self::Failed => "failed",
            Self::Draining => "draining",
        }
    }
}
