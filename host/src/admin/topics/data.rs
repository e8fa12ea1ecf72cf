//! Keys and values in JSON: text as it is, other bytes in hexadecimal.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::admin::error::Error;

/// Bytes of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Data {
    /// `"text"`, when the bytes are UTF-8.
    Text(String),
    /// `{"hex": "00ff"}`
    Hex {
        /// Two digits a byte.
        hex: String,
    },
}

impl Data {
    /// These bytes.
    pub fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Hex { hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() },
        }
    }

    /// The bytes; an error when the digits are none.
    pub(super) fn into_bytes(self) -> Result<Vec<u8>, Error> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::Hex { hex } => decode(&hex).ok_or_else(|| {
                let message = format!("`{hex}` is not an even number of hexadecimal digits");
                Error::new(StatusCode::BAD_REQUEST, message)
            }),
        }
    }
}

impl std::fmt::Display for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Hex { hex } => write!(f, "0x{hex}"),
        }
    }
}

fn decode(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        hex.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    digits
        .len()
        .is_multiple_of(2)
        .then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_bytes_come_back_through_json(bytes: Vec<u8>) {
            let json = serde_json::to_string(&Data::of(&bytes)).unwrap();
            let data: Data = serde_json::from_str(&json).unwrap();
            assert_eq!(data.into_bytes().unwrap(), bytes);
        }

        #[test]
        fn any_digits_are_read_without_a_panic(hex: String) {
            let _ = Data::Hex { hex }.into_bytes();
        }
    }
}
