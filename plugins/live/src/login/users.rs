//! The users that the operator names.

use std::fmt;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Rounds of stretching; some milliseconds, once for each user and instance.
const ROUNDS: u32 = 20_000;

/// One of them.
pub struct User {
    /// Letters, digits and `._@-`, so that it needs no escapes in cookies and pages.
    pub name: String,
    password: String,
    key: OnceLock<[u8; 32]>,
}

/// All of them; at least one.
#[derive(Debug)]
pub struct Users(Vec<User>);

/// Never shows the password.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Users {
    /// `name:password`, one a line. Errors name the line and never what is in it.
    pub fn written(text: &str) -> Result<Self, String> {
        let mut users: Vec<User> = Vec::new();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |what| format!("`live-users`, line {}: {what}", at + 1);
            let (name, password) = line.trim().split_once(':').unwrap_or_default();
            if name.is_empty() || password.is_empty() {
                return Err(wrong("it is not `name:password`"));
            }
            if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@-".contains(&b)) {
                return Err(wrong("a name has letters, digits and `._@-` only"));
            }
            if users.iter().any(|user| user.name == name) {
                return Err(wrong("the name is taken by a line before"));
            }
            let (name, password) = (name.to_owned(), password.to_owned());
            users.push(User { name, password, key: OnceLock::new() });
        }
        match users.is_empty() {
            true => Err("`live-users` names nobody".to_owned()),
            false => Ok(Self(users)),
        }
    }

    /// Whose name and password these are. It takes the same time whoever it is.
    pub fn find(&self, name: &str, password: &str) -> Option<&User> {
        let (name, password) = (Sha256::digest(name), Sha256::digest(password));
        let is = |user: &User| -> Choice {
            Sha256::digest(&user.name).ct_eq(&name)
                & Sha256::digest(&user.password).ct_eq(&password)
        };
        let all: Vec<_> = self.0.iter().map(|user| (user, is(user))).collect();
        all.into_iter().find(|(_, is)| bool::from(*is)).map(|(user, _)| user)
    }

    /// The user of this name.
    pub fn named(&self, name: &str) -> Option<&User> {
        self.0.iter().find(|user| user.name == name)
    }
}

impl User {
    /// What signs this user's sessions. It comes from the password: another one ends them, and
    /// who knows one password cannot sign, nor guess from a cookie of their own, for anybody else.
    pub fn key(&self) -> &[u8; 32] {
        self.key.get_or_init(|| {
            let salt = format!("trellis live view, sessions of {}", self.name);
            super::stretch(self.password.as_bytes(), salt.as_bytes(), ROUNDS)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_line_is_a_user_and_a_password_may_have_colons_and_spaces() {
        let users = Users::written("ada:one two:three\r\n\n  bob@example.org:x,y\n").unwrap();
        assert_eq!(users.find("ada", "one two:three").unwrap().name, "ada");
        assert_eq!(users.find("bob@example.org", "x,y").unwrap().name, "bob@example.org");
        for (name, password) in [("ada", "x,y"), ("ada", ""), ("", ""), ("ADA", "one two:three")] {
            assert!(users.find(name, password).is_none(), "{name}");
        }
    }

    #[test]
    fn a_line_that_is_no_user_is_named_without_its_text() {
        for text in ["", "\n", "a:secret\nsecret", "a b:secret", "a:secret\na:secret", "<b>:secret"]
        {
            let error = Users::written(text).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(!format!("{:?}", Users::written("a:secret").unwrap()).contains("secret"));
    }

    #[test]
    fn another_password_or_name_is_another_key() {
        let users = Users::written("a:x\nb:x").unwrap();
        let other = Users::written("a:y").unwrap();
        assert_ne!(users.named("a").unwrap().key(), users.named("b").unwrap().key());
        assert_ne!(users.named("a").unwrap().key(), other.named("a").unwrap().key());
    }
}
