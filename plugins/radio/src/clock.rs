//! What time it is, and how it is written.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    ms(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A duration in whole milliseconds.
pub fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `2026-11-22T13:19:50Z`.
pub fn iso(ms: u64) -> String {
    moment(ms).map(|moment| moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}

/// `20261122T131950Z`, for names.
pub fn compact(ms: u64) -> String {
    moment(ms).map(|moment| moment.strftime("%Y%m%dT%H%M%SZ").to_string()).unwrap_or_default()
}

/// `Sun, 22 Nov 2026 13:19:50 +0000`, as Icecast writes it.
pub fn mail(ms: u64) -> String {
    moment(ms)
        .map(|moment| moment.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string())
        .unwrap_or_default()
}

fn moment(ms: u64) -> Option<jiff::Zoned> {
    let moment = Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
    Some(moment.to_zoned(TimeZone::UTC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_three_ways() {
        let moment = 1_795_353_590_123;
        assert_eq!(iso(moment), "2026-11-22T13:19:50Z");
        assert_eq!(compact(moment), "20261122T131950Z");
        assert_eq!(mail(moment), "Sun, 22 Nov 2026 13:19:50 +0000");
        assert_eq!(iso(u64::MAX), "");
    }
}
