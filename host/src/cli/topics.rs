//! `trellis topics`: the topics of a running host, their records and their readers.

use std::io::{self, BufRead};

use clap::{Args, Subcommand};

use super::{
    Hinted, Running,
    client::{Client, encode},
    output::{Output, columns, time},
};
use crate::{
    admin::topics::{Data, NewRecord, Overview, Produce, Produced, Record, Replay},
    backends::log::{Lag, TopicSettings},
};

/// Records sent in one request.
const BATCH: usize = 500;

/// Look into topics, write to them, move their readers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trellis topics list
  trellis topics create events --partitions 8 --retention-hours 24
  echo 'hello' | trellis topics produce events --key greeting
  trellis topics consume events --from 2026-01-31T08:00:00Z --limit 10
  trellis topics lag
  trellis topics replay events --group enricher --to earliest")]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All topics
    List {
        #[command(flatten)]
        running: Running,
    },
    Create(Create),
    Produce(Write),
    Consume(Read),
    /// How far every group is
    Lag {
        /// Only this group
        #[arg(long)]
        group: Option<String>,
        #[command(flatten)]
        running: Running,
    },
    Replay(Move),
}

/// Create a topic
#[derive(Debug, Args)]
struct Create {
    /// Its name
    topic: String,
    /// Its partitions, which cannot be changed later
    #[arg(long, default_value_t = TopicSettings::default().partitions)]
    partitions: u32,
    /// How long records are kept; 0: for ever
    #[arg(long, default_value_t = 7 * 24, value_name = "HOURS")]
    retention_hours: u64,
    /// The bytes a partition keeps; without it, however many
    #[arg(long, value_name = "BYTES")]
    retention_bytes: Option<u64>,
    /// The brokers that keep each record; without it, as the settings or the cluster say
    #[arg(long, value_name = "COPIES")]
    replication: Option<u16>,
    #[command(flatten)]
    running: Running,
}

/// Write records: each VALUE, or each line of the standard input
#[derive(Debug, Args)]
struct Write {
    /// The topic
    topic: String,
    /// The values
    values: Vec<String>,
    /// The key of every record: records of one key keep their order
    #[arg(long)]
    key: Option<String>,
    /// A header of every record
    #[arg(long, value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// The partition of every record; by the key when not given
    #[arg(long)]
    partition: Option<u32>,
    #[command(flatten)]
    running: Running,
}

/// Read records without moving any group
#[derive(Debug, Args)]
struct Read {
    /// The topic
    topic: String,
    /// Where to start: `earliest`, `latest`, an offset, or a time such as 2026-01-31T08:00:00Z
    #[arg(long, value_name = "PLACE")]
    from: Option<String>,
    /// Go on with records that come later
    #[arg(short, long)]
    follow: bool,
    /// Only this partition
    #[arg(long)]
    partition: Option<u32>,
    /// At most this many records
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    #[command(flatten)]
    running: Running,
}

/// Move a group, whose plugin is live, to another place in a topic
#[derive(Debug, Args)]
struct Move {
    /// The topic
    topic: String,
    /// The group
    #[arg(long)]
    group: String,
    /// Where to: `earliest`, `latest`, an offset, or a time such as 2026-01-31T08:00:00Z
    #[arg(long, value_name = "PLACE")]
    to: String,
    #[command(flatten)]
    running: Running,
}

fn header(text: &str) -> Result<(String, String), String> {
    let split = text.split_once('=').ok_or("write it as `name=value`")?;
    Ok((split.0.to_owned(), split.1.to_owned()))
}

pub(super) async fn run(arguments: Arguments, output: &Output) -> anyhow::Result<()> {
    match arguments.action {
        Action::List { running } => list(running, output).await,
        Action::Create(create) => create.run(output).await,
        Action::Produce(write) => write.run(output).await,
        Action::Consume(read) => read.run(output).await,
        Action::Lag { group, running } => lag(group, running, output).await,
        Action::Replay(replay) => replay.run(output).await,
    }
}

async fn list(running: Running, output: &Output) -> anyhow::Result<()> {
    let topics: Vec<Overview> = Client::find(running)?.get("/api/topics").await?;
    match output.json {
        true => output.json(&topics)?,
        false => output.text(&listing(&topics))?,
    }
    Ok(())
}

/// A line a topic.
pub(super) fn listing(topics: &[Overview]) -> String {
    if topics.is_empty() {
        return "there are no topics\n".to_owned();
    }
    let mut rows = vec![["TOPIC", "PARTITIONS", "RECORDS", "KEPT"].map(str::to_owned).to_vec()];
    rows.extend(topics.iter().map(|overview| {
        let settings = &overview.topic.settings;
        let hours = settings.retention_ms.map(|ms| format!("{}h", ms / 3_600_000));
        let bytes = settings.retention_bytes.map(|bytes| format!("{bytes} bytes a partition"));
        let kept = [hours, bytes].into_iter().flatten().collect::<Vec<_>>().join(", ");
        vec![
            overview.topic.name.to_string(),
            overview.topic.partitions.to_string(),
            overview.records().to_string(),
            if kept.is_empty() { "for ever".to_owned() } else { kept },
        ]
    }));
    columns(&rows)
}

