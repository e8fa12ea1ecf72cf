//! What was measured, as a table for people or one JSON object a line.

use std::time::Instant;

use serde::Serialize;

/// What a figure is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Against {
    /// The same work done natively, in the same rounds.
    Native,
    /// Another host that runs the same component, in the same rounds.
    Peer,
    /// A figure that must be kept.
    Limit(f64),
}

/// One line of the report.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured; `README.md` says what each name means.
    pub name: String,
    /// Of the three figures.
    pub unit: &'static str,
    /// Of the three figures, the smaller is the better.
    pub less_is_better: bool,
    /// The figure of the plugin.
    pub plugin: f64,
    /// The figure of native code, where there is any.
    pub native: Option<f64>,
    /// The figure of another host, where there is one that can do it.
    pub peer: Option<f64>,
    /// What the ratio compares with.
    pub against: Against,
    /// What else is to be known.
    pub note: String,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    unit: &'a str,
    plugin: f64,
    native: Option<f64>,
    peer: Option<f64>,
    ratio: Option<f64>,
    against: &'static str,
    note: &'a str,
}

impl Row {
    /// A row that compares with native code.
    pub fn new(name: impl Into<String>, unit: &'static str, plugin: f64) -> Self {
        Self {
            name: name.into(),
            unit,
            less_is_better: false,
            plugin,
            native: None,
            peer: None,
            against: Against::Native,
            note: String::new(),
        }
    }

    /// The larger, the better the plugin; `None` without anything to compare with.
    pub fn ratio(&self) -> Option<f64> {
        let other = match self.against {
            Against::Native => self.native?,
            Against::Peer => self.peer?,
            Against::Limit(limit) => limit,
        };
        let ratio = if self.less_is_better { other / self.plugin } else { self.plugin / other };
        ratio.is_finite().then_some(ratio)
    }

    fn against(&self) -> &'static str {
        match self.against {
            Against::Native => "native",
            Against::Peer => "peer",
            Against::Limit(_) => "limit",
        }
    }

    /// One JSON object.
    pub fn json(&self) -> String {
        let line = Line {
            name: &self.name,
            unit: self.unit,
            plugin: rounded(self.plugin),
            native: self.native.map(rounded),
            peer: self.peer.map(rounded),
            ratio: self.ratio().map(rounded),
            against: self.against(),
            note: &self.note,
        };
        serde_json::to_string(&line).unwrap_or_default()
    }

    /// One line of the table under [`heading`].
    pub fn line(&self) -> String {
        let ratio = self.ratio().map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        format!(
            "{:<34} {:>10} {:>12} {:>12} {:>12} {:>6} of {:<7} {}",
            self.name,
            self.unit,
            figure(Some(self.plugin)),
            figure(self.native),
            figure(self.peer),
            ratio,
            self.against(),
            self.note
        )
    }
}

/// The heading of the table.
pub fn heading() -> String {
    format!(
        "{:<34} {:>10} {:>12} {:>12} {:>12} {:>6} {:<10} {}",
        "name", "unit", "plugin", "native", "peer", "ratio", "", "note"
    )
}

fn figure(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value.abs() >= 1000.0 => grouped(value),
        Some(value) => format!("{value:.2}"),
    }
}

/// `1,234,567`.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three decimals are more than is known.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Milliseconds since then.
pub fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

/// The middle of some figures; zero of none.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[length / 2],
        length => (sorted[length / 2 - 1] + sorted[length / 2]) / 2.0,
    }
}

/// How far the figures lie from their middle, in per cent of it.
pub fn spread(figures: &[f64]) -> f64 {
    let middle = median(figures);
    let furthest = figures.iter().map(|figure| (figure - middle).abs()).fold(0.0, f64::max);
    if middle == 0.0 { 0.0 } else { 100.0 * furthest / middle }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_one_is_always_better() {
        let mut row = Row { native: Some(100.0), ..Row::new("a", "req/s", 110.0) };
        assert_eq!(row.ratio(), Some(1.1));
        row.less_is_better = true;
        row.plugin = 50.0;
        assert_eq!(row.ratio(), Some(2.0));
        row.against = Against::Peer;
        assert_eq!(row.ratio(), None);
        row.against = Against::Limit(25.0);
        assert_eq!(row.ratio(), Some(0.5));
    }

    #[test]
    fn a_line_of_json_has_null_where_there_is_no_peer() {
        let line = Row { native: Some(2.0), ..Row::new("a", "req/s", 1.0) }.json();
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["ratio"], 0.5);
        assert!(value["peer"].is_null());
    }

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(spread(&[90.0, 100.0, 105.0]), 10.0);
    }

    #[test]
    fn thousands_are_parted() {
        assert_eq!(figure(Some(1_234_567.0)), "1,234,567");
        assert_eq!(figure(Some(999.5)), "999.50");
    }
}
