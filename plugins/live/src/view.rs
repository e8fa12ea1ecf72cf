//! A record as its viewers get it: one line of JSON, everything flat.
//!
//! ```text
//! {"type":"w","topic":"events","_partition_":0,"_offset_":7,"_msgkey_":"k",   where it is
//!  "ts":1,"klag":5,"ip":"…",…,"country":"DE","browser":"Firefox",…            what is known of it
//!  "x":"1",                                                                   what came with it
//!  "params":"x=1","ip_dot":"…","_msgvalue_":"…"}                              the same as texts
//! ```
//!
//! Of two members with the same name the first in this order is there. The members of the objects
//! that the enricher adds (`device`, `geo`) are members of the whole; one whose name is taken is
//! called after its object too: the type of the device is `device_type`. Nothing is refused: what
//! is no JSON object has a `type` of `null`, and is in `_msgvalue_` as it came.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::{
    address,
    record::{self, Members},
};

/// The most bytes of `_msgvalue_`, before it is escaped, which makes six of one at worst.
const MOST_VALUE: usize = 64 << 10;
/// The most bytes of the members before `params`. With the above a frame stays below the host's
/// limit of 1 MiB.
const MOST_FLAT: usize = 128 << 10;
/// The most bytes of `params`.
const MOST_PARAMS: usize = 16 << 10;
/// The most bytes of a key or a type that are shown.
const MOST_NAME: usize = 4 << 10;

/// Names that are written whatever a record has.
const OWN: [&str; 9] = [
    "type",
    "params",
    "ip_dot",
    "topic",
    "_offset_",
    "_partition_",
    "_msgkey_",
    "_msgvalue_",
    "_cut_",
];

/// A record and where it is.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: u32,
    /// The position in the partition.
    pub offset: u64,
    /// When it was produced.
    pub timestamp_ms: i64,
}

/// What goes to the viewers.
#[derive(Debug)]
pub struct View {
    /// The event's type, if it has one.
    pub kind: Option<String>,
    /// One line of JSON with its end, so that a plain stream of frames is one of lines.
    pub frame: String,
}

impl View {
    /// A record as it is shown.
    pub fn new(place: Place<'_>, key: Option<&[u8]>, value: Option<&[u8]>) -> Self {
        let text = String::from_utf8_lossy(value.unwrap_or_default());
        let members = Members::of(&text).unwrap_or_default();
        let kind = members.text("type").map(Cow::into_owned);

        let mut line = Line::new(text.len());
        line.cut |= members.cut;
        match &kind {
            Some(kind) => line.text("type", kind, MOST_NAME),
            None => line.raw("type", "null"),
        }
        line.text("topic", place.topic, MOST_NAME);
        line.raw("_partition_", &place.partition.to_string());
        line.raw("_offset_", &place.offset.to_string());
        match key {
            Some(key) => line.text("_msgkey_", &String::from_utf8_lossy(key), MOST_NAME),
            None => line.raw("_msgkey_", "null"),
        }

        line.flatten(&members, place.timestamp_ms);
        if let Some(params) = members.get("params") {
            line.params(params);
        }
        if let Some(dotted) = members.get("ip").and_then(address::dotted) {
            line.text("ip_dot", &dotted, MOST_NAME);
        }
        match value {
            Some(_) => line.text("_msgvalue_", &text, MOST_VALUE),
            None => line.raw("_msgvalue_", "null"),
        }
        Self { kind, frame: line.end() }
    }
}

/// A JSON object that is being written.
struct Line {
    json: String,
    /// Whether something did not fit.
    cut: bool,
}

impl Line {
    fn new(size: usize) -> Self {
        // The members, the same again as a text, and what is added.
        let room = 2 * size.min(MOST_VALUE) + size.min(MOST_VALUE) / 2 + 256;
        let mut json = String::with_capacity(room);
        json.push('{');
        Self { json, cut: false }
    }

