use std::sync::Mutex;

use super::*;
use crate::backends::channels::{Channel, Outlet, Start};

/// A connection that notes what it gets.
#[derive(Clone, Default)]
struct Noted(Arc<Mutex<Vec<String>>>);

impl Noted {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Outlet for Noted {
    fn join(&self, channel: Arc<Channel>, _start: Start) {
        self.note(format!("join {}", channel.name()));
    }
    fn leave(&self, channel: &Arc<Channel>) {
        self.note(format!("leave {}", channel.name()));
    }
    fn send(&self, frame: Frame) {
        self.note(format!("send {}", String::from_utf8_lossy(frame.payload())));
    }
    fn close(&self, code: u16, _reason: &str) {
        self.note(format!("close {code}"));
    }
    fn waiting(&self) -> usize {
        0
    }
}

fn instance() -> (Instance, Noted) {
    let hub = Hub::new(channels::Settings::default());
    let space = hub.space(&"p".into());
    let noted = Noted::default();
    space.admit(1, "", Box::new(noted.clone()));
    let prepared = Prepared { space, rules: Rules::default() };
    (Channels::instance(&Arc::new(prepared)), noted)
}

fn send(text: &str) -> Effect {
    Effect::Send(1, Frame::text(text))
}

#[tokio::test]
async fn what_is_asked_for_happens_at_once_or_together_after_the_call() {
    let (mut instance, noted) = instance();
    instance.cause(send("a")).unwrap().unwrap();
    assert_eq!(noted.seen(), ["send a"]);
    instance.defer();
    for effect in [send("b"), Effect::Join(1, "room".into(), Start::Next), send("c")] {
        instance.cause(effect).unwrap().unwrap();
    }
    assert!(noted.seen().is_empty());
    instance.take().apply().await;
    assert_eq!(noted.seen(), ["send b", "join room", "send c"]);
    instance.cause(send("d")).unwrap().unwrap();
    assert_eq!(noted.seen(), ["send d"]);
}

#[test]
fn what_a_failed_call_asked_for_never_happens() {
    let (mut instance, noted) = instance();
    instance.defer();
    instance.cause(send("a")).unwrap().unwrap();
    drop(instance);
    assert!(noted.seen().is_empty());
}

#[test]
fn what_is_beyond_the_limits_is_refused_with_a_word_about_it() {
    let (mut instance, noted) = instance();
    let long = |length: usize| "x".repeat(length);
    for (effect, why) in [
        (Effect::Publish(String::new(), Frame::text("")), "the name of a channel is empty"),
        (Effect::Publish(long(256), Frame::text("")), "the name of a channel of 256 bytes"),
        (send(&long(MAX_FRAME + 1)), "a frame of 1048577 bytes"),
        (Effect::Close(1, 1006, String::new()), "1006 is no code"),
        (Effect::Close(1, 2999, String::new()), "2999 is no code"),
        (Effect::Close(1, 1000, long(124)), "a reason of 124 bytes"),
        (Effect::Retag(1, long(4097)), "a tag of 4097 bytes"),
        (Effect::Show(1, "a".into(), long(256), String::new()), "a key of 256 bytes"),
        (Effect::Show(1, "a".into(), String::new(), long(4097)), "what is shown of 4097 bytes"),
    ] {
        let refusal = instance.cause(effect).unwrap().unwrap_err().to_string();
        assert!(refusal.starts_with(why), "{refusal}");
    }
    assert_eq!(instance.open_mailbox("", 999), Err(Error::Idle(999)));
    assert!(noted.seen().is_empty());
    instance.cause(send(&long(MAX_FRAME))).unwrap().unwrap();
    instance.cause(Effect::Close(1, 4999, long(123))).unwrap().unwrap();
    assert_eq!(noted.seen().len(), 2);
}

#[test]
fn events_cannot_pile_up_more_than_a_host_can_hold() {
    let (mut instance, _) = instance();
    instance.defer();
    let large = "x".repeat(MAX_FRAME);
    let kept = (0..100).take_while(|_| instance.cause(send(&large)).is_ok()).count();
    assert!((30..=32).contains(&kept), "{kept}");
    let (mut instance, _) = self::instance();
    instance.defer();
    let kept = (0..).take_while(|_| instance.cause(send("")).is_ok()).count();
    assert_eq!(kept, MAX_DEFERRED);
}
