//! The radio over HTTP: the page, what plays, and the API for tracks, playlists, shows, mounts and
//! recordings, which is for DJs.

use serde::Serialize;
use serde_json::json;
use trellis_sdk::http::{Error, Request, Response, Result};
use trellis_sdk::log;

use crate::clock::now_ms;
use crate::djs::Credentials;
use crate::mount::{self, About, Mount};
use crate::program::{self, Playlist, Show};
use crate::recording::{self, Recording};
use crate::settings::{self, Settings};
use crate::store::{self, Store};
use crate::track::{self, Track};
use crate::{page, status, tries};

/// Answer one request.
pub fn answer(request: Request<'_>) -> Result {
    let settings = settings::get().as_ref().map_err(|error| {
        log::error(error);
        Error::status(503, "the settings of the radio have a mistake: see the log\n")
    })?;
    let is_get = matches!(request.method(), "GET" | "HEAD");
    match request.path() {
        "/radio" | "/radio/" if is_get => Ok(page::radio()),
        "/radio/status" if is_get => {
            let now_ms = now_ms();
            let mounts = status::all(now_ms)?;
            Ok(open(Response::json(&json!({"now_ms": now_ms, "mounts": mounts}))?))
        }
        "/status-json.xsl" if is_get => {
            let host = request.header("host").or(Some(request.host()));
            let base = status::base(settings, host, Some(request.scheme()));
            Ok(open(Response::bytes("application/json", status::icecast(&base, now_ms())?)))
        }
        "/radio" | "/radio/" | "/radio/status" | "/status-json.xsl" => not_allowed("GET, HEAD"),
        _ => match refused(settings, &request) {
            Some(refusal) => Ok(refusal),
            None => api(&request),
        },
    }
}

/// The API, for DJs.
fn api(request: &Request<'_>) -> Result {
    let parts: Vec<&str> = request.path().trim_matches('/').split('/').skip(1).collect();
    let name = |name: &str| request.param(name).unwrap_or_default().to_owned();
    match (parts.first().copied().unwrap_or_default(), parts.len()) {
        ("tracks", 1) => only_get(request, tracks),
        ("tracks", 2) => one_track(request, &name("name")),
        ("playlists", 2) => playlist(request, &mount_named(&name("mount"))?),
        ("shows", 1) => shows(request),
        ("mounts", 2) => one_mount(request, &mount_named(&name("mount"))?),
        ("recordings", 1) => only_get(request, recordings),
        ("recordings", 3) => one_recording(request, &format!("{}/{}", name("mount"), name("name"))),
        _ => Err(Error::status(404, "there is no such thing in the radio's API\n")),
    }
}

/// What is answered to somebody who is no DJ.
fn refused(settings: &Settings, request: &Request<'_>) -> Option<Response> {
    let refuse = |status, text: &str| Some(Response::text(text).with_status(status));
    if settings.djs.is_empty() {
        return refuse(403, "the operator of this radio has named no DJs: `djs` is not set\n");
    }
    let field = request.header("authorization").unwrap_or_default();
    if let Some(credentials) = Credentials::read(field) {
        match tries::attempt(request.client_ip(), || settings.djs.find(&credentials)) {
            Ok(Some(_)) => return None,
            Ok(None) => {}
            Err(tries::TooMany) => {
                let text = "too many wrong passwords came from your address: wait a minute\n";
                return refuse(429, text).map(|answer| answer.with_header("retry-after", "60"));
            }
        }
    }
    refuse(401, "send the name and password of a DJ (curl -u name:password)\n")
        .map(|answer| answer.with_header("www-authenticate", "Basic realm=\"radio\""))
}

fn tracks() -> Result {
    let mut all = Vec::new();
    let mut names = store::keys(Store::Tracks)?;
    names.sort();
    for name in names {
        all.extend(Track::named(&name)?.map(|track| described(&name, &track)));
    }
    Response::json(&all)
}

fn described(name: &str, track: &Track) -> serde_json::Value {
    json!({
        "name": name, "title": track.tags.title, "artist": track.tags.artist,
        "format": track.format, "codec": track.codec, "seconds": track.lasts_ms as f64 / 1000.0, "bytes": track.size,
    })
}

fn one_track(request: &Request<'_>, name: &str) -> Result {
    match request.method() {
        "GET" | "HEAD" => match Track::named(name)? {
            Some(track) => Ok(Response::blob(track::CONTAINER, &track.blob)),
            None => Err(Error::status(404, "there is no such track\n")),
        },
        "PUT" => {
            let put = match request.query_value("recording") {
                Some(key) => track::put_recording(name, &key, now_ms()),
                None => track::put(name, request.body(), now_ms()),
            };
            match put.map_err(failed)? {
                Ok(track) => Ok(Response::json(&described(name, &track))?.with_status(201)),
                Err(error) => Err(Error::status(422, error + "\n")),
            }
        }
        "DELETE" => gone(track::delete(name).map_err(failed)?),
        _ => not_allowed("DELETE, GET, HEAD, PUT"),
    }
}

