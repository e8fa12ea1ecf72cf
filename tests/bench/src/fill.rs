//! Topics full of events, and copies of them: each round starts from the same records.

use std::{fs, path::Path, sync::Arc};

use anyhow::Result;
use trellis::backends::log::{Log, Outgoing, Settings, TopicSettings, embedded::Embedded};

use crate::house::log_directory;

/// Records of one call.
const CALL: u64 = 5000;
/// Kinds of events, addresses and countries that the events tell.
const KINDS: [&str; 8] = ["w", "offr", "srch", "geo", "bud", "mtf", "chm", "purchase"];
const COUNTRIES: [&str; 6] = ["DE", "FR", "GB", "US", "SE", "XX"];

/// Create `topic` with four partitions under `data` and write so many events to it.
pub async fn fill(data: &Path, topics: &[&str], messages: u64) -> Result<()> {
    fs::create_dir_all(data)?;
    let log = Embedded::open(Settings::default(), &log_directory(data)).await?;
    fill_log(&log, topics, messages).await?;
    log.close().await;
    Ok(())
}

/// Create topics with four partitions and write so many events to the first.
pub async fn fill_log(log: &dyn Log, topics: &[&str], messages: u64) -> Result<()> {
    for topic in topics {
        log.create(topic, TopicSettings { partitions: 4, ..TopicSettings::default() }).await?;
    }
    let topic: Arc<str> = topics[0].into();
    let mut random = fastrand::Rng::with_seed(7);
    let mut written = 0;
    while written < messages {
        let count = CALL.min(messages - written);
        let records = (0..count).map(|index| record(&topic, written + index, &mut random));
        for position in log.produce(records.collect()).await {
            position?;
        }
        written += count;
    }
    Ok(())
}

fn record(topic: &Arc<str>, number: u64, random: &mut fastrand::Rng) -> Outgoing {
    let (ip, value) = event(number, random);
    Outgoing::new(Arc::clone(topic), Some(ip.as_bytes()), Some(value.as_bytes()), &[])
}

/// An event as the enricher writes it, about 300 bytes.
fn event(number: u64, random: &mut fastrand::Rng) -> (String, String) {
    let kind = KINDS[random.usize(..KINDS.len())];
    let country = COUNTRIES[random.usize(..COUNTRIES.len())];
    let action = ["create", "update", "search"][random.usize(..3)];
    let ip = format!("198.51.{}.{}", random.u8(..4), random.u8(..));
    let value = format!(
        "{{\"type\":\"{kind}\",\"ts\":{},\"klag\":{},\"ip\":\"{ip}\",\"node\":\"one\",\
         \"pod\":\"one\",\"geo\":{{\"country\":\"{country}\",\"city\":\"XX\"}},\
         \"device\":{{\"type\":\"pc\",\"browser\":\"Firefox\"}},\"host\":\"trk.example.com\",\
         \"path\":\"/t/{kind}\",\"query\":\"action={action}&n={number}\",\
         \"agent\":\"Mozilla/5.0 (X11; rv:140.0)\",\
         \"params\":{{\"action\":\"{action}\",\"n\":\"{number}\"}}}}",
        1_767_225_600_000_u64 + number,
        random.u8(1..60),
    );
    (ip, value)
}

/// Copy a directory with everything in it.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[test]
    fn an_event_is_json_of_about_300_bytes() {
        let mut random = fastrand::Rng::with_seed(1);
        for number in [0, 999_999] {
            let (_, value) = super::event(number, &mut random);
            let event: serde_json::Value = serde_json::from_str(&value).unwrap();
            assert_eq!(event["node"], "one");
            assert!((280..360).contains(&value.len()), "{}: {value}", value.len());
        }
    }
}
