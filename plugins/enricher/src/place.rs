//! Where an event came from, as JSON.

use serde::Serialize;
use trellis_sdk::geoip::Location;

/// The place of an address that nobody knows.
pub const UNKNOWN: &str = r#"{"country":"XX","city":"XX"}"#;
/// What stands for an unknown part.
const UNKNOWN_PART: &str = "XX";

#[derive(Serialize)]
struct Place<'a> {
    country: &'a str,
    city: &'a str,
}

/// A place as JSON, what is unknown as `XX`.
pub fn json(location: Option<&Location>) -> String {
    let country = location.and_then(|location| location.country.as_deref());
    let city = location.and_then(|location| location.city.as_deref());
    let place =
        Place { country: country.unwrap_or(UNKNOWN_PART), city: city.unwrap_or(UNKNOWN_PART) };
    serde_json::to_string(&place).unwrap_or_else(|_| UNKNOWN.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_told_as_such() {
        assert_eq!(json(None), UNKNOWN);
        let location =
            Location { country: Some("GB".into()), city: None, latitude: None, longitude: None };
        assert_eq!(json(Some(&location)), r#"{"country":"GB","city":"XX"}"#);
    }
}