fn playlist(request: &Request<'_>, mount: &Mount) -> Result {
    match request.method() {
        "GET" | "HEAD" => found(store::get::<Playlist>(Store::Playlists, mount.name())?),
        "PUT" => {
            let list: Playlist = request.json()?;
            if matches!(&list, Playlist::These(names) if names.len() > program::MOST) {
                return Err(Error::status(
                    422,
                    format!("a playlist has at most {} tracks\n", program::MOST),
                ));
            }
            let record = begin(mount)?;
            if let Playlist::These(names) = &list {
                for name in names {
                    let track = Track::named(name)?;
                    let track = track.ok_or_else(|| {
                        Error::status(422, format!("there is no track `{name}`\n"))
                    })?;
                    if !record.takes(track.format, track.codec) {
                        let text = format!(
                            "the track `{name}` is of another format than {}\n",
                            mount.name()
                        );
                        return Err(Error::status(422, text));
                    }
                }
            }
            store::set(Store::Playlists, mount.name(), &list)?;
            Ok(Response::new(204))
        }
        "DELETE" => {
            store::delete(Store::Playlists, mount.name())?;
            Ok(Response::new(204))
        }
        _ => not_allowed("DELETE, GET, HEAD, PUT"),
    }
}

fn shows(request: &Request<'_>) -> Result {
    match request.method() {
        "GET" | "HEAD" => Response::json(&program::shows()?),
        "PUT" => {
            let shows: Vec<Show> = request.json()?;
            if shows.len() > program::MOST {
                return Err(Error::status(
                    422,
                    format!("there are at most {} shows\n", program::MOST),
                ));
            }
            for show in &shows {
                show.check().map_err(|error| Error::status(422, error + "\n"))?;
                begin(&show.mount)?;
            }
            program::set_shows(&shows)?;
            Ok(Response::new(204))
        }
        _ => not_allowed("GET, HEAD, PUT"),
    }
}

fn one_mount(request: &Request<'_>, mount: &Mount) -> Result {
    match request.method() {
        "GET" | "HEAD" => found(mount.record()?),
        "PUT" => {
            let about = request.json::<About>()?.tidy();
            let record = begin(mount)?;
            mount.change(record.format, |record| record.set = Some(about.clone()))?;
            Ok(Response::new(204))
        }
        "DELETE" => {
            for store in [Store::Mounts, Store::Playlists, Store::Play, Store::Now, Store::Headers]
            {
                store::delete(store, mount.name())?;
            }
            Ok(Response::new(204))
        }
        _ => not_allowed("DELETE, GET, HEAD, PUT"),
    }
}

/// The record of a mount, which is made where the name says the format.
fn begin(mount: &Mount) -> Result<mount::Record> {
    if let Some(record) = mount.record()? {
        return Ok(record);
    }
    let format = track::format_of(mount.name()).map_err(|_| {
        let text = format!(
            "there is no mount `{}`, and a new one ends with .mp3, .aac, .ogg or .opus\n",
            mount.name()
        );
        Error::status(404, text)
    })?;
    if mount::all()?.len() >= mount::MOST {
        return Err(Error::status(409, format!("there are {} mounts already\n", mount::MOST)));
    }
    Ok(mount.change(format, |_| {})?)
}

fn recordings() -> Result {
    let described = |(key, recording): (String, Recording)| {
        let seconds = recording.lasts_ms as f64 / 1000.0;
        let began = crate::clock::iso(recording.began_ms);
        json!({
            "name": key, "mount": recording.mount, "dj": recording.dj, "began": began,
            "seconds": seconds, "format": recording.format, "url": format!("/radio/recordings/{key}"),
        })
    };
    Response::json(&recording::all()?.into_iter().map(described).collect::<Vec<_>>())
}

fn one_recording(request: &Request<'_>, key: &str) -> Result {
    match (request.method(), Recording::of(key)?) {
        (_, None) => Err(Error::status(404, "there is no such recording\n")),
        ("GET" | "HEAD", Some(_)) => Ok(Response::blob(recording::CONTAINER, key)),
        ("DELETE", Some(_)) => {
            recording::delete(key).map_err(failed)?;
            Ok(Response::new(204))
        }
        _ => not_allowed("DELETE, GET, HEAD"),
    }
}

fn mount_named(name: &str) -> Result<Mount> {
    Mount::try_from(name.to_owned()).map_err(|text| Error::status(400, format!("{text}\n")))
}

fn only_get(request: &Request<'_>, answer: fn() -> Result) -> Result {
    if matches!(request.method(), "GET" | "HEAD") { answer() } else { not_allowed("GET, HEAD") }
}

fn found<T: Serialize>(value: Option<T>) -> Result {
    value.map_or_else(|| Err(Error::status(404, "there is none\n")), |value| Response::json(&value))
}

fn gone(was: bool) -> Result {
    if was { Ok(Response::new(204)) } else { Err(Error::status(404, "there is none\n")) }
}

fn not_allowed(methods: &str) -> Result {
    Ok(Response::text(format!("send {methods}\n")).with_status(405).with_header("allow", methods))
}

fn failed(error: String) -> Error {
    log::error(&error);
    Error::status(503, "the radio cannot keep anything right now: see the log\n")
}

/// For pages of other origins too.
fn open(response: Response) -> Response {
    response
        .with_header("access-control-allow-origin", "*")
        .with_header("cache-control", "no-store")
}
