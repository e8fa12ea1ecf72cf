#![allow(clippy::unwrap_used)]

use std::{io::Write, net::Ipv4Addr, time::Duration};

use super::*;

/// A value of the data section.
enum Value {
    Text(&'static str),
    Short(u16),
    Long(u32),
    Huge(u64),
    Real(f64),
    Map(Vec<(&'static str, Value)>),
    /// An empty list.
    Nothing,
}

use Value::{Huge, Long, Map, Nothing, Real, Short, Text};

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Text(text) => {
                out.push(2 << 5 | text.len() as u8);
                out.extend_from_slice(text.as_bytes());
            }
            Real(number) => {
                out.push(3 << 5 | 8);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Short(number) => {
                out.push(5 << 5 | 2);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Long(number) => {
                out.push(6 << 5 | 4);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Huge(number) => {
                out.extend_from_slice(&[8, 9 - 7]);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Nothing => out.extend_from_slice(&[0, 11 - 7]),
            Map(pairs) => {
                out.push(7 << 5 | pairs.len() as u8);
                for (key, value) in pairs {
                    Text(key).write(out);
                    value.write(out);
                }
            }
        }
    }
}

/// A database in which all addresses that share their first `bits` with `network` have `value`:
/// a chain of nodes, one a bit, each of two records of three bytes.
fn database(network: Ipv4Addr, bits: u32, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for node in 0..bits {
        let next = if node + 1 == bits { bits + 16 } else { node + 1 };
        let right = network.to_bits() >> (31 - node) & 1 == 1;
        for record in if right { [bits, next] } else { [next, bits] } {
            out.extend_from_slice(&record.to_be_bytes()[1..]);
        }
    }
    out.extend_from_slice(&[0; 16]);
    value.write(&mut out);
    out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    Map(vec![
        ("binary_format_major_version", Short(2)),
        ("binary_format_minor_version", Short(0)),
        ("build_epoch", Huge(1)),
        ("database_type", Text("Test-City")),
        ("description", Map(vec![])),
        ("ip_version", Short(4)),
        ("languages", Nothing),
        ("node_count", Long(bits)),
        ("record_size", Short(24)),
    ])
    .write(&mut out);
    out
}

fn place(country: &'static str, city: &'static str) -> Value {
    Map(vec![
        ("city", Map(vec![("names", Map(vec![("en", Text(city))]))])),
        ("country", Map(vec![("iso_code", Text(country))])),
        ("location", Map(vec![("latitude", Real(51.5)), ("longitude", Real(-0.25))])),
    ])
}

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

async fn prepare(database: Option<PathBuf>, grant: bool) -> Prepared {
    let database = match database {
        Some(path) => Some(Database::open(path).await.unwrap()),
        None => None,
    };
    let plugin = Plugin { name: "enricher".into(), generation: 1, config: Default::default() };
    GeoIp { database }.prepare(&plugin, &grant).await.unwrap()
}

const NETWORK: Ipv4Addr = Ipv4Addr::new(81, 2, 69, 0);

#[tokio::test]
async fn an_address_is_found_with_its_place_and_others_are_unknown() {
    let file = file(&database(NETWORK, 24, &place("GB", "London")));
    let geoip = prepare(Some(file.path().to_owned()), true).await;
    let london = Location {
        country: Some("GB".into()),
        city: Some("London".into()),
        latitude: Some(51.5),
        longitude: Some(-0.25),
    };
    assert_eq!(geoip.locate("81.2.69.160"), Some(london.clone()));
    assert_eq!(geoip.locate("::ffff:81.2.69.1"), Some(london));
    for unknown in ["81.2.70.1", "127.0.0.1", "2001:db8::1", "example.com", ""] {
        assert_eq!(geoip.locate(unknown), None, "{unknown}");
    }
}

#[tokio::test]
async fn a_database_of_countries_gives_the_country_alone() {
    let country = Map(vec![("country", Map(vec![("iso_code", Text("DE"))]))]);
    let file = file(&database(NETWORK, 8, &country));
    let geoip = prepare(Some(file.path().to_owned()), true).await;
    let found = Location { country: Some("DE".into()), ..Location::default() };
    assert_eq!(geoip.locate("81.0.0.1"), Some(found));
}

#[tokio::test]
async fn without_a_database_or_with_a_need_of_false_nothing_is_known() {
    let file = file(&database(NETWORK, 24, &place("GB", "London")));
    assert_eq!(prepare(None, true).await.locate("81.2.69.160"), None);
    assert_eq!(prepare(Some(file.path().to_owned()), false).await.locate("81.2.69.160"), None);
}

#[tokio::test]
async fn a_file_that_is_missing_or_no_database_says_so() {
    let error = Database::open("/none.mmdb".into()).await.err().unwrap().to_string();
    assert!(error.starts_with("the database `/none.mmdb` of `[geoip] database` cannot be read"));
    let text = file(b"hello");
    let error = Database::open(text.path().to_owned()).await.err().unwrap().to_string();
    assert!(error.contains("is no MaxMind database"), "{error}");
}

#[tokio::test]
async fn a_replaced_file_is_used_and_a_broken_one_is_not() {
    let mut before = file(&database(NETWORK, 24, &place("GB", "London")));
    let open = Database::open(before.path().to_owned()).await.unwrap();
    let city = || open.locate([81, 2, 69, 1].into()).unwrap().city.unwrap();
    let meta = before.as_file().metadata().unwrap();
    let mut known = (meta.modified().unwrap(), meta.len());
    let mut last = known;

    let mut replace = |bytes: &[u8], age: u64| {
        before.as_file_mut().set_len(0).unwrap();
        std::fs::write(before.path(), bytes).unwrap();
        let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(age);
        before.as_file().set_modified(time).unwrap();
    };
    replace(&database(NETWORK, 24, &place("GB", "Leeds")), 1);
    open.look(&mut known, &mut last).await;
    assert_eq!(city(), "London", "a file that may still be written is not read");
    open.look(&mut known, &mut last).await;
    assert_eq!(city(), "Leeds");

    replace(b"broken", 2);
    open.look(&mut known, &mut last).await;
    open.look(&mut known, &mut last).await;
    assert_eq!(city(), "Leeds");
}
