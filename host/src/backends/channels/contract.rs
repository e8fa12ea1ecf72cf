//! What channels promise, as tests: of one host, and of several that share a topic in any log. A
//! form of them brings a [`Subject`] and runs all with `promises!`.

#![allow(clippy::unwrap_used)]

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{Effect, End, Ends, Frame, Hub, Reader, Rules, Space, Start};

/// Long enough for everything that is to happen, so a test waits this long only to fail.
const PATIENCE: Duration = Duration::from_secs(60);
const PLUGIN: &str = "p";

/// Channels under test.
pub trait Subject: Send {
    /// Two hosts that clients may come to; one and the same where there is no other.
    fn hosts(&self) -> [Arc<Hub>; 2];
}

/// Make a test of each promise; `$open` is a future of a [`Subject`].
macro_rules! promises {
    ($open:expr) => {
        $crate::backends::channels::contract::promises! { $open;
            all_who_joined_hear_each_frame_once_and_in_one_order,
            what_one_sender_publishes_stays_in_order,
            who_comes_back_anywhere_goes_on_behind_what_it_has_heard,
            who_comes_gets_the_last_frames_anywhere,
            who_is_shown_is_known_everywhere_until_it_ends,
            a_connection_is_reached_from_everywhere,
        }
    };
    ($open:expr; $($promise:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $promise() {
            $crate::backends::channels::contract::$promise($open.await).await;
        })*
    };
}
pub(crate) use promises;

/// Look until something is so.
pub async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not happen");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A connection of a host.
pub struct Client {
    pub id: u64,
    space: Arc<Space>,
    reader: Reader,
    heard: Vec<Arc<Frame>>,
}

impl Client {
    pub fn new(hub: &Hub, tag: &str) -> Self {
        let space = hub.space(&PLUGIN.into());
        let (id, reader) = (space.number(), Reader::new(1 << 20));
        space.admit(id, tag, reader.outlet());
        Self { id, space, reader, heard: Vec::new() }
    }

    /// A connection that hears a channel.
    pub async fn join(hub: &Hub, channel: &str, start: Start) -> Self {
        let client = Self::new(hub, "tag");
        cause(hub, Effect::Join(client.id, channel.into(), start)).await;
        client
    }

    fn read(&mut self) {
        while let Ok(frames) = self.reader.take(1000) {
            if frames.is_empty() {
                return;
            }
            self.heard.extend(frames);
        }
    }

    /// All that was heard once it is so much.
    pub async fn hears(&mut self, count: usize) -> Vec<String> {
        until(|| {
            self.read();
            (self.heard.len() >= count).then_some(())
        })
        .await;
        texts(&self.heard)
    }

    /// The number of what was heard last.
    fn last(&self) -> u64 {
        self.heard.last().unwrap().sequence().unwrap()
    }

    pub fn end(&self) -> Option<End> {
        self.reader.end()
    }

    /// It goes away, as its client wants.
    pub fn leave(self) {
        self.space.remove(self.id);
    }
}

pub fn texts(frames: &[Arc<Frame>]) -> Vec<String> {
    frames.iter().map(|frame| String::from_utf8_lossy(frame.payload()).into()).collect()
}

/// Let something happen, as a call of the plugin would on a host.
pub async fn cause(hub: &Hub, effect: Effect) {
    let (space, rules) = (hub.space(&PLUGIN.into()), Rules::default());
    space.settled(&effect, &rules).await;
    space.apply(effect, &rules).unwrap();
}

pub async fn publish(hub: &Hub, channel: &str, text: impl Into<String>) {
    cause(hub, Effect::Publish(channel.into(), Frame::text(text))).await;
}

pub async fn show(hub: &Hub, client: &Client, channel: &str, key: &str) {
    cause(hub, Effect::Show(client.id, channel.into(), key.into(), "meta".into())).await;
}

/// Who is shown on a host.
pub fn who(hub: &Hub, channel: &str) -> Vec<String> {
    let who = hub.space(&PLUGIN.into()).who(channel);
    let mut keys: Vec<_> = who.iter().map(|shown| shown.key.clone()).collect();
    keys.sort();
    keys
}

/// Notes which connections were said to have ended.
#[derive(Default)]
pub struct Told(pub Mutex<Vec<(u64, String, u16)>>);

impl Ends for Told {
    fn ended(&self, _plugin: &Arc<str>, connection: u64, tag: Arc<str>, end: End) {
        self.0.lock().unwrap().push((connection, tag.to_string(), end.code));
    }
}