impl Create {
    async fn run(self, output: &Output) -> anyhow::Result<()> {
        let retention_ms = self.retention_hours.checked_mul(3_600_000).filter(|ms| *ms > 0);
        let settings = TopicSettings {
            partitions: self.partitions,
            retention_ms,
            retention_bytes: self.retention_bytes,
            replication: self.replication,
            ..TopicSettings::default()
        };
        let path = format!("/api/topics/{}", encode(&self.topic));
        Client::find(self.running)?.post(&path, &settings).await?;
        let text = format!("created `{}` with {} partitions\n", self.topic, self.partitions);
        done(output, &text)
    }
}

impl Write {
    async fn run(self, output: &Output) -> anyhow::Result<()> {
        let record = NewRecord {
            key: self.key.map(Data::Text),
            headers: self.header.into_iter().map(|(n, v)| (n, Some(Data::Text(v)))).collect(),
            partition: self.partition,
            ..NewRecord::default()
        };
        let client = Client::find(self.running)?;
        let path = format!("/api/topics/{}/records", encode(&self.topic));
        let values: Box<dyn Iterator<Item = io::Result<String>>> = match self.values.is_empty() {
            true => Box::new(io::stdin().lock().lines()),
            false => Box::new(self.values.into_iter().map(Ok)),
        };
        let mut records = Vec::new();
        for value in values {
            records.push(NewRecord { value: Some(Data::Text(value?)), ..record.clone() });
            if records.len() == BATCH {
                send(&client, &path, std::mem::take(&mut records), output).await?;
            }
        }
        match records.is_empty() {
            true => Ok(()),
            false => send(&client, &path, records, output).await,
        }
    }
}

/// Send records and show where each landed; the first failure ends it.
async fn send(
    client: &Client,
    path: &str,
    records: Vec<NewRecord>,
    output: &Output,
) -> anyhow::Result<()> {
    let outcomes: Vec<Produced> = client.post_for(path, &Produce { records }).await?;
    for outcome in outcomes {
        match outcome {
            Produced::At(position) if output.json => output.json(&position)?,
            Produced::At(position) => {
                output.text(&format!("{}:{}\n", position.partition, position.offset))?;
            }
            Produced::Failed { error } => anyhow::bail!(error),
        }
    }
    Ok(())
}

impl Read {
    async fn run(self, output: &Output) -> anyhow::Result<()> {
        let client = Client::find(self.running)?;
        let mut path =
            format!("/api/topics/{}/records?follow={}", encode(&self.topic), self.follow);
        let further = [
            ("from", self.from),
            ("partition", self.partition.map(|partition| partition.to_string())),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ];
        for (name, value) in further {
            path += &value.map_or_else(String::new, |value| format!("&{name}={}", encode(&value)));
        }
        client
            .lines(&path, |line| {
                let text = match (output.json, serde_json::from_str::<Record>(line)) {
                    (true, Ok(_)) => format!("{line}\n"),
                    (false, Ok(record)) => show(&record),
                    (_, Err(_)) => return Err(failure(line)),
                };
                Ok(output.text(&text)?)
            })
            .await
    }
}

/// A line that is no record says why the records end.
fn failure(line: &str) -> anyhow::Error {
    match serde_json::from_str::<crate::admin::Error>(line) {
        Ok(error) => Hinted::from(error).into(),
        Err(_) => anyhow::anyhow!("the host answers `{line}`, which is no record"),
    }
}

/// `partition:offset time key value headers`
pub(super) fn show(record: &Record) -> String {
    let data = |data: &Option<Data>| data.as_ref().map_or("null".to_owned(), Data::to_string);
    let headers = record.headers.iter().map(|(name, value)| format!(" {name}={}", data(value)));
    format!(
        "{}:{} {} {} {}{}\n",
        record.partition,
        record.offset,
        time(record.timestamp_ms),
        data(&record.key),
        data(&record.value),
        headers.collect::<String>()
    )
}

async fn lag(group: Option<String>, running: Running, output: &Output) -> anyhow::Result<()> {
    let mut lags: Vec<Lag> = Client::find(running)?.get("/api/lag").await?;
    lags.retain(|lag| group.as_deref().is_none_or(|group| *lag.group == *group));
    match output.json {
        true => output.json(&lags)?,
        false => output.text(&lag_listing(&lags))?,
    }
    Ok(())
}

/// A line a partition of each group.
pub(super) fn lag_listing(lags: &[Lag]) -> String {
    if lags.is_empty() {
        return "no group reads\n".to_owned();
    }
    let heading = ["GROUP", "TOPIC", "PARTITION", "COMMITTED", "END", "LAG"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(lags.iter().map(|lag| {
        vec![
            lag.group.to_string(),
            lag.topic.to_string(),
            lag.partition.to_string(),
            lag.committed.map_or_else(|| "-".to_owned(), |offset| offset.to_string()),
            lag.end.to_string(),
            lag.lag.to_string(),
        ]
    }));
    columns(&rows)
}

impl Move {
    async fn run(self, output: &Output) -> anyhow::Result<()> {
        let path = format!("/api/topics/{}/replay", encode(&self.topic));
        let replay = Replay { group: self.group, to: self.to };
        Client::find(self.running)?.post(&path, &replay).await?;
        let Replay { group, to } = replay;
        done(output, &format!("group `{group}` goes on in `{}` at {to}\n", self.topic))
    }
}

/// Say what was done, where a person reads.
fn done(output: &Output, text: &str) -> anyhow::Result<()> {
    if !output.json {
        output.text(text)?;
    }
    Ok(())
}
