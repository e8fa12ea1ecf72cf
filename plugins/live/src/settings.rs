//! What the operator decides.

use std::sync::LazyLock;

use trellis_sdk::config;

use crate::login::Users;

/// The settings of a generation.
#[derive(Debug)]
pub struct Settings {
    /// Who may see the events; `None`: everybody.
    pub users: Option<Users>,
    /// How long a login lasts, in seconds.
    pub session_s: u64,
    /// Origins besides the page's own.
    pub origins: Vec<String>,
}

/// The settings, or why there are none; then nobody may see anything.
pub fn get() -> &'static Result<Settings, String> {
    static SETTINGS: LazyLock<Result<Settings, String>> = LazyLock::new(|| {
        let hours = config::get("session-hours").unwrap_or_default();
        let users = config::get("live-users");
        Settings::of(users.as_deref(), &hours, config::list("origins"))
    });
    &SETTINGS
}

impl Settings {
    fn of(users: Option<&str>, hours: &str, origins: Vec<String>) -> Result<Self, String> {
        let users = users.map(Users::written).transpose()?;
        let hours = hours.trim().parse().ok().filter(|hours| (1..=8760).contains(hours));
        let hours: u64 = hours.ok_or("`session-hours` is a number from 1 to 8760")?;
        Ok(Self { users, session_s: hours * 3600, origins })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_mistake_in_the_users_is_an_error_and_never_a_view_that_is_open() {
        assert!(Settings::of(None, "12", vec![]).unwrap().users.is_none());
        assert!(Settings::of(Some("ada:secret"), "12", vec![]).unwrap().users.is_some());
        for users in ["", " \n", "ada", "ada:", ":secret"] {
            assert!(Settings::of(Some(users), "12", vec![]).is_err(), "{users}");
        }
        for hours in ["", "0", "x", "-1", "100000"] {
            assert!(Settings::of(None, hours, vec![]).is_err(), "{hours}");
        }
    }
}
