//! Who comes in to play, and what others are told.

use trellis_sdk::channels::{self, Connection};
use trellis_sdk::log;

use crate::djs::{Credentials, Dj};
use crate::live::{self, Claim, Live};
use crate::mount::{self, Mount, Record};
use crate::settings::{self, Settings};
use crate::{now, status, store, tries};

use super::answer::Answer;
use super::ask::{Ask, METHODS, Wish};
use super::head::Head;
use super::session::Session;

/// Let a source in, with what it is sent first, or say why not. Questions are answered.
pub fn knock(
    head: &Head,
    connection: Connection,
    ip: &str,
    now_ms: u64,
) -> Result<(Box<Session>, &'static str), Answer> {
    let settings = settings::get().as_ref().map_err(|error| {
        log::error(error);
        Answer::new(503, "the settings of the radio have a mistake: see the log")
    })?;
    let dj = if Ask::needs_dj(head) { Some(who(head, settings, ip)?) } else { None };
    match (Ask::read(head)?, dj) {
        (Ask::Play(wish), Some(dj)) => {
            let welcome = welcome(head, &wish);
            let session =
                play(wish, dj, connection, now_ms, settings).map_err(|error| match error {
                    Refusal::Answer(answer) => answer,
                    Refusal::Store(error) => unavailable(&error),
                })?;
            Ok((session, welcome))
        }
        (Ask::Title(mount, song), Some(dj)) => Err(title(&mount, &song, dj, settings, now_ms)),
        // Both need a DJ, so there is one.
        (Ask::Play(_) | Ask::Title(..), None) => Err(unknown()),
        (Ask::Status, _) => {
            let base = status::base(settings, head.field("host"), None);
            Err(match status::icecast(&base, now_ms) {
                Ok(text) => Answer::content("application/json", text)
                    .with("access-control-allow-origin", "*"),
                Err(error) => unavailable(&error),
            })
        }
        (Ask::Listen(name), _) => Err(elsewhere(&name, settings)),
        (Ask::Methods, _) => Err(Answer::new(200, METHODS).with("allow", METHODS)),
    }
}

/// The DJ who sent this.
fn who<'a>(head: &Head, settings: &'a Settings, ip: &str) -> Result<&'a Dj, Answer> {
    if settings.djs.is_empty() {
        log::warn(
            "a source was refused, because there are no DJs: add lines `name:password` as `djs` \
             under [config.values.radio] of the settings",
        );
        return Err(Answer::new(
            403,
            "nobody may play: the operator of this radio has named no DJs",
        ));
    }
    let Some(credentials) = head.field("authorization").and_then(Credentials::read) else {
        return Err(unknown());
    };
    let found = tries::attempt(ip, || settings.djs.find(&credentials)).map_err(|_| {
        Answer::new(429, "too many wrong passwords came from your address: wait a minute")
    })?;
    found.ok_or_else(|| {
        log::warn(format_args!("a source from {ip} has a wrong name or password"));
        unknown()
    })
}

fn unknown() -> Answer {
    Answer::new(401, "that name and password do not go together")
        .with("www-authenticate", "Basic realm=\"radio\"")
}

/// Icecast says 200 before the body; HTTP/1.1 has a word for clients that ask for one.
fn welcome(head: &Head, wish: &Wish) -> &'static str {
    match wish.waits && head.is_1_1 {
        true => "HTTP/1.1 100 Continue\r\n\r\n",
        false => "HTTP/1.0 200 OK\r\nserver: trellis\r\n\r\n",
    }
}

/// Why somebody does not play.
enum Refusal {
    Answer(Answer),
    Store(store::Error),
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

fn play(
    wish: Wish,
    dj: &Dj,
    connection: Connection,
    now_ms: u64,
    settings: &Settings,
) -> Result<Box<Session>, Refusal> {
    let refuse = |status, text: String| Err(Refusal::Answer(Answer::new(status, text)));
    let known = wish.mount.record()?;
    if known.as_ref().is_some_and(|record| record.format != wish.format) {
        return refuse(415, format!("{} carries another format", wish.mount.name()));
    }
    if known.is_none() && mount::all()?.len() >= mount::MOST {
        return refuse(
            403,
            format!("there are {} mounts already: choose one of them", mount::MOST),
        );
    }
    let claim = live::take(&wish.mount, &dj.name, connection, now_ms, settings)?;
    let recording = match claim {
        Claim::Mine { recording, .. } => recording,
        Claim::Taken(other) => {
            return refuse(409, format!("{other} is live in {}", wish.mount.name()));
        }
    };
    // So that others can tell it from a listener of the same number.
    let _ = channels::retag(connection, &live::tag(&wish.mount));
    let record = remember(&wish)?;
    log::info(format_args!("{} is live in {}", dj.name, wish.mount.name()));
    let beginning = super::session::Beginning { dj: &dj.name, connection, now_ms, recording };
    Ok(Box::new(Session::new(wish, &record, beginning, settings)))
}

/// Remember the mount, and what is said about it.
fn remember(wish: &Wish) -> store::Result<Record> {
    wish.mount.change(wish.format, |record| record.said = Some(wish.about.clone()))
}

/// Say what plays, for whoever is live.
fn title(mount: &Mount, song: &str, dj: &Dj, settings: &Settings, now_ms: u64) -> Answer {
    let mut told = Err("nobody is live there");
    let changed = store::change(store::Store::Live, mount.name(), |live: Option<Live>| {
        let mut live = live.unwrap_or_default();
        told = match live.is_heard(now_ms, settings) {
            false => Err("nobody is live there"),
            true if live.dj != dj.name && !settings.any_takes_over => {
                Err("somebody else is live there")
            }
            true => {
                song.clone_into(&mut live.song);
                Ok(live.title())
            }
        };
        live
    });
    match (changed, told) {
        (Err(error), _) => unavailable(&error),
        (Ok(_), Err(why)) => Answer::new(409, why),
        (Ok(_), Ok(title)) => {
            now::announce(mount, &title, now_ms, false);
            Answer::content(
                "text/xml",
                "<?xml version=\"1.0\"?>\n<iceresponse><message>Metadata update successful</message>\
                 <return>1</return></iceresponse>\n"
                    .to_owned(),
            )
        }
    }
}

fn elsewhere(name: &str, settings: &Settings) -> Answer {
    let known = Mount::named(name).map(|mount| mount.record());
    match (known, &settings.public_url) {
        (Some(Ok(Some(_))), Some(url)) => {
            let url = format!("{url}/radio/{name}");
            Answer::new(302, format!("listen at {url}")).with("location", url)
        }
        (Some(Ok(Some(_))), None) => Answer::new(
            404,
            format!("this port is for sources: listen at /radio/{name} of the radio's HTTP port"),
        ),
        (Some(Err(error)), _) => unavailable(&error),
        _ => Answer::new(404, "there is no such mount, and this port is for sources"),
    }
}

fn unavailable(error: &store::Error) -> Answer {
    log::error(error);
    Answer::new(503, "the radio cannot remember anything right now: try again")
        .with("retry-after", "5")
}
