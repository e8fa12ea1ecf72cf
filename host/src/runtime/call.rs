//! What can go wrong with a call, told apart in one place.

use std::time::Duration;

/// Why a call gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// All instances are taken and the queue is full.
    #[error("plugin `{plugin}` is overloaded: {queued} calls wait already")]
    Overloaded {
        /// The plugin.
        plugin: String,
        /// How many wait.
        queued: u32,
    },
    /// The call, or the wait for an instance, took longer than the plugin's deadline.
    #[error("plugin `{plugin}` did not answer within {limit:?}")]
    Deadline {
        /// The plugin.
        plugin: String,
        /// `[limits] timeout`.
        limit: Duration,
    },
    /// The plugin wanted more memory than it may have, and trapped.
    #[error("plugin `{plugin}` used more than its {limit} bytes of memory")]
    Memory {
        /// The plugin.
        plugin: String,
        /// `[limits] memory`.
        limit: usize,
    },
    /// The guest trapped: a panic, an exit, a bad access.
    #[error("plugin `{plugin}` trapped: {reason}")]
    Trap {
        /// The plugin.
        plugin: String,
        /// Why, and a line for each function it happened in.
        reason: String,
    },
    /// No instance could be made.
    #[error("plugin `{plugin}` could not be started: {reason}")]
    Unavailable {
        /// The plugin.
        plugin: String,
        /// Why.
        reason: String,
    },
    /// This generation has ended; the plugin's live one takes the call.
    #[error("this generation of plugin `{plugin}` has ended")]
    Gone {
        /// The plugin.
        plugin: String,
    },
}

impl CallError {
    /// The kinds as metric labels.
    pub const KINDS: [&'static str; 6] =
        ["overloaded", "deadline", "memory", "trap", "unavailable", "gone"];

    /// The kind as a metric label.
    pub fn kind(&self) -> &'static str {
        Self::KINDS[self.number()]
    }

    /// Which of [`Self::KINDS`] it is.
    pub fn number(&self) -> usize {
        match self {
            Self::Overloaded { .. } => 0,
            Self::Deadline { .. } => 1,
            Self::Memory { .. } => 2,
            Self::Trap { .. } => 3,
            Self::Unavailable { .. } => 4,
            Self::Gone { .. } => 5,
        }
    }

    /// The plugin that was called.
    pub fn plugin(&self) -> &str {
        match self {
            Self::Overloaded { plugin, .. }
            | Self::Deadline { plugin, .. }
            | Self::Memory { plugin, .. }
            | Self::Trap { plugin, .. }
            | Self::Unavailable { plugin, .. }
            | Self::Gone { plugin } => plugin,
        }
    }

    /// Whether the guest is to blame, not the load or the host.
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Deadline { .. } | Self::Memory { .. } | Self::Trap { .. })
    }
}

/// Raised inside a guest whose deadline has passed.
#[derive(Debug, thiserror::Error)]
#[error("the deadline has passed")]
pub(super) struct DeadlinePassed;

/// Raised inside a guest for which the host keeps too much.
#[derive(Debug, thiserror::Error)]
#[error("the host keeps more for the guest than its memory allows")]
pub(super) struct Overdrawn;
