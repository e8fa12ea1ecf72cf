//! Dates, times and intervals in ISO 8601, from the forms that the server sends: days and
//! microseconds since the year 2000. What PostgreSQL wrote, it reads again.

/// Days from the first of March of the year 0 to the first of January 2000.
const DAYS_TO_2000: i64 = 730_425;
const DAY: i64 = 86_400_000_000;

/// DATE.
pub fn date(days: i32) -> String {
    match days {
        i32::MAX => "infinity".into(),
        i32::MIN => "-infinity".into(),
        days => {
            let (date, era) = civil(days.into());
            date + era
        }
    }
}

/// TIMESTAMP, and TIMESTAMPTZ with `zone` being `Z`.
pub fn timestamp(micros: i64, zone: &str) -> String {
    match micros {
        i64::MAX => "infinity".into(),
        i64::MIN => "-infinity".into(),
        micros => {
            let (date, era) = civil(micros.div_euclid(DAY));
            format!("{date}T{}{zone}{era}", of_day(micros.rem_euclid(DAY)))
        }
    }
}

/// TIME.
pub fn of_day(micros: i64) -> String {
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}{}", fraction(rest))
}

/// TIMETZ: microseconds, and seconds west of Greenwich.
pub fn of_day_with_zone(bytes: &[u8]) -> Option<String> {
    let (micros, west) = bytes.split_at_checked(8)?;
    let east = -i32::from_be_bytes(west.try_into().ok()?);
    let (sign, minutes) = (if east < 0 { '-' } else { '+' }, east.abs() / 60);
    let time = of_day(i64::from_be_bytes(micros.try_into().ok()?));
    Some(format!("{time}{sign}{:02}:{:02}", minutes / 60, minutes % 60))
}

/// INTERVAL: microseconds, days and months, each with a sign of its own.
pub fn interval(bytes: &[u8]) -> Option<String> {
    let (micros, rest) = bytes.split_at_checked(8)?;
    let (days, months) = rest.split_at_checked(4)?;
    let micros = i64::from_be_bytes(micros.try_into().ok()?);
    let days = i32::from_be_bytes(days.try_into().ok()?);
    let months = i32::from_be_bytes(months.try_into().ok()?);
    let part = |number: i64, unit: char| match number {
        0 => String::new(),
        number => format!("{number}{unit}"),
    };
    let date =
        [part((months / 12).into(), 'Y'), part((months % 12).into(), 'M'), part(days.into(), 'D')];
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    let second = match (seconds % 60, rest) {
        (0, 0) => String::new(),
        (second, rest) => {
            let sign = if micros < 0 { "-" } else { "" };
            format!("{sign}{}{}S", second.abs(), fraction(rest.abs()))
        }
    };
    let time = [part(seconds / 3600, 'H'), part(seconds / 60 % 60, 'M'), second].concat();
    Some(match (date.concat(), time) {
        (date, time) if date.is_empty() && time.is_empty() => "PT0S".into(),
        (date, time) if time.is_empty() => format!("P{date}"),
        (date, time) => format!("P{date}T{time}"),
    })
}

/// Microseconds behind the point, without zeros at the end.
fn fraction(micros: i64) -> String {
    match micros {
        0 => String::new(),
        micros => format!(".{micros:06}").trim_end_matches('0').to_owned(),
    }
}

/// The date so many days after the first of January 2000, and the mark of a year before the first.
fn civil(days: i64) -> (String, &'static str) {
    // Years begin in March here, so that the odd day comes last; 400 of them have 146,097 days.
    let days = days + DAYS_TO_2000;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    let (year, mark) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    (format!("{year:04}-{month:02}-{day:02}"), mark)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn dates_go_from_the_beginning_to_the_end() {
        let known = [
            (0, "2000-01-01"),
            (-1, "1999-12-31"),
            (59, "2000-02-29"),
            (-10_957, "1970-01-01"),
            (2_921_939, "9999-12-31"),
            (2_921_940, "10000-01-01"),
            (-730_119, "0001-01-01"),
            (-730_120, "0001-12-31 BC"),
            (i32::MAX, "infinity"),
        ];
        for (days, text) in known {
            assert_eq!(date(days), text, "{days}");
        }
    }

    #[test]
    fn times_have_as_many_decimals_as_they_need() {
        assert_eq!(timestamp(1_500_000, ""), "2000-01-01T00:00:01.5");
        assert_eq!(timestamp(-1, "Z"), "1999-12-31T23:59:59.999999Z");
        assert_eq!(of_day(DAY), "24:00:00");
        let zone = [&0i64.to_be_bytes()[..], &(-19_800i32).to_be_bytes()].concat();
        assert_eq!(of_day_with_zone(&zone).unwrap(), "00:00:00+05:30");
    }

    #[test]
    fn an_interval_keeps_its_parts_apart() {
        let of = |micros: i64, days: i32, months: i32| {
            let bytes =
                [&micros.to_be_bytes()[..], &days.to_be_bytes(), &months.to_be_bytes()].concat();
            interval(&bytes).unwrap()
        };
        assert_eq!(of(0, 0, 0), "PT0S");
        assert_eq!(of(3_661_500_000, 4, 14), "P1Y2M4DT1H1M1.5S");
        assert_eq!(of(-500_000, -1, 0), "P-1DT-0.5S");
    }
}
