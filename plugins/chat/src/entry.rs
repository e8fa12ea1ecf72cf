//! Who comes in, over either transport: where from, with which token, and whether it is banned.

use std::cell::OnceCell;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::access::{self, Proof, hex, sealed};
use crate::live;
use crate::session::Session;
use crate::store;
use crate::world::{Stored, Unavailable, Whom};

thread_local! {
    /// The key of the hash of addresses, which never changes.
    static ORIGIN_KEY: OnceCell<String> = const { OnceCell::new() };
}

/// Why somebody is not let in.
#[derive(Debug)]
pub enum Closed {
    /// Banned; what to tell.
    Banned(Value),
    /// The database is away.
    Unavailable,
}

impl From<Unavailable> for Closed {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// Begin a session, unless its address or its account is banned. A token that proves nothing is no
/// reason to stay outside: it is refused where it is needed.
pub fn enter(client_ip: &str, token: Option<&str>) -> Result<Session, Closed> {
    let settings = live::settings();
    let now = live::now_ms();
    let verify = |token: &str| access::verify(token, settings.jwt_secret.as_deref(), now).ok();
    let proof: Option<Proof> = token.and_then(verify);
    let key = live::random().ok_or(Closed::Unavailable)?;
    let session = Session::new(hex(&key), origin(client_ip)?, proof);
    let account = session.proof.as_ref().map(|proof| Whom::Account(proof.account()));
    let address = (!session.is_staff(now)).then(|| Whom::Origin(session.origin.clone()));
    for whom in [account, address].into_iter().flatten() {
        if let Some(ban) = live::fresh_ban(&whom)? {
            let told = json!({"reason": "banned", "why": ban.reason, "until": ban.until_ms});
            return Err(Closed::Banned(told));
        }
    }
    Ok(session)
}

/// An address under the keyed hash, which is all that is kept of it.
fn origin(client_ip: &str) -> Stored<String> {
    ORIGIN_KEY.with(|key| {
        if key.get().is_none() {
            let new = live::random().ok_or(Unavailable)?;
            let _ = key.set(live::stored(store::origin_key(&hex(&new)))?);
        }
        let key = key.get().map(String::as_str).unwrap_or_default();
        Ok(sealed(key.as_bytes(), &neighbourhood(client_ip)))
    })
}

/// What is one client among addresses: of IPv6 the /64, since whoever has one has all of it.
fn neighbourhood(client_ip: &str) -> String {
    match client_ip.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V6(ip)) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(ip) => ip.to_string(),
        Err(_) => client_ip.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_version_six_counts_with_its_network() {
        assert_eq!(neighbourhood("2001:db8::1"), neighbourhood("2001:db8::ffff:1"));
        assert_ne!(neighbourhood("2001:db8::1"), neighbourhood("2001:db8:0:1::1"));
        assert_eq!(neighbourhood("::ffff:192.0.2.1"), "192.0.2.1");
        assert_ne!(neighbourhood("192.0.2.1"), neighbourhood("192.0.2.2"));
    }
}
