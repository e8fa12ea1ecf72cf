//! The doors, one file each.

use anyhow::Result;

use crate::{Verdict, seeds};

mod border;
mod edge;
mod intake;
mod manifest;
mod segment;

/// A door that foreign bytes come through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// `plugin.toml`.
    Manifest,
    /// A file in the plugin directory: read, checked, compiled, linked.
    Intake,
    /// What clients send over HTTP.
    Edge,
    /// What guests hand over packed: records, heads of responses.
    Border,
    /// The files of the embedded log.
    Segment,
}

/// A door, open.
pub trait Door {
    /// Feed one input.
    ///
    /// # Panics
    /// When the host does what it must not.
    fn feed(&mut self, input: &[u8]) -> Verdict;
}

impl Target {
    /// Every target.
    pub const ALL: [Self; 5] =
        [Self::Manifest, Self::Intake, Self::Edge, Self::Border, Self::Segment];

    /// Its name, also of its corpus.
    pub fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Intake => "intake",
            Self::Edge => "edge",
            Self::Border => "border",
            Self::Segment => "segment",
        }
    }

    /// Right inputs, and those that once went wrong.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn seeds(self) -> Result<Vec<Vec<u8>>> {
        let mut seeds = match self {
            Self::Manifest => seeds::manifests()?,
            Self::Intake => seeds::components()?,
            Self::Edge => edge::seeds(),
            Self::Border => border::seeds(),
            Self::Segment => segment::seeds()?,
        };
        seeds.extend(seeds::corpus(self.name())?);
        Ok(seeds)
    }

    /// Open the door.
    ///
    /// # Errors
    /// When a part of the host cannot be set up.
    pub fn open(self) -> Result<Box<dyn Door>> {
        Ok(match self {
            Self::Manifest => Box::new(manifest::Manifest),
            Self::Intake => Box::new(intake::Intake::open()?),
            Self::Edge => Box::new(edge::Edge::open()?),
            Self::Border => Box::new(border::Border),
            Self::Segment => Box::new(segment::Segment::open()?),
        })
    }
}