pub async fn all_who_joined_hear_each_frame_once_and_in_one_order(subject: impl Subject) {
    let [one, other] = subject.hosts();
    let mut clients = Vec::new();
    for hub in [&one, &one, &other, &other] {
        clients.push(Client::join(hub, "room", Start::Next).await);
    }
    let talk = |hub: Arc<Hub>, name: &'static str| async move {
        for number in 0..100 {
            publish(&hub, "room", format!("{name} {number}")).await;
            if number % 10 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::join!(talk(one.clone(), "ada"), talk(other.clone(), "bob"));
    publish(&one, "other room", "x").await;
    let first = clients[0].hears(200).await;
    for client in &mut clients {
        assert_eq!(client.hears(200).await, first);
        let numbers: Vec<_> = client.heard.iter().filter_map(|frame| frame.sequence()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    }
    for name in ["ada", "bob"] {
        let said = first.iter().filter(|text| text.starts_with(name)).cloned();
        assert!(said.eq((0..100).map(|number| format!("{name} {number}"))));
    }
}

pub async fn what_one_sender_publishes_stays_in_order(subject: impl Subject) {
    let [one, other] = subject.hosts();
    let mut client = Client::join(&other, "room", Start::Next).await;
    let size = |number: usize| number * 7919 % 10_000;
    for number in 0..100 {
        publish(&one, "room", "x".repeat(size(number))).await;
    }
    let sizes = client.hears(100).await.into_iter().map(|text| text.len());
    assert!(sizes.eq((0..100).map(size)));
}

pub async fn who_comes_back_anywhere_goes_on_behind_what_it_has_heard(subject: impl Subject) {
    let [one, other] = subject.hosts();
    let mut before = Client::join(&one, "room", Start::Next).await;
    for number in 0..100 {
        publish(&one, "room", number.to_string()).await;
        publish(&other, "another room", "x").await;
    }
    before.hears(50).await;
    before.heard.truncate(50);
    let last = before.last();
    before.leave();
    // At once: the other host may be behind.
    let mut after = Client::join(&other, "room", Start::Sequence(last)).await;
    publish(&other, "room", "100").await;
    let heard = after.hears(51).await;
    assert!(heard.iter().map(|text| text.parse::<u32>().unwrap()).eq(50..101), "{heard:?}");
    // And where it was.
    let mut again = Client::join(&one, "room", Start::Sequence(after.last())).await;
    publish(&one, "room", "101").await;
    assert_eq!(again.hears(1).await, ["101"]);
}

pub async fn who_comes_gets_the_last_frames_anywhere(subject: impl Subject) {
    let [one, other] = subject.hosts();
    for number in 0..10 {
        publish(&one, "room", number.to_string()).await;
    }
    let space = other.space(&PLUGIN.into());
    until(|| (space.recent("room", 99).len() == 10).then_some(())).await;
    assert_eq!(texts(&space.recent("room", 2)), ["8", "9"]);
    let mut recent = Client::join(&other, "room", Start::Recent(3)).await;
    assert_eq!(recent.hears(3).await, ["7", "8", "9"]);
    let mut burst = Client::join(&other, "room", Start::Bytes(2)).await;
    assert_eq!(burst.hears(2).await, ["8", "9"]);
}

pub async fn who_is_shown_is_known_everywhere_until_it_ends(subject: impl Subject) {
    let [one, other] = subject.hosts();
    let (ada, bob) = (Client::new(&one, "a"), Client::new(&other, "b"));
    show(&one, &ada, "room", "ada").await;
    show(&other, &bob, "room", "bob").await;
    let both = ["ada", "bob"];
    for hub in [&one, &other] {
        until(|| (who(hub, "room") == both).then_some(())).await;
    }
    cause(&other, Effect::Hide(bob.id, "room".into())).await;
    until(|| (who(&one, "room") == ["ada"]).then_some(())).await;
    cause(&one, Effect::Retag(ada.id, "a2".into())).await;
    let tag = || other.space(&PLUGIN.into()).tag(ada.id);
    until(|| (tag().as_deref() == Some("a2")).then_some(())).await;
    ada.leave();
    for hub in [&one, &other] {
        until(|| who(hub, "room").is_empty().then_some(())).await;
    }
}

pub async fn a_connection_is_reached_from_everywhere(subject: impl Subject) {
    let [one, other] = subject.hosts();
    let mut ada = Client::new(&one, "a");
    cause(&other, Effect::Join(ada.id, "room".into(), Start::Next)).await;
    for number in 0..20 {
        cause(&other, Effect::Send(ada.id, Frame::text(number.to_string()))).await;
    }
    let heard = ada.hears(20).await;
    assert!(heard.iter().map(|text| text.parse::<u32>().unwrap()).eq(0..20), "{heard:?}");
    publish(&other, "room", "to all").await;
    assert_eq!(ada.hears(21).await[20], "to all");
    cause(&other, Effect::Show(ada.id, "room".into(), "ada".into(), String::new())).await;
    until(|| (who(&other, "room") == ["ada"]).then_some(())).await;
    cause(&other, Effect::Close(ada.id, 1008, "out".into())).await;
    assert_eq!(until(|| ada.end()).await, End { code: 1008, reason: "out".into() });
}

/// A host on its own.
struct Alone(Arc<Hub>);

impl Alone {
    fn open() -> impl Future<Output = Self> {
        std::future::ready(Self(Arc::new(Hub::new(Default::default()))))
    }
}

impl Subject for Alone {
    fn hosts(&self) -> [Arc<Hub>; 2] {
        [self.0.clone(), self.0.clone()]
    }
}

mod alone {
    use super::*;
    promises!(Alone::open());
}
