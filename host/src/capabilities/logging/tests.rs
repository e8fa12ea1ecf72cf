#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use tokio::io::AsyncWriteExt;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};
use wasmtime_wasi::cli::StdoutStream;

use super::*;

/// Keeps `LEVEL plugin/context: message` of every event.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<String>>>);

#[derive(Default)]
struct Fields {
    message: String,
    context: String,
    dropped: Option<u64>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "context" {
            self.context = value.to_owned();
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "dropped" {
            self.dropped = Some(value);
        }
    }
}

impl<S: Subscriber> Layer<S> for Kept {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = match fields.dropped {
            Some(dropped) => format!("dropped {dropped}"),
            None => format!("{} {}: {}", event.metadata().level(), fields.context, fields.message),
        };
        self.0.lock().unwrap().push(line);
    }
}

fn voice(settings: Settings) -> Arc<Prepared> {
    let plugin = Plugin { name: "speaker".into(), generation: 1, config: Default::default() };
    let logging = Logging { settings, world: World::default() };
    Arc::new(
        futures_util::FutureExt::now_or_never(logging.prepare(&plugin, &Grant {}))
            .unwrap()
            .unwrap(),
    )
}

/// The lines that `speak` writes.
fn heard(settings: Settings, speak: impl FnOnce(Arc<Prepared>)) -> Vec<String> {
    let kept = Kept::default();
    let subscriber = tracing_subscriber::registry().with(kept.clone());
    tracing::subscriber::with_default(subscriber, || speak(voice(settings)));
    std::mem::take(&mut *kept.0.lock().unwrap())
}

#[test]
fn a_line_keeps_its_level_and_context_and_cannot_forge_another() {
    let lines = heard(Settings::default(), |voice| {
        voice.write(Level::Info, None, "cart", "sold");
        voice.write(Level::Critical, None, "", "first\nERROR forged \u{1b}[2J");
    });
    assert_eq!(lines, ["INFO cart: sold", "ERROR : first\nERROR forged \\u{1b}[2J"]);
}

#[test]
fn a_long_line_is_cut_between_letters() {
    let lines = heard(Settings::default(), |voice| {
        voice.write(Level::Debug, None, &"c".repeat(1000), &"ü".repeat(MAX_LINE));
    });
    let context = "c".repeat(MAX_CONTEXT);
    assert_eq!(lines, [format!("DEBUG {context} …: {} …", "ü".repeat(MAX_LINE / 2))]);
}

#[test]
fn lines_beyond_the_rate_are_dropped_and_the_end_says_how_many() {
    let lines = heard(Settings { lines_per_second: 0, burst: 2 }, |voice| {
        for number in 0..5 {
            voice.write(Level::Info, None, "", &number.to_string());
        }
    });
    assert_eq!(lines, ["INFO : 0", "INFO : 1", "dropped 3"]);
}

#[test]
fn output_becomes_lines_also_when_it_comes_in_pieces_and_ends_without_one() {
    let lines = heard(Settings::default(), |voice| {
        let (out, err) = (Stream::stdout(&voice), Stream::stderr(&voice));
        let (mut first, mut second) = (out.p2_stream(), out.p2_stream());
        first.write("one\r\ntw".into()).unwrap();
        second.write("o\n\n".into()).unwrap();
        err.p2_stream().write("panicked".into()).unwrap();
        drop(err);
        let mut third = Box::into_pin(out.async_stream());
        futures_util::FutureExt::now_or_never(third.write_all(b"th\xffree")).unwrap().unwrap();
    });
    assert_eq!(
        lines,
        [
            "INFO stdout: one",
            "INFO stdout: two",
            "WARN stderr: panicked",
            "INFO stdout: th\u{fffd}ree"
        ]
    );
}

#[test]
fn output_without_line_ends_is_never_held_beyond_a_line() {
    let lines = heard(Settings::default(), |voice| {
        let out = Stream::stdout(&voice);
        out.p2_stream().write(vec![b'x'; MAX_LINE * 2 + 1].into()).unwrap();
    });
    let lengths: Vec<_> = lines.iter().map(|line| line.len() - "INFO stdout: ".len()).collect();
    assert_eq!(lengths, [MAX_LINE, MAX_LINE, 1]);
}
