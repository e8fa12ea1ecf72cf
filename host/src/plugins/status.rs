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
    /// Calls of it that failed: faults, calls without an instance, and answers that are errors of
    /// the server.
    #[serde(default)]
    pub errors: u64,
    /// How often the host went back to an earlier version by itself since it started.
    #[serde(default)]
    pub reverts: u64,
    /// How requests are split between the generation that serves and a candidate.
    #[serde(default)]
    pub split: Option<Split>,
    /// Its generations and the versions that are kept, the newest first. Only where one plugin was
    /// asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<Version>,
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
            errors: 0,
            reverts: 0,
            split: None,
            versions: Vec::new(),
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

/// The requests that the generation that serves and a candidate get, in parts of their sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Weights {
    /// Of the generation that serves, at most 1,000,000.
    pub live: u32,
    /// Of the candidate, at most 1,000,000.
    pub candidate: u32,
}

impl Weights {
    /// The candidate's part of all requests, from 0 to 1.
    pub fn share(self) -> f64 {
        let all = f64::from(self.live) + f64::from(self.candidate);
        f64::from(self.candidate) / all.max(1.0)
    }
}

/// A split at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Split {
    /// Who gets how much.
    pub weights: Weights,
    /// The number of the candidate's generation; `None` until one was dropped.
    #[serde(default)]
    pub generation: Option<u64>,
}

/// One version of a plugin: a generation of it, or what is kept of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Version {
    /// What tells it from others, in hexadecimal: the digest of its component; with a sidecar that
    /// of both.
    pub digest: String,
    /// Where it is in its life.
    pub state: VersionState,
    /// Why the host took it back, if it did.
    #[serde(default)]
    pub reason: Option<String>,
    /// The version in its manifest.
    #[serde(default)]
    pub version: Option<String>,
    /// When it was loaded, or came last where it is only kept; in milliseconds since 1970.
    pub loaded_ms: u64,
    /// The number of its generation, if it has one.
    #[serde(default)]
    pub generation: Option<u64>,
    /// Its part of the requests, from 0 to 1.
    #[serde(default)]
    pub weight: f64,
    /// Calls that were begun by this generation.
    #[serde(default)]
    pub calls: u64,
    /// Calls of it that failed; see [`Status::errors`].
    #[serde(default)]
    pub errors: u64,
}

/// Where a version is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VersionState {
    /// It serves.
    Live,
    /// It gets a part of the requests.
    Canary,
    /// It ends its calls.
    Draining,
    /// It may be put back.
    Kept,
    /// The host took it back: it is kept, and not loaded again by itself.
    Refused,
}

impl VersionState {
    /// As it is shown and written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Canary => "canary",
            Self::Draining => "draining",
            Self::Kept => "kept",
            Self::Refused => "refused",
        }
    }
}
