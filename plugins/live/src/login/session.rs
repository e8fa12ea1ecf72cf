//! A session is a cookie that its holder cannot make: `1.NAME.END.SIGNATURE`. Nothing of it is
//! kept here, so it ends at its time, with its password, or where the browser forgets it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;

use super::{User, Users, mac};

/// The cookie's name.
pub const COOKIE: &str = "kafidx";
const VERSION: &str = "1";

/// Who is there, and until when.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    /// The user.
    pub user: &'a User,
    /// The end, in seconds since 1970.
    pub until: u64,
}

impl<'a> Session<'a> {
    /// What a request's cookies prove at this time.
    pub fn of(users: &'a Users, cookies: &str, now_s: u64) -> Option<Self> {
        let values = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
        let mine = values.filter(|(name, _)| *name == COOKIE);
        // A browser may hold an older one for another path; any that is good will do.
        mine.take(4).find_map(|(_, value)| Self::read(users, value, now_s))
    }

    fn read(users: &'a Users, value: &str, now_s: u64) -> Option<Self> {
        let (said, signature) = value.rsplit_once('.')?;
        let said = said.strip_prefix(VERSION)?.strip_prefix('.')?;
        let (name, until) = said.rsplit_once('.')?;
        let session = Self { user: users.named(name)?, until: until.parse().ok()? };
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let good = session.signature().ct_eq(&signature);
        (bool::from(good) && now_s < session.until).then_some(session)
    }

    /// The cookie's value.
    pub fn value(&self) -> String {
        let signature = URL_SAFE_NO_PAD.encode(self.signature());
        format!("{VERSION}.{}.{}.{signature}", self.user.name, self.until)
    }

    fn signature(&self) -> [u8; 32] {
        let until = self.until.to_string();
        mac(self.user.key(), &[VERSION.as_bytes(), self.user.name.as_bytes(), until.as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn users() -> Users {
        Users::written("ada.l:secret\nbob:other").unwrap()
    }

    fn name(users: &Users, cookies: &str, now_s: u64) -> Option<String> {
        Session::of(users, cookies, now_s).map(|session| session.user.name.clone())
    }

    #[test]
    fn a_cookie_is_good_until_its_end() {
        let users = users();
        let value = Session { user: users.named("ada.l").unwrap(), until: 1000 }.value();
        let cookies = format!("a=b; kafidx={value}; c");
        assert_eq!(name(&users, &cookies, 999).as_deref(), Some("ada.l"));
        assert_eq!(name(&users, &cookies, 1000), None);
        assert_eq!(name(&users, &format!("kafidx=old; {cookies}"), 0).as_deref(), Some("ada.l"));
        assert_eq!(name(&users, &format!("xkafidx={value}"), 0), None);
    }

    #[test]
    fn nobody_makes_or_changes_a_cookie_or_keeps_it_beyond_the_password() {
        let users = users();
        let value = Session { user: users.named("bob").unwrap(), until: 1000 }.value();
        let signature = value.rsplit_once('.').unwrap().1;
        for forged in [
            format!("1.bob.9000.{signature}"),
            format!("1.ada.l.1000.{signature}"),
            format!("2.bob.1000.{signature}"),
            format!("1.bob.1000.{}", &signature[1..]),
            "1.bob.1000.".to_owned(),
            "1.bob.1000".to_owned(),
            String::new(),
        ] {
            assert_eq!(name(&users, &format!("kafidx={forged}"), 0), None, "{forged}");
        }
        let changed = Users::written("bob:another").unwrap();
        assert_eq!(name(&changed, &format!("kafidx={value}"), 0), None);
        let gone = Users::written("ada.l:secret").unwrap();
        assert_eq!(name(&gone, &format!("kafidx={value}"), 0), None);
    }

    proptest! {
        #[test]
        fn no_cookie_panics(cookies in any::<String>(), value in "[1a-z.;= ]{0,40}") {
            let users = users();
            prop_assert!(Session::of(&users, &cookies, 0).is_none());
            let named = format!("kafidx={value}");
            prop_assert!(Session::of(&users, &named, 0).is_none());
        }
    }
}
