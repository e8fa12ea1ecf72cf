//! Who sends: the headers that matter, found in one pass, and whether they may be recorded.

use trellis_sdk::http::Request;

use crate::settings::Settings;

/// The sender of a request.
#[derive(Clone, Debug, Default)]
pub struct Visitor<'a> {
    /// `user-agent`, empty without one.
    pub agent: &'a str,
    /// `content-type`, empty without one.
    pub content_type: &'a str,
    /// The site whose script sends.
    pub origin: Option<&'a str>,
    /// What `/batch` checks.
    pub authorization: Option<&'a str>,
    /// `DNT: 1` or `Sec-GPC: 1`.
    pub objects: bool,
}

/// How robots call themselves, in lower case.
const ROBOTS: &[&str] = &[
    "bot",
    "crawler",
    "spider",
    "slurp",
    "feedfetcher",
    "feedparser",
    "facebookexternalhit",
    "headlesschrome",
    "curl/",
    "wget/",
    "python-requests",
    "go-http-client",
];

impl<'a> Visitor<'a> {
    /// Read the headers of a request.
    pub fn of(request: &Request<'a>) -> Self {
        let mut visitor = Self::default();
        for (name, value) in request.headers() {
            let Ok(value) = std::str::from_utf8(value) else {
                continue;
            };
            match name {
                "user-agent" => visitor.agent = value,
                "content-type" => visitor.content_type = value,
                "origin" => visitor.origin = Some(value),
                "authorization" => visitor.authorization = Some(value),
                "dnt" | "sec-gpc" => visitor.objects |= value.trim() == "1",
                _ => {}
            }
        }
        visitor
    }

    /// Whether an event of this visitor is stored.
    pub fn may_be_recorded(&self, settings: &Settings) -> bool {
        !(settings.respect_dnt && self.objects || settings.drop_bots && self.is_robot())
    }

    /// Whether the agent calls itself a robot or does not tell.
    fn is_robot(&self) -> bool {
        let agent = self.agent.to_ascii_lowercase();
        agent.is_empty() || ROBOTS.iter().any(|name| agent.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(agent: &str) -> Visitor<'_> {
        Visitor { agent, ..Visitor::default() }
    }

    #[test]
    fn robots_are_dropped_only_where_the_setting_says_so() {
        let robot =
            agent("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)");
        let drop = Settings { drop_bots: true, ..Settings::default() };
        assert!(robot.may_be_recorded(&Settings::default()));
        assert!(!robot.may_be_recorded(&drop));
        assert!(!agent("").may_be_recorded(&drop));
        assert!(agent("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0").may_be_recorded(&drop));
    }

    #[test]
    fn who_objects_is_not_recorded_unless_the_setting_says_so() {
        let visitor = Visitor { objects: true, ..agent("Firefox/140.0") };
        assert!(!visitor.may_be_recorded(&Settings { respect_dnt: true, ..Settings::default() }));
        assert!(visitor.may_be_recorded(&Settings::default()));
    }
}
