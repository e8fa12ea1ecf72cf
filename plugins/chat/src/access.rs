//! Tokens and roles: who somebody is for certain, and what that one may do.
//!
//! A token is a JWT under HS256 with the secret that the API signs with. Its claim `username` is the
//! account, `exp` its end, and `role` or `roles` what the account is.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::names;

/// The longest token that is looked at.
const MAX_TOKEN: usize = 4096;
/// The longest word for a role.
const MAX_ROLE: usize = 30;

/// How much somebody may do to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    Nobody,
    Moderator,
    Manager,
    Admin,
}

impl Rank {
    /// The rank that a role has.
    pub fn of(role: &str) -> Self {
        match role {
            "moderator" => Self::Moderator,
            "manager" => Self::Manager,
            "admin" => Self::Admin,
            _ => Self::Nobody,
        }
    }
}

/// What a token proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The name as the token has it.
    #[serde(rename = "n")]
    pub name: String,
    /// The highest of its roles; empty without one.
    #[serde(rename = "r")]
    pub role: String,
    /// When it ends, in milliseconds since 1970.
    #[serde(rename = "u")]
    pub until_ms: u64,
}

impl Proof {
    /// The account, under which bans and names are kept.
    pub fn account(&self) -> String {
        names::key(&self.name)
    }

    /// What it allows.
    pub fn rank(&self) -> Rank {
        Rank::of(&self.role)
    }
}

/// Why a token proves nothing. The texts are for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no secret to check it with.
    NoSecret,
    /// It is no token, or under another algorithm.
    Malformed,
    /// Somebody else signed it.
    Forged,
    /// It has ended, does not end, or has not begun.
    Expired,
    /// Its `username` is no name.
    Nameless,
}

impl Refusal {
    /// What a program is told.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoSecret => "tokens_not_set_up",
            Self::Malformed | Self::Forged | Self::Nameless => "bad_token",
            Self::Expired => "token_expired",
        }
    }

    /// What people are told.
    pub fn text(self) -> &'static str {
        match self {
            Self::NoSecret => "this chat takes no tokens",
            Self::Malformed | Self::Forged | Self::Nameless => "the token is not valid",
            Self::Expired => "the token has expired",
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    username: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    #[serde(default)]
    role: Value,
    #[serde(default)]
    roles: Value,
}

