//! An address as people write it, from each form that records have had.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::value::RawValue;

use crate::record;

/// `ip_dot` of a record's `ip`: a text, a number, or the hexadecimal digits that the records of
/// earlier trackers had. What is no address stays as it is.
pub fn dotted(ip: &RawValue) -> Option<String> {
    if let Ok(number) = ip.get().parse::<u32>() {
        return Some(Ipv4Addr::from_bits(number).to_string());
    }
    let text = record::text(ip)?;
    let address = text.parse::<IpAddr>().ok().or_else(|| hexadecimal(&text));
    Some(address.map_or_else(|| text.into_owned(), |address| address.to_canonical().to_string()))
}

fn hexadecimal(text: &str) -> Option<IpAddr> {
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    match text.len() {
        8 => u32::from_str_radix(text, 16).ok().map(|bits| Ipv4Addr::from_bits(bits).into()),
        32 => u128::from_str_radix(text, 16).ok().map(|bits| Ipv6Addr::from_bits(bits).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_form_of_an_address_is_dotted() {
        for (ip, wanted) in [
            (r#""192.0.2.7""#, "192.0.2.7"),
            (r#""2001:0DB8::0001""#, "2001:db8::1"),
            (r#""::ffff:192.0.2.7""#, "192.0.2.7"),
            ("3221225991", "192.0.2.7"),
            (r#""c0000207""#, "192.0.2.7"),
            (r#""20010db8000000000000000000000001""#, "2001:db8::1"),
            (r#""nobody""#, "nobody"),
            (r#""""#, ""),
        ] {
            let ip: &RawValue = serde_json::from_str(ip).unwrap();
            assert_eq!(dotted(ip).as_deref(), Some(wanted), "{ip}");
        }
        let no_address: &RawValue = serde_json::from_str("[1]").unwrap();
        assert!(dotted(no_address).is_none());
    }
}
