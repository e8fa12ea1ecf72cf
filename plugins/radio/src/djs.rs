//! Who may play: the DJs that the operator names, and how they say who they are.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The longest header field with credentials that is looked at.
const MAX_FIELD: usize = 2048;

/// One of them.
pub struct Dj {
    /// Letters, digits and `._@-`, so that it needs no escapes in names of files and pages.
    pub name: String,
    password: [u8; 32],
}

/// All of them; none where the operator named nobody.
#[derive(Debug, Default)]
pub struct Djs(Vec<Dj>);

/// Never shows the password, nor what it was hashed to.
impl fmt::Debug for Dj {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dj").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Djs {
    /// `name:password`, one a line. Errors name the line and never what is in it.
    pub fn written(text: &str) -> Result<Self, String> {
        let mut djs: Vec<Dj> = Vec::new();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |what| format!("`djs`, line {}: {what}", at + 1);
            let (name, password) = line.trim().split_once(':').unwrap_or_default();
            if name.is_empty() || password.is_empty() {
                return Err(wrong("it is not `name:password`"));
            }
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._@-".contains(&b);
            if !name.bytes().all(is_plain) || name.len() > 64 {
                return Err(wrong("a name has at most 64 letters, digits and `._@-`"));
            }
            // What sources that know no users call themselves.
            if name == "source" || djs.iter().any(|dj| dj.name == name) {
                return Err(wrong("the name is taken: by a line before, or it is `source`"));
            }
            djs.push(Dj { name: name.to_owned(), password: Sha256::digest(password).into() });
        }
        Ok(Self(djs))
    }

    /// Whether there is nobody who may play.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose name and password these are. It takes the same time whoever it is.
    pub fn find(&self, credentials: &Credentials) -> Option<&Dj> {
        let (name, password) =
            (Sha256::digest(&credentials.name), Sha256::digest(&credentials.password));
        let is = |dj: &Dj| -> Choice {
            Sha256::digest(&dj.name).ct_eq(&name) & dj.password.ct_eq(&password)
        };
        let all: Vec<_> = self.0.iter().map(|dj| (dj, is(dj))).collect();
        all.into_iter().find(|(_, is)| bool::from(*is)).map(|(dj, _)| dj)
    }
}

/// What somebody says they are called, and their password.
pub struct Credentials {
    name: String,
    password: String,
}

impl Credentials {
    /// Those of an `authorization` field. Sources that know no users call themselves `source` and
    /// have `name;password` as their password.
    pub fn read(field: &str) -> Option<Self> {
        let (scheme, encoded) = field.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > MAX_FIELD {
            return None;
        }
        let bytes = STANDARD.decode(encoded.trim()).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let (name, password) = text.split_once(':')?;
        let (name, password) = match name {
            "source" => password.split_once(';').unwrap_or((name, password)),
            _ => (name, password),
        };
        Some(Self { name: name.to_owned(), password: password.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn find<'a>(djs: &'a Djs, text: &str) -> Option<&'a str> {
        let credentials = Credentials::read(&format!("Basic {}", STANDARD.encode(text)))?;
        djs.find(&credentials).map(|dj| dj.name.as_str())
    }

    #[test]
    fn a_dj_is_known_by_user_and_password_and_by_a_password_that_has_both() {
        let djs = Djs::written("ada:one two:three\r\n\n  bob@example.org:x;y\n").unwrap();
        assert_eq!(find(&djs, "ada:one two:three"), Some("ada"));
        assert_eq!(find(&djs, "source:ada;one two:three"), Some("ada"));
        assert_eq!(find(&djs, "bob@example.org:x;y"), Some("bob@example.org"));
        assert_eq!(find(&djs, "source:bob@example.org;x;y"), Some("bob@example.org"));
        for text in
            ["ada:x;y", "ada:", ":", "", "source:", "source:one two:three", "ADA:one two:three"]
        {
            assert_eq!(find(&djs, text), None, "{text}");
        }
        assert!(find(&Djs::default(), "ada:one two:three").is_none());
    }

    #[test]
    fn a_line_that_is_no_dj_is_named_without_its_text() {
        for text in
            ["a:secret\nsecret", "a b:secret", "a:secret\na:secret", "<b>:secret", "source:secret"]
        {
            let error = Djs::written(text).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(!format!("{:?}", Djs::written("a:secret").unwrap()).contains("secret"));
        assert!(Djs::written("\n").unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn any_field_is_read_without_a_panic(field in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Credentials::read(&field);
            let _ = Credentials::read(&format!("basic {}", STANDARD.encode(bytes)));
        }
    }
}
