//! Who may publish: a key for each stream.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::names::{Name, is_plain};

/// Stands for every name of an application.
const EVERY: &str = "*";

/// The keys of all streams.
#[derive(Default)]
pub struct Publishers(Vec<Publisher>);

struct Publisher {
    app: String,
    /// [`EVERY`], or a name.
    name: String,
    key: String,
}

impl Publishers {
    /// Read lines of `app/name:key`. An error is about a line, and does not say its key.
    pub fn written(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).enumerate();
        let publishers = lines.filter(|(_, line)| !line.is_empty()).map(|(at, line)| {
            Publisher::written(line).ok_or_else(|| {
                format!("`publishers` has no `app/name:key` in line {}: write one", at + 1)
            })
        });
        publishers.collect::<Result<_, _>>().map(Self)
    }

    /// Whether this key opens this stream. All are compared, in the same time.
    pub fn may(&self, name: &Name, key: &str) -> bool {
        let mut may = subtle::Choice::from(0);
        for publisher in &self.0 {
            let names = publisher.app == name.app
                && (publisher.name == EVERY || publisher.name == name.name);
            may |= publisher.key.as_bytes().ct_eq(key.as_bytes()) & u8::from(names).into();
        }
        may.into()
    }

    /// Whether nobody may publish anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Publisher {
    fn written(line: &str) -> Option<Self> {
        let (stream, key) = line.split_once(':')?;
        let (app, name) = stream.split_once('/')?;
        let (app, name, key) = (app.trim(), name.trim(), key.trim());
        let right = is_plain(app) && (name == EVERY || is_plain(name)) && !key.is_empty();
        right.then(|| Self { app: app.to_owned(), name: name.to_owned(), key: key.to_owned() })
    }
}

/// Without the keys.
impl fmt::Debug for Publishers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let streams = self.0.iter().map(|one| format!("{}/{}", one.app, one.name));
        f.debug_list().entries(streams).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_opens_its_own_stream_and_no_other() {
        let publishers =
            Publishers::written("\n live/show: one:two \nvj/*:three\n live/show:again").unwrap();
        let may = |app, name, key| publishers.may(&Name::new(app, name).unwrap(), key);
        assert!(may("live", "show", "one:two") && may("live", "show", "again"));
        assert!(may("vj", "anything", "three"));
        assert!(!may("live", "show", "three") && !may("live", "other", "one:two"));
        assert!(!may("vj2", "anything", "three") && !may("live", "show", ""));
    }

    #[test]
    fn a_line_that_is_wrong_is_named_and_its_key_is_not() {
        for lines in ["live:secret", "live/show", "live/show:", "a b/show:secret", "/x:secret"] {
            let error = Publishers::written(&format!("live/a:b\n\n{lines}")).unwrap_err();
            assert!(error.contains("line 3") && !error.contains("secret"), "{error}");
        }
        let publishers = Publishers::written("live/show:secret").unwrap();
        assert!(!format!("{publishers:?}").contains("secret"));
    }
}
