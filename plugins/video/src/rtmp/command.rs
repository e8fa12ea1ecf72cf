//! What a publisher asks for, and the answers, as the values of AMF0.

use super::Broken;
use super::amf::{self, Value};
use super::chunk::{self, kind};

/// The chunk stream of answers to commands.
const COMMANDS: u8 = 3;
/// The chunk stream of what becomes of a stream.
const STATUS: u8 = 5;
/// The one message stream that a connection is given.
const STREAM: u32 = 1;

/// A command, with the number by which its answer is known.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Connect to an application.
    Connect { number: f64, app: String },
    /// Ask for a message stream.
    CreateStream { number: f64 },
    /// Publish under a name.
    Publish { name: String },
    /// Watch a stream.
    Play,
    /// The end of publishing.
    Unpublish,
    /// What is answered only so that nobody waits.
    Courtesy { number: f64 },
}

impl Command {
    /// Read one; `None` for what needs no answer.
    pub fn read(body: &[u8]) -> Result<Option<Self>, Broken> {
        let values = amf::read(body)?;
        let mut values = values.into_iter();
        let Some(Value::Text(name)) = values.next() else {
            return Broken::because("a command does not begin with its name");
        };
        let number = match values.next() {
            Some(Value::Number(number)) => number,
            _ => 0.0,
        };
        let first = values.next();
        let text = match values.next() {
            Some(Value::Text(text)) => text,
            _ => String::new(),
        };
        Ok(Some(match name.as_str() {
            "connect" => {
                let app = first.as_ref().and_then(|fields| fields.text("app")).unwrap_or_default();
                Self::Connect { number, app: app.to_owned() }
            }
            "createStream" => Self::CreateStream { number },
            "publish" => Self::Publish { name: text },
            "play" | "play2" => Self::Play,
            "FCUnpublish" | "deleteStream" | "closeStream" => Self::Unpublish,
            _ if number != 0.0 => Self::Courtesy { number },
            _ => return Ok(None),
        }))
    }
}

/// Answer a command that went well.
pub fn result(out: &mut Vec<u8>, number: f64, values: [Value; 2]) {
    let [first, second] = values;
    let values = [text("_result"), Value::Number(number), first, second];
    chunk::write(out, COMMANDS, kind::COMMAND, 0, &amf::write(&values));
}

/// Answer `connect`.
pub fn connected(out: &mut Vec<u8>, number: f64) {
    let server =
        [("fmsVer".to_owned(), text("FMS/3,0,1,123")), field("capabilities", Value::Number(31.0))];
    let mut fields = status("status", "NetConnection.Connect.Success", "connected");
    fields.push(field("objectEncoding", Value::Number(0.0)));
    result(out, number, [Value::Object(server.into()), Value::Object(fields)]);
}

/// Answer `createStream`.
pub fn created(out: &mut Vec<u8>, number: f64) {
    result(out, number, [Value::Null, Value::Number(f64::from(STREAM))]);
}

/// Say what becomes of the stream; `level` is `status` or `error`.
pub fn on_status(out: &mut Vec<u8>, level: &str, code: &str, description: &str) {
    let info = Value::Object(status(level, code, description));
    let values = [text("onStatus"), Value::Number(0.0), Value::Null, info];
    chunk::write(out, STATUS, kind::COMMAND, STREAM, &amf::write(&values));
}

fn status(level: &str, code: &str, description: &str) -> Vec<(String, Value)> {
    [("level", level), ("code", code), ("description", description)]
        .map(|(name, value)| field(name, text(value)))
        .into()
}

fn field(name: &str, value: Value) -> (String, Value) {
    (name.to_owned(), value)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
