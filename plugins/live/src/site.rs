//! The view over HTTP: the page, logging in and out, and whether a session is good.

use trellis_sdk::http::{Error, Request, Response, Result};
use trellis_sdk::log;
use trellis_sdk::tries::Denied;

use crate::login::{COOKIE, Session, TRIES, Users};
use crate::settings::{self, Settings};
use crate::{origin, page};

/// Answer one request.
pub fn answer(request: Request<'_>) -> Result {
    match settings::get() {
        Ok(settings) => route(settings, &request),
        Err(error) => {
            log::error(error);
            Err(Error::status(503, "the settings of the live view have a mistake: see the log"))
        }
    }
}

fn route(settings: &Settings, request: &Request<'_>) -> Result {
    let get = matches!(request.method(), "GET" | "HEAD");
    match (request.path(), get, request.method() == "POST") {
        ("/kafidx" | "/kafidx/", true, _) => Ok(home(settings, request)),
        ("/kafidx/login", true, _) => Ok(go_home()),
        ("/kafidx/session", true, _) => Ok(session(settings, request)),
        ("/kafidx/login", _, true) => log_in(settings, request),
        ("/kafidx/logout", _, true) => log_out(settings, request),
        (path, ..) => {
            let allowed = if path == "/kafidx/logout" { "POST" } else { "GET, HEAD" };
            let allowed = if path == "/kafidx/login" { "GET, HEAD, POST" } else { allowed };
            Ok(Response::text(format!("send {allowed}"))
                .with_status(405)
                .with_header("allow", allowed))
        }
    }
}

fn home(settings: &Settings, request: &Request<'_>) -> Response {
    match &settings.users {
        None => page::live(None),
        Some(users) => match who(users, request) {
            Some(session) => page::live(Some(&session.user.name)),
            None => page::login(""),
        },
    }
}

/// 204 for who may connect, else 401. A page whose socket is refused is not told why, and asks.
fn session(settings: &Settings, request: &Request<'_>) -> Response {
    let may = settings.users.as_ref().is_none_or(|users| who(users, request).is_some());
    Response::new(if may { 204 } else { 401 }).with_header("cache-control", "no-store")
}

fn who<'a>(users: &'a Users, request: &Request<'_>) -> Option<Session<'a>> {
    let now_s = request.time_ms() / 1000;
    let mut cookies = request.headers().filter(|(name, _)| *name == "cookie");
    cookies.find_map(|(_, value)| Session::of(users, str::from_utf8(value).ok()?, now_s))
}

fn log_in(settings: &Settings, request: &Request<'_>) -> Result {
    own_form(settings, request)?;
    let Some(users) = &settings.users else { return Ok(go_home()) };
    let field = |name: &str| request.form().find(|(key, _)| key == name).map(|(_, value)| value);
    let (name, password) =
        (field("name").unwrap_or_default(), field("password").unwrap_or_default());

    match TRIES.attempt(request.client_ip(), || users.find(name.trim(), &password)) {
        Ok(Some(user)) => {
            log::info(format_args!("{} logged in", user.name));
            let until = request.time_ms() / 1000 + settings.session_s;
            let value = Session { user, until }.value();
            Ok(go_home().with_header("set-cookie", cookie(&value, settings.session_s, request)))
        }
        Ok(None) => {
            log::warn(format_args!("a wrong name or password from {}", request.client_ip()));
            Ok(page::login("That name and password do not go together.").with_status(401))
        }
        Err(Denied::TooMany) => Ok(page::login("Too many tries. Wait a minute, then try again.")
            .with_status(429)
            .with_header("retry-after", "60")),
        Err(Denied::Unknown) => {
            log::error("nobody can log in: the cache, which counts tries, is not available");
            Ok(page::login("Nobody can log in right now. Try again in a while.").with_status(503))
        }
    }
}

fn log_out(settings: &Settings, request: &Request<'_>) -> Result {
    own_form(settings, request)?;
    Ok(go_home().with_header("set-cookie", cookie("", 0, request)))
}

/// Refuse forms that a page of another origin sent.
fn own_form(settings: &Settings, request: &Request<'_>) -> Result<()> {
    let host = request.header("host").unwrap_or(request.host());
    // The origin of a form may be hidden, and is `null` then; the site cannot be.
    let own = request.header("sec-fetch-site") == Some("same-origin");
    match own || origin::may(request.header("origin"), host, &settings.origins) {
        true => Ok(()),
        false => Err(Error::status(403, "this form was sent by a page of another origin")),
    }
}

/// The cookie, which no script reads and no other site's page sends.
fn cookie(value: &str, seconds: u64, request: &Request<'_>) -> String {
    let secure = if request.scheme() == "https" { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/kafidx; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

fn go_home() -> Response {
    Response::new(303).with_header("location", "/kafidx").with_header("cache-control", "no-store")
}

#[cfg(test)]
mod tests;
