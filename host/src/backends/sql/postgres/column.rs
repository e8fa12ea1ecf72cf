//! A column of a row as a value.

use sqlx::{
    Column, Row, TypeInfo, ValueRef,
    postgres::{PgRow, PgTypeInfo, PgTypeKind},
};

use super::{numeric, time};
use crate::backends::sql::{Error, Result, Value};

/// The values of a row.
pub fn values(row: &PgRow) -> Result<Vec<Value>> {
    let value = |at: usize| {
        let raw = row.try_get_raw(at).map_err(|error| Error::Invalid(error.to_string()))?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let kind = row.column(at).type_info();
        let bytes = raw.as_bytes().map_err(|error| Error::Invalid(error.to_string()))?;
        value(kind, bytes).ok_or_else(|| {
            let (name, kind) = (row.column(at).name(), kind.name().to_ascii_lowercase());
            Error::Invalid(format!(
                "the column `{name}` is of type `{kind}`, which is no value here; \
                 write `CAST({name} AS TEXT)`"
            ))
        })
    };
    (0..row.len()).map(value).collect()
}

/// A value in the form that the server sends.
fn value(kind: &PgTypeInfo, bytes: &[u8]) -> Option<Value> {
    Some(match kind.oid()?.0 {
        16 => Value::Boolean(*bytes.first()? != 0),
        21 => Value::Integer(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        23 => Value::Integer(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        20 => Value::Integer(i64::from_be_bytes(bytes.try_into().ok()?)),
        // OID
        26 => Value::Integer(u32::from_be_bytes(bytes.try_into().ok()?).into()),
        700 => Value::Real(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        701 => Value::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
        17 => Value::Blob(bytes.to_vec()),
        // TEXT, VARCHAR, BPCHAR, NAME, "char", an untyped literal, JSON, XML
        25 | 1043 | 1042 | 19 | 18 | 705 | 114 | 142 => text(bytes)?,
        // JSONB: behind the version of its form.
        3802 => text(bytes.strip_prefix(&[1])?)?,
        1700 => Value::Text(numeric::text(bytes)?),
        2950 => Value::Text(uuid(bytes)?),
        1082 => Value::Text(time::date(i32::from_be_bytes(bytes.try_into().ok()?))),
        1083 => Value::Text(time::of_day(i64::from_be_bytes(bytes.try_into().ok()?))),
        1266 => Value::Text(time::of_day_with_zone(bytes)?),
        1114 => Value::Text(time::timestamp(i64::from_be_bytes(bytes.try_into().ok()?), "")),
        1184 => Value::Text(time::timestamp(i64::from_be_bytes(bytes.try_into().ok()?), "Z")),
        1186 => Value::Text(time::interval(bytes)?),
        // VOID, what a function without a result has.
        2278 => Value::Null,
        _ if matches!(kind.kind(), PgTypeKind::Enum(_)) || kind.name() == "citext" => text(bytes)?,
        _ => return None,
    })
}

fn text(bytes: &[u8]) -> Option<Value> {
    Some(Value::Text(String::from_utf8(bytes.to_vec()).ok()?))
}

fn uuid(bytes: &[u8]) -> Option<String> {
    let number = u128::from_be_bytes(bytes.try_into().ok()?);
    let digits = format!("{number:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
    Some(parts.join("-"))
}
