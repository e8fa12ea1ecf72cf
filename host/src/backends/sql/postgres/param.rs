//! A value as the parameter of a statement, in the type that the server wants there.
//!
//! The server says which type each parameter of a statement has. Numbers, truths, texts and bytes
//! are written in that type, checked to fit. Whatever else it may be (NUMERIC, UUID, a date, an
//! enumeration) goes as a text, which the server reads as it reads any literal: the statement says
//! so in the parameter's place.

use std::error::Error as StdError;

use sqlx::{
    Arguments, Encode, Postgres, Type,
    encode::IsNull,
    postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo, types::Oid},
};

use crate::backends::sql::{Error, Result, Value};

/// How a parameter is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Slot {
    Boolean,
    SmallInt,
    Integer,
    BigInt,
    Float,
    Double,
    Text,
    Bytes,
    /// As a text that the server turns into the type that it is.
    Cast,
}

impl Slot {
    /// How a parameter of this type is written.
    pub fn of(oid: Oid) -> Self {
        match oid.0 {
            16 => Self::Boolean,
            21 => Self::SmallInt,
            23 => Self::Integer,
            20 => Self::BigInt,
            700 => Self::Float,
            701 => Self::Double,
            // TEXT, VARCHAR, BPCHAR, NAME, and a literal nobody has a type for.
            25 | 1043 | 1042 | 19 | 705 => Self::Text,
            17 => Self::Bytes,
            _ => Self::Cast,
        }
    }

    fn oid(self) -> Oid {
        Oid(match self {
            Self::Boolean => 16,
            Self::SmallInt => 21,
            Self::Integer => 23,
            Self::BigInt => 20,
            Self::Float => 700,
            Self::Double => 701,
            Self::Text | Self::Cast => 25,
            Self::Bytes => 17,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::SmallInt => "SMALLINT",
            Self::Integer => "INTEGER",
            Self::BigInt => "BIGINT",
            Self::Float => "REAL",
            Self::Double => "DOUBLE PRECISION",
            Self::Text | Self::Cast => "TEXT",
            Self::Bytes => "BYTEA",
        }
    }

    /// The bytes of a value, none for NULL.
    fn bytes(self, value: &Value) -> Option<Option<Vec<u8>>> {
        let bytes = match self {
            _ if *value == Value::Null => return Some(None),
            Self::Boolean => match value {
                Value::Boolean(truth) => vec![u8::from(*truth)],
                // As SQLite keeps them.
                Value::Integer(number @ (0 | 1)) => vec![*number as u8],
                _ => return None,
            },
            Self::SmallInt => i16::try_from(integer(value)?).ok()?.to_be_bytes().into(),
            Self::Integer => i32::try_from(integer(value)?).ok()?.to_be_bytes().into(),
            Self::BigInt => integer(value)?.to_be_bytes().into(),
            Self::Float => (real(value)? as f32).to_be_bytes().into(),
            Self::Double => real(value)?.to_be_bytes().into(),
            Self::Text | Self::Cast => text(value)?.into_bytes(),
            Self::Bytes => match value {
                Value::Blob(bytes) => bytes.clone(),
                Value::Text(text) => text.clone().into_bytes(),
                _ => return None,
            },
        };
        Some(Some(bytes))
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Boolean(truth) => Some(i64::from(*truth)),
        Value::Text(text) => text.trim().parse().ok(),
        // A whole number, as SQLite takes it for an INTEGER column.
        Value::Real(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(*number as i64),
        _ => None,
    }
}

fn real(value: &Value) -> Option<f64> {
    match value {
        Value::Real(number) => Some(*number),
        Value::Integer(number) => Some(*number as f64),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Real(number) => Some(number.to_string()),
        Value::Boolean(truth) => Some(truth.to_string()),
        Value::Null | Value::Blob(_) => None,
    }
}

/// The parameters of a statement.
///
/// # Errors
/// [`Error::Invalid`] when there are more or fewer than the statement has, or one does not fit.
pub fn arguments(slots: &[Slot], params: Vec<Value>) -> Result<PgArguments> {
    let mut arguments = PgArguments::default();
    for (at, (slot, value)) in slots.iter().zip(params).enumerate() {
        let Some(bytes) = slot.bytes(&value) else {
            let (number, name, value) = (at + 1, slot.name(), shown(&value));
            return Err(Error::Invalid(format!("`${number}` is {name}, and {value} is none")));
        };
        let added = arguments.add(Param { slot: *slot, bytes });
        added.map_err(|error| Error::Invalid(error.to_string()))?;
    }
    Ok(arguments)
}

/// A value in a message, which it does not fill.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Boolean(truth) => format!("`{truth}`"),
        Value::Integer(number) => format!("`{number}`"),
        Value::Real(number) => format!("`{number}`"),
        Value::Text(_) => "this text".into(),
        Value::Blob(_) => "a blob".into(),
    }
}

/// The slots of the host's own statements.
pub fn natural(params: &[Value]) -> Vec<Slot> {
    let natural = |value: &Value| match value {
        Value::Boolean(_) => Slot::Boolean,
        Value::Integer(_) => Slot::BigInt,
        Value::Real(_) => Slot::Double,
        Value::Null | Value::Text(_) => Slot::Text,
        Value::Blob(_) => Slot::Bytes,
    };
    params.iter().map(natural).collect()
}

struct Param {
    slot: Slot,
    bytes: Option<Vec<u8>>,
}

impl Type<Postgres> for Param {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Slot::Text.oid())
    }
}

impl Encode<'_, Postgres> for Param {
    fn encode_by_ref(
        &self,
        buffer: &mut PgArgumentBuffer,
    ) -> std::result::Result<IsNull, Box<dyn StdError + Send + Sync>> {
        Ok(match &self.bytes {
            Some(bytes) => {
                buffer.extend_from_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(self.slot.oid()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_in_the_type_of_its_place_or_refused() {
        let of = |slot: Slot, value| slot.bytes(&value).flatten();
        assert_eq!(of(Slot::SmallInt, Value::Integer(-2)), Some(vec![0xff, 0xfe]));
        assert_eq!(of(Slot::Integer, Value::Integer(7)), Some(vec![0, 0, 0, 7]));
        assert_eq!(of(Slot::Integer, Value::Real(7.0)), Some(vec![0, 0, 0, 7]));
        assert_eq!(of(Slot::Boolean, Value::Integer(1)), Some(vec![1]));
        assert_eq!(of(Slot::Cast, Value::Integer(12)), Some(b"12".to_vec()));
        assert_eq!(of(Slot::Double, Value::Integer(1)), Some(1f64.to_be_bytes().to_vec()));
        assert_eq!(Slot::Integer.bytes(&Value::Null), Some(None));
        for (slot, value) in [
            (Slot::SmallInt, Value::Integer(40_000)),
            (Slot::Integer, Value::Integer(i64::MAX)),
            (Slot::Integer, Value::Real(0.5)),
            (Slot::Boolean, Value::Integer(2)),
            (Slot::BigInt, Value::Text("seven".into())),
            (Slot::Text, Value::Blob(vec![1])),
        ] {
            assert_eq!(slot.bytes(&value), None, "{slot:?} {value:?}");
        }
    }
}
