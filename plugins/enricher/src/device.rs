//! What an event was sent with, read from the user agent.
//!
//! Reading one takes many microseconds and the same ones come again and again, so each is read
//! once and kept as the JSON that goes into the event.

use std::cell::RefCell;
use std::collections::HashMap;

use serde::Serialize;
use woothee::parser::Parser;

/// How many agents each of the two halves keeps.
const HALF: usize = 4_096;
/// What stands for an unknown part.
const UNKNOWN: &str = "unknown";

/// The parts of a user agent that events tell.
#[derive(Serialize)]
struct Device<'a> {
    /// `pc`, `smartphone`, `mobilephone`, `crawler`, `appliance`, `misc`.
    #[serde(rename = "type")]
    kind: &'a str,
    browser: &'a str,
    engine: &'a str,
    version: &'a str,
    os: &'a str,
}

/// Devices as JSON by their user agents, the recently used ones kept.
///
/// Two halves: what is used moves to the young one, and when that is full, the old one is
/// forgotten and the young one grows old.
#[derive(Default)]
pub struct Devices {
    young: HashMap<String, String>,
    old: HashMap<String, String>,
}

impl Devices {
    /// The device of a user agent.
    pub fn of(&mut self, agent: &str) -> &str {
        if !self.young.contains_key(agent) {
            if self.young.len() >= HALF {
                self.old = std::mem::take(&mut self.young);
            }
            let (agent, device) = match self.old.remove_entry(agent) {
                Some(known) => known,
                None => (agent.to_owned(), json(agent)),
            };
            self.young.insert(agent, device);
        }
        self.young.get(agent).map_or("{}", String::as_str)
    }
}

/// Run with the devices that this instance knows.
pub fn with<T>(run: impl FnOnce(&mut Devices) -> T) -> T {
    thread_local! {
        static DEVICES: RefCell<Devices> = RefCell::default();
    }
    DEVICES.with_borrow_mut(run)
}

fn json(agent: &str) -> String {
    let parsed = Parser::new().parse(agent).unwrap_or_default();
    let device = Device {
        kind: known(parsed.category),
        browser: known(parsed.name),
        engine: engine(agent),
        version: known(parsed.version),
        os: known(parsed.os),
    };
    serde_json::to_string(&device).unwrap_or_else(|_| "{}".to_owned())
}

fn known(part: &str) -> &str {
    match part {
        "" | "UNKNOWN" => UNKNOWN,
        part => part,
    }
}

/// The engine behind a browser. The order matters: engines name their ancestors.
fn engine(agent: &str) -> &'static str {
    const ENGINES: [(&str, &str); 7] = [
        ("Trident/", "Trident"),
        ("MSIE ", "Trident"),
        ("Edge/", "EdgeHTML"),
        ("Presto/", "Presto"),
        ("Chrome/", "Blink"),
        ("AppleWebKit/", "WebKit"),
        ("Gecko/", "Gecko"),
    ];
    let named = ENGINES.iter().find(|(mark, _)| agent.contains(mark));
    named.map_or(UNKNOWN, |(_, engine)| engine)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
    const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";
    const ROBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

    #[test]
    fn devices_are_read_from_their_agents() {
        let mut devices = Devices::default();
        for (agent, device) in [
            (
                FIREFOX,
                r#"{"type":"pc","browser":"Firefox","engine":"Gecko","version":"140.0","os":"Linux"}"#,
            ),
            (
                CHROME,
                r#"{"type":"pc","browser":"Chrome","engine":"Blink","version":"126.0.0.0","os":"Windows 10"}"#,
            ),
            (
                IPHONE,
                r#"{"type":"smartphone","browser":"Safari","engine":"WebKit","version":"17.5","os":"iPhone"}"#,
            ),
            (
                ROBOT,
                r#"{"type":"crawler","browser":"Googlebot","engine":"unknown","version":"unknown","os":"unknown"}"#,
            ),
            (
                "",
                r#"{"type":"unknown","browser":"unknown","engine":"unknown","version":"unknown","os":"unknown"}"#,
            ),
        ] {
            assert_eq!(devices.of(agent), device, "{agent}");
            assert_eq!(devices.of(agent), device, "{agent} again");
        }
    }

    #[test]
    fn a_flood_of_new_agents_does_not_grow_what_is_kept() {
        let mut devices = Devices::default();
        for number in 0..3 * HALF {
            devices.of(&number.to_string());
            devices.of("used all the time");
        }
        assert!(devices.young.len() + devices.old.len() <= 2 * HALF);
        assert!(devices.young.contains_key("used all the time"));
    }
}
