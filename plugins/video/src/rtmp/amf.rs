//! AMF0: the values that commands are made of. Written as far as this server's answers need it.

use super::Broken;

/// How deep objects may lie in each other. Those of encoders have one level.
const DEEPEST: usize = 8;
/// What marks the end of an object, behind an empty name.
const END: u8 = 9;

/// A value of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(f64),
    Text(String),
    Object(Vec<(String, Value)>),
    Null,
    /// A kind of value that no command here has a use for.
    Other,
}

impl Value {
    /// What an object says under a name, if it is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        let Self::Object(fields) = self else { return None };
        fields.iter().find_map(|(key, value)| match value {
            Self::Text(text) if key == name => Some(text.as_str()),
            _ => None,
        })
    }
}

/// All values of a message, which has at most [`super::chunk::MOST`] bytes.
pub fn read(mut bytes: &[u8]) -> Result<Vec<Value>, Broken> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        values.push(value(&mut bytes, DEEPEST)?);
    }
    Ok(values)
}

/// One value, in which others may lie so deep.
fn value(bytes: &mut &[u8], deep: usize) -> Result<Value, Broken> {
    let Some(deeper) = deep.checked_sub(1) else {
        return Broken::because(format!("values lie more than {DEEPEST} deep in each other"));
    };
    Ok(match u8::from_be_bytes(take(bytes)?) {
        0 => Value::Number(f64::from_be_bytes(take(bytes)?)),
        1 => {
            take::<1>(bytes)?;
            Value::Other
        }
        2 => Value::Text(text(bytes)?),
        3 => Value::Object(fields(bytes, deeper)?),
        5 | 6 => Value::Null,
        // A reference to an object that came before.
        7 => {
            take::<2>(bytes)?;
            Value::Other
        }
        // An object whose fields were counted, which changes nothing.
        8 => {
            take::<4>(bytes)?;
            Value::Object(fields(bytes, deeper)?)
        }
        10 => {
            let count = u32::from_be_bytes(take(bytes)?);
            for _ in 0..count {
                value(bytes, deeper)?;
            }
            Value::Other
        }
        // A date, and its time zone.
        11 => {
            take::<10>(bytes)?;
            Value::Other
        }
        12 | 15 => {
            let length = u32::from_be_bytes(take(bytes)?);
            slice(bytes, length as usize)?;
            Value::Other
        }
        13 => Value::Other,
        // An object with the name of its class.
        16 => {
            text(bytes)?;
            Value::Object(fields(bytes, deeper)?)
        }
        other => return Broken::because(format!("a value is of type {other}, which AMF0 has not")),
    })
}

fn fields(bytes: &mut &[u8], deep: usize) -> Result<Vec<(String, Value)>, Broken> {
    let mut fields = Vec::new();
    loop {
        let name = text(bytes)?;
        if name.is_empty() && bytes.first() == Some(&END) {
            take::<1>(bytes)?;
            return Ok(fields);
        }
        fields.push((name, value(bytes, deep)?));
    }
}

/// A text; bytes that are not UTF-8 are replaced.
fn text(bytes: &mut &[u8]) -> Result<String, Broken> {
    let length = u16::from_be_bytes(take(bytes)?);
    Ok(String::from_utf8_lossy(slice(bytes, length.into())?).into_owned())
}

fn slice<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Broken> {
    let Some((taken, rest)) = bytes.split_at_checked(length) else {
        return Broken::because("a command ends in the middle of a value");
    };
    *bytes = rest;
    Ok(taken)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Broken> {
    let taken = slice(bytes, N)?.first_chunk().copied();
    taken.map_or_else(|| Broken::because("a command ends in the middle of a value"), Ok)
}

/// Values as bytes.
pub fn write(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    values.iter().for_each(|value| put(&mut out, value));
    out
}

fn put(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Number(number) => {
            out.push(0);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Text(text) => {
            out.push(2);
            put_text(out, text);
        }
        Value::Object(fields) => {
            out.push(3);
            for (name, value) in fields {
                put_text(out, name);
                put(out, value);
            }
            out.extend_from_slice(&[0, 0, END]);
        }
        Value::Null => out.push(5),
        Value::Other => out.push(6),
    }
}

/// Texts of this server are short; what would not fit is left out.
fn put_text(out: &mut Vec<u8>, text: &str) {
    let text = if text.len() > usize::from(u16::MAX) { "" } else { text };
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let fields = vec![("app".to_owned(), Value::Text("live".to_owned()))];
        let values = [Value::Text("connect".to_owned()), Value::Number(1.0), Value::Null];
        let values = [&values[..], &[Value::Object(fields)]].concat();
        assert_eq!(read(&write(&values)).unwrap(), values);
        assert_eq!(values[3].text("app"), Some("live"));
    }

    #[test]
    fn values_without_a_use_are_passed_over() {
        let mut bytes = vec![1, 1, 13, 7, 0, 1, 10, 0, 0, 0, 2, 5, 6, 11];
        bytes.extend([0; 10]);
        bytes.extend([12, 0, 0, 0, 1, b'x', 8, 0, 0, 0, 9, 0, 1, b'a', 5, 0, 0, 9]);
        bytes.extend([16, 0, 1, b'C', 0, 0, 9, 5]);
        let values = read(&bytes).unwrap();
        assert_eq!(values.len(), 9);
        assert_eq!(values[6], Value::Object(vec![("a".to_owned(), Value::Null)]));
        assert_eq!(values[8], Value::Null);
    }

    #[test]
    fn what_lies_too_deep_or_ends_too_early_is_an_error() {
        let deep: Vec<u8> = [3, 0, 1, b'a'].repeat(10_000);
        assert!(read(&deep).unwrap_err().0.contains("more than 8 deep"));
        let arrays: Vec<u8> = [10, 0, 0, 0, 1].repeat(10_000);
        assert!(read(&arrays).unwrap_err().0.contains("more than 8 deep"));
        for bytes in [&[0, 1][..], &[2, 0, 9, 1], &[10, 255, 255, 255, 255], &[3, 0, 0], &[99]] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_values_or_an_error(
            bytes in prop::collection::vec(prop_oneof![0..17u8, any::<u8>()], 0..300)
        ) {
            let _ = read(&bytes);
        }
    }
}
