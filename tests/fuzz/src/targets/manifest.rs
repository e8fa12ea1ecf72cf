//! `plugin.toml`, beside a component or inside it.

use trellis::manifest;

use super::Door;
use crate::Verdict;

/// The reader of manifests.
pub struct Manifest;

impl Door for Manifest {
    fn feed(&mut self, input: &[u8]) -> Verdict {
        let text = String::from_utf8_lossy(input);
        match manifest::read(&text, "plugin.toml") {
            Ok(manifest) => {
                let written = manifest.to_toml();
                let again = manifest::read(&written, "plugin.toml");
                let again = again.map(|again| again.to_toml()).map_err(|error| error.explain());
                assert_eq!(again, Ok(written), "what is written is what was read");
                Verdict::Taken
            }
            Err(problem) => {
                let said = problem.explain();
                assert!(said.contains("plugin.toml"), "it does not say where: {said}");
                Verdict::Refused
            }
        }
    }
}