/// What a token proves.
pub fn verify(token: &str, secret: Option<&[u8]>, now_ms: u64) -> Result<Proof, Refusal> {
    let secret = secret.ok_or(Refusal::NoSecret)?;
    if token.len() > MAX_TOKEN {
        return Err(Refusal::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(Refusal::Malformed)?;
    // Only this algorithm: the token does not choose how it is checked.
    if part::<Header>(header)?.alg != "HS256" {
        return Err(Refusal::Malformed);
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refusal::Malformed)?;
    let mut mac = keyed(secret);
    mac.update(signed.as_bytes());
    mac.verify_slice(&signature).map_err(|_| Refusal::Forged)?;
    let claims = part::<Claims>(claims)?;
    let now = now_ms / 1000;
    let until = claims.exp.map(seconds).filter(|until| *until > now).ok_or(Refusal::Expired)?;
    if claims.nbf.is_some_and(|from| seconds(from) > now) {
        return Err(Refusal::Expired);
    }
    let name = claims.username.filter(|name| names::check(name).is_ok());
    let name = name.ok_or(Refusal::Nameless)?;
    let role = highest(&[claims.role, claims.roles]);
    Ok(Proof { name, role, until_ms: until.saturating_mul(1000) })
}

fn part<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Refusal::Malformed)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is cut to fit")]
fn seconds(time: f64) -> u64 {
    time as u64
}

/// The role with the highest rank, of texts and lists of texts; where none has a rank, the first.
fn highest(claims: &[Value]) -> String {
    let mut roles = Vec::new();
    for claim in claims {
        match claim {
            Value::String(text) => roles.push(text.as_str()),
            Value::Array(list) => roles.extend(list.iter().filter_map(Value::as_str)),
            _ => {}
        }
    }
    let words = roles.iter().flat_map(|text| text.split([' ', ',']));
    let words = words.filter_map(|word| names::line(word, MAX_ROLE));
    // Of equals the last is taken by `max`, so they come in reverse.
    let words: Vec<_> = words.collect();
    words.into_iter().rev().max_by_key(|role| Rank::of(role)).unwrap_or_default()
}

/// A keyed hash. Any length will do as a key, so there is no error to meet.
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

/// A text under a key, of which nobody can tell the text without the key; 32 hexadecimal digits.
pub fn sealed(key: &[u8], text: &str) -> String {
    let mut mac = keyed(key);
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes()[..16])
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Whether a secret was said, in a time that depends on lengths alone.
pub fn is_same(said: &str, secret: &str) -> bool {
    said.as_bytes().ct_eq(secret.as_bytes()).into()
}

/// A token, as the API signs them.
#[cfg(test)]
pub fn sign(claims: &Value, secret: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut mac = keyed(secret.as_bytes());
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    const SECRET: &[u8] = b"a secret of the house";

    fn verified(token: &str) -> Result<Proof, Refusal> {
        verify(token, Some(SECRET), 1_000_000)
    }

    fn signed(claims: &Value) -> String {
        sign(claims, "a secret of the house")
    }

    #[test]
    fn a_token_proves_a_name_and_the_highest_role() {
        let token =
            signed(&json!({"username": "Ada", "exp": 1001, "roles": ["dj", "admin", "vj"]}));
        let proof = verified(&token).unwrap();
        assert_eq!((proof.name.as_str(), proof.role.as_str()), ("Ada", "admin"));
        assert_eq!(
            (proof.account(), proof.rank(), proof.until_ms),
            ("ada".into(), Rank::Admin, 1_001_000)
        );
        let token = signed(&json!({"username": "Ada", "exp": 1001.5, "role": "dj vj"}));
        assert_eq!(verified(&token).unwrap().role, "dj");
    }

    #[test]
    fn a_token_from_the_known_vector_of_the_standard_is_read() {
        // The HS256 example of jwt.io, which has no `exp`: its signature is right, its end is not.
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
            eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.\
            SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
        let secret = Some(b"your-256-bit-secret".as_slice());
        assert_eq!(verify(token, secret, 0), Err(Refusal::Expired));
        assert_eq!(verify(token, Some(SECRET), 0), Err(Refusal::Forged));
    }

    #[test]
    fn a_token_that_has_ended_or_never_ends_proves_nothing() {
        for exp in [json!(1000), json!(999), json!(-1), json!(null)] {
            let token = signed(&json!({"username": "ada", "exp": exp}));
            assert_eq!(verified(&token), Err(Refusal::Expired));
        }
        let early = signed(&json!({"username": "ada", "exp": 2000, "nbf": 1500}));
        assert_eq!(verified(&early), Err(Refusal::Expired));
    }

    #[test]
    fn a_token_of_somebody_else_proves_nothing() {
        let token = sign(&json!({"username": "ada", "exp": 2000}), "another secret");
        assert_eq!(verified(&token), Err(Refusal::Forged));
        assert_eq!(verify(&token, None, 0), Err(Refusal::NoSecret));
    }

    #[test]
    fn a_token_does_not_choose_its_algorithm() {
        for alg in ["none", "HS384", "hs256"] {
            let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg}).to_string());
            let claims = URL_SAFE_NO_PAD.encode(r#"{"username":"ada","exp":2000}"#);
            assert_eq!(verified(&format!("{header}.{claims}.")), Err(Refusal::Malformed));
        }
        for token in ["", ".", "..", "a.b.c", &"x".repeat(5000)] {
            assert_eq!(verified(token), Err(Refusal::Malformed), "{token}");
        }
    }

    #[test]
    fn an_address_is_kept_under_a_key() {
        assert_eq!(sealed(b"k", "192.0.2.1").len(), 32);
        assert_ne!(sealed(b"k", "192.0.2.1"), sealed(b"k", "192.0.2.2"));
        assert_ne!(sealed(b"k", "192.0.2.1"), sealed(b"l", "192.0.2.1"));
        assert!(is_same("abc", "abc") && !is_same("abc", "abd") && !is_same("", "a"));
    }
}