    /// Everything that is known of an event, then the members of what came with it. What has no
    /// time has that of its record.
    fn flatten(&mut self, members: &Members<'_>, timestamp_ms: i64) {
        let mut taken: HashSet<&str> = OWN.into();
        if members.get("ts").is_none_or(|ts| ts.get().starts_with('{')) {
            taken.insert("ts");
            self.raw("ts", &timestamp_ms.to_string());
        }
        let mut lifted = Vec::new();
        for (name, value) in &members.list {
            if name == "params" {
                continue;
            }
            match Members::of(value.get()) {
                Some(inner) => lifted.push((name, inner)),
                None if taken.insert(name) => self.fit(name, value),
                None => {}
            }
        }
        let params = members.get("params").and_then(|params| Members::of(params.get()));
        // Names are owned below: few are, and none of them is looked for again.
        let mut later: HashSet<String> = HashSet::new();
        for (object, inner) in &lifted {
            self.cut |= inner.cut;
            for (name, value) in &inner.list {
                let free = !taken.contains(&**name) && !later.contains(&**name);
                let name = if free { name.to_string() } else { format!("{object}_{name}") };
                if !taken.contains(&*name) && later.insert(name.clone()) {
                    self.fit(&name, value);
                }
            }
        }
        for (name, value) in params.iter().flat_map(|params| &params.list) {
            if !later.contains(&**name) && taken.insert(name) {
                self.fit(name, value);
            }
        }
    }

    /// What came with the event, as a query has it; what is no object as it is.
    fn params(&mut self, params: &RawValue) {
        let Some(members) = Members::of(params.get()) else {
            let text = record::text(params).unwrap_or_else(|| params.get().into());
            return self.text("params", &text, MOST_PARAMS);
        };
        self.cut |= members.cut;
        let mut query = form_urlencoded::Serializer::new(String::new());
        let mut left = MOST_PARAMS / 3;
        for (name, value) in &members.list {
            // Encoding makes three bytes of one at worst.
            let Some(less) = left.checked_sub(name.len() + value.get().len()) else {
                self.cut = true;
                break;
            };
            left = less;
            let text = record::text(value).unwrap_or_else(|| value.get().into());
            query.append_pair(name, &text);
        }
        self.text("params", &query.finish(), MOST_PARAMS);
    }

    /// A member as it came, if it fits.
    fn fit(&mut self, name: &str, value: &RawValue) {
        if self.json.len() + 6 * name.len() + value.get().len() > MOST_FLAT {
            self.cut = true;
            return;
        }
        self.name(name);
        // Only between the parts of a value can a line end: in a text it is escaped.
        match value.get().contains(['\n', '\r']) {
            true => self.json.push_str(&value.get().replace(['\n', '\r'], " ")),
            false => self.json.push_str(value.get()),
        }
    }

    /// A member with a value that is JSON already.
    fn raw(&mut self, name: &str, value: &str) {
        self.name(name);
        self.json.push_str(value);
    }

    /// A member with a text, of which as much is there as fits.
    fn text(&mut self, name: &str, text: &str, most: usize) {
        let fits = &text[..text.floor_char_boundary(most)];
        self.cut |= fits.len() < text.len();
        self.name(name);
        self.quote(fits);
    }

    fn name(&mut self, name: &str) {
        if self.json.len() > 1 {
            self.json.push(',');
        }
        self.quote(name);
        self.json.push(':');
    }

    fn quote(&mut self, text: &str) {
        self.json.push('"');
        let mut from = 0;
        for (at, byte) in text.bytes().enumerate() {
            let escape: Cow<'_, str> = match byte {
                b'"' => "\\\"".into(),
                b'\\' => "\\\\".into(),
                b'\n' => "\\n".into(),
                b'\r' => "\\r".into(),
                b'\t' => "\\t".into(),
                0..=0x1f => format!("\\u{byte:04x}").into(),
                _ => continue,
            };
            self.json.push_str(&text[from..at]);
            self.json.push_str(&escape);
            from = at + 1;
        }
        self.json.push_str(&text[from..]);
        self.json.push('"');
    }

    fn end(mut self) -> String {
        if self.cut {
            self.raw("_cut_", "true");
        }
        self.json.push_str("}\n");
        self.json
    }
}

#[cfg(test)]
mod tests;
