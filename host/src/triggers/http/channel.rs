//! An answer whose body is a channel: the plugin names it, the host sends its frames for as long as
//! the client listens.
//!
//! ```text
//!  plugin ── x-trellis-channel: name ──▶ tune ──▶ Door::stream ──▶ a shard owns the socket
//!            x-trellis-start: burst=65536
//! ```
//! No connection handler is asked or told. `service` enters here behind each call whose answer has
//! the field, which goes no further.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, Response, StatusCode, request::Parts};

use super::{
    body::Body,
    connection::Busy,
    door::{Door, Tune},
    refusal::Refusal,
};
use crate::{
    backends::channels::Effect,
    capabilities::channels::check,
    plugins::Generation,
    runtime::exports::connection::{INTERVALS, Start},
};

/// The field of an answer that names the channel.
const FIELD: HeaderName = HeaderName::from_static("x-trellis-channel");
/// The field that says where in it the body begins.
const START: HeaderName = HeaderName::from_static("x-trellis-start");
/// The field that says after how many bytes each the title comes.
const ICY: HeaderName = HeaderName::from_static("icy-metaint");

/// Why an answer has no body.
pub enum Problem {
    /// The plugin should not have answered so; why.
    Unfit(String),
    /// It cannot be now.
    Refused(Refusal),
}

/// Whether an answer names a channel.
pub fn is_named(answer: &Response<Body>) -> bool {
    answer.headers().contains_key(FIELD)
}

/// Put the channel that an answer names in the place of its body.
pub async fn tune(
    mut answer: Response<Body>,
    door: &dyn Door,
    generation: &Arc<Generation>,
    parts: &Parts,
    busy: &mut Option<Busy>,
) -> Result<Response<Body>, Problem> {
    let named = named(answer.headers_mut()).map_err(Problem::Unfit)?;
    let Named { channel, start, icy } = named;
    if generation.manifest().needs.channels.is_none() {
        let problem = format!("it names the channel `{channel}` without `[needs.channels]`");
        return Err(Problem::Unfit(problem));
    }
    if answer.body().length() > 0 {
        let problem = format!("it names the channel `{channel}` and has a body as well");
        return Err(Problem::Unfit(problem));
    }
    if answer.status() != StatusCode::OK {
        let problem = format!("it names the channel `{channel}` with status {}", answer.status());
        return Err(Problem::Unfit(problem));
    }
    if parts.method == Method::HEAD {
        return Ok(answer);
    }
    let busy = busy.take();
    let tune = Tune { generation, parts, channel, start, icy, busy };
    door.stream(tune, answer).await.map_err(Problem::Refused)
}

/// What the fields say.
#[derive(Debug, PartialEq)]
struct Named {
    channel: String,
    start: Start,
    icy: Option<u32>,
}

/// Take the fields out.
fn named(headers: &mut HeaderMap) -> Result<Named, String> {
    let channel = take(headers, &FIELD)?.ok_or("it names no channel")?;
    let start = take(headers, &START)?.map_or(Ok(Start::Next), |text| start(&text))?;
    let icy = take(headers, &ICY)?.map(|text| interval(&text)).transpose()?;
    check(&Effect::Join(0, channel.clone(), start.into())).map_err(|error| error.to_string())?;
    Ok(Named { channel, start, icy })
}

/// The one value of a field.
fn take(headers: &mut HeaderMap, name: &HeaderName) -> Result<Option<String>, String> {
    let mut values = headers.get_all(name).iter();
    let (value, others) = (values.next(), values.next());
    let Some(value) = value else { return Ok(None) };
    if others.is_some() {
        return Err(format!("it has `{name}` twice"));
    }
    let value = std::str::from_utf8(value.as_bytes());
    let value = value.map_err(|_| format!("its `{name}` is no UTF-8"))?.to_owned();
    headers.remove(name);
    Ok(Some(value))
}

fn start(text: &str) -> Result<Start, String> {
    let unknown =
        || format!("it begins at `{text}`; write `next`, `recent=10`, `burst=65536` or `after=17`");
    let number = |value: &str| value.parse().map_err(|_| unknown());
    match text.split_once('=') {
        None if text == "next" => Ok(Start::Next),
        Some(("recent", value)) => Ok(Start::Recent(number(value)?)),
        Some(("burst", value)) => Ok(Start::Burst(number(value)?)),
        Some(("after", value)) => value.parse().map(Start::After).map_err(|_| unknown()),
        _ => Err(unknown()),
    }
}

fn interval(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| INTERVALS.contains(number));
    let (least, most) = (INTERVALS.start(), INTERVALS.end());
    number.ok_or_else(|| format!("its `icy-metaint` is `{text}`; {least} to {most} are taken"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)]) -> Result<Named, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        let named = named(&mut headers);
        assert!(named.is_err() || headers.keys().all(|name| name == "x-other"));
        named
    }

    #[test]
    fn a_channel_its_start_and_its_titles_are_read_and_go_no_further() {
        let lobby = |start, icy| Named { channel: "lobby".into(), start, icy };
        let channel = ("x-trellis-channel", "lobby");
        assert_eq!(read(&[channel, ("x-other", "1")]), Ok(lobby(Start::Next, None)));
        for (text, start) in [
            ("recent=10", Start::Recent(10)),
            ("burst=65536", Start::Burst(65536)),
            ("after=17", Start::After(17)),
        ] {
            let fields = [channel, ("x-trellis-start", text), ("icy-metaint", "16000")];
            assert_eq!(read(&fields), Ok(lobby(start, Some(16000))));
        }
    }

    #[test]
    fn what_is_no_channel_says_why() {
        let channel = ("x-trellis-channel", "lobby");
        for (fields, why) in [
            (&[channel, channel][..], "it has `x-trellis-channel` twice"),
            (&[("x-trellis-channel", "")], "the name of a channel is empty"),
            (&[channel, ("x-trellis-start", "burst=-1")], "it begins at `burst=-1`"),
            (&[channel, ("x-trellis-start", "live")], "it begins at `live`"),
            (&[channel, ("icy-metaint", "9")], "its `icy-metaint` is `9`"),
        ] {
            let said = read(fields).unwrap_err();
            assert!(said.starts_with(why), "{said}");
        }
    }
}
