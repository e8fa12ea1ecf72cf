//! What comes of messages, whatever the plugin and the log do.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt;

use super::{
    super::partition::{End, Loop},
    log::{Memory, Trouble},
    plugin::{ATTEMPTS, Behaviour, Plugin, table},
};
use crate::{manifest::Delivery, observe::Logs};

const DEAD: &str = "in.dead.group";

fn messages(count: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(|index| index.to_string().into_bytes())
}

fn start(log: &Memory, plugin: &Plugin) -> (CancellationToken, JoinHandle<End>) {
    let stop = CancellationToken::new();
    let work = Loop::new(Arc::new(log.clone()), log.reader(), plugin.clone(), stop.clone());
    (stop, tokio::spawn(work.run()))
}

/// Run until everything is committed.
async fn run(behaviours: Vec<Behaviour>, delivery: Delivery, most: u32) -> (Memory, Plugin) {
    let count = behaviours.len();
    let log = Memory::new(messages(count));
    let plugin = Plugin::new(&log, behaviours, table(delivery, most));
    let (stop, task) = start(&log, &plugin);
    log.reaches(count as u64).await;
    stop.cancel();
    assert_eq!(task.await.unwrap(), End::Stopped);
    (log, plugin)
}

fn with(count: usize, special: &[(usize, Behaviour)]) -> Vec<Behaviour> {
    let mut behaviours = vec![Behaviour::Good; count];
    for (index, behaviour) in special {
        behaviours[*index] = *behaviour;
    }
    behaviours
}

#[tokio::test]
async fn the_messages_before_a_failed_one_do_not_come_again() {
    let behaviours = with(10, &[(4, Behaviour::Fails(2))]);
    let (log, plugin) = run(behaviours, Delivery::AtLeastOnce, 10).await;
    let seen = plugin.seen.lock().unwrap();
    assert_eq!(seen.handled, (0..10).collect::<Vec<_>>());
    assert_eq!(seen.calls, [(0, 10), (4, 1), (4, 1), (5, 5)]);
    assert!(log.values(DEAD).is_empty());
}

#[tokio::test]
async fn a_poisoned_message_ends_in_the_dead_letter_topic_and_the_partition_goes_on() {
    let special = [(2, Behaviour::Poison), (3, Behaviour::Dead), (9, Behaviour::Trap)];
    let (log, plugin) = run(with(10, &special), Delivery::AtLeastOnce, 10).await;
    assert_eq!(log.values(DEAD), ["2", "3", "9"]);
    let all = ATTEMPTS.to_string();
    assert_eq!(log.headers(DEAD, "trellis-attempts"), [&all, "1", &all]);
    assert_eq!(log.headers(DEAD, "trellis-error"), ["no", "no", "trapped"]);
    assert_eq!(log.headers(DEAD, "trellis-generation"), ["7", "7", "7"]);
    assert_eq!(plugin.seen.lock().unwrap().handled, [0, 1, 4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn outputs_and_dead_letters_commit_with_the_offset_and_once() {
    let special = [(2, Behaviour::Poison), (5, Behaviour::Trap), (7, Behaviour::Fails(1))];
    let (log, _) = run(with(9, &special), Delivery::ExactlyOnceTopics, 9).await;
    assert_eq!(log.values("out"), ["0", "1", "3", "4", "6", "7", "8"]);
    assert_eq!(log.values(DEAD), ["2", "5"]);
}

#[tokio::test]
async fn an_output_the_log_would_refuse_makes_its_message_a_dead_letter() {
    let behaviours = with(6, &[(3, Behaviour::Unwritable)]);
    let (log, _) = run(behaviours, Delivery::ExactlyOnceTopics, 6).await;
    assert_eq!(log.values("out"), ["0", "1", "2", "4", "5"]);
    assert_eq!(log.values(DEAD), ["3"]);
    assert!(log.headers(DEAD, "trellis-error")[0].contains("`nowhere` does not exist"));
}

#[tokio::test]
async fn faults_of_the_host_cost_no_attempts() {
    let log = Memory::new(messages(3));
    let behaviours = with(3, &[(1, Behaviour::Fails(ATTEMPTS - 1))]);
    let plugin = Plugin::new(&log, behaviours, table(Delivery::AtLeastOnce, 3));
    plugin.seen.lock().unwrap().host_faults = ATTEMPTS + 2;
    let (stop, task) = start(&log, &plugin);
    log.reaches(3).await;
    stop.cancel();
    task.await.unwrap();
    assert!(log.values(DEAD).is_empty());
}

#[tokio::test]
async fn a_batch_that_waits_is_told_once_and_once_more_when_it_goes_on() {
    let logs = Logs::new(100);
    // With a single subscriber alive, whichever test logs first decides for its own thread whether
    // a line is wanted at all.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _recorded =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(logs.layer()));
    let log = Memory::new(messages(3));
    let plugin = Plugin::new(&log, with(3, &[]), table(Delivery::AtLeastOnce, 3));
    plugin.seen.lock().unwrap().host_faults = 4;
    let (stop, task) = start(&log, &plugin);
    log.reaches(3).await;
    stop.cancel();
    task.await.unwrap();
    assert_eq!(plugin.seen.lock().unwrap().calls.len(), 5);
    let lines = logs.recent(None, 100);
    let told = |text: &str| lines.iter().filter(|line| line.message.contains(text)).count();
    assert_eq!((told("a batch waits"), told("the batch goes on")), (1, 1), "{lines:?}");
}

#[tokio::test]
async fn a_partition_that_stops_lets_its_call_end_and_commits_it() {
    let log = Memory::new(messages(6));
    let mut plugin = Plugin::new(&log, with(6, &[]), table(Delivery::AtLeastOnce, 2));
    plugin.gate = Arc::new(Semaphore::new(1));
    let (stop, task) = start(&log, &plugin);
    log.reaches(2).await;
    stop.cancel();
    plugin.gate.add_permits(1);
    assert_eq!(task.await.unwrap(), End::Stopped);
    assert_eq!(log.state().committed, Some(4));
    assert_eq!(plugin.seen.lock().unwrap().handled, [0, 1, 2, 3]);
}

#[tokio::test]
async fn commits_keep_their_distance_as_long_as_there_is_room_and_at_the_end_none() {
    for (count, most) in [(10, 2), (40, 4)] {
        let log = Memory::new(messages(count));
        log.state().distance = Duration::from_secs(3600);
        let plugin = Plugin::new(&log, with(count, &[]), table(Delivery::ExactlyOnceTopics, 1));
        let (stop, task) = start(&log, &plugin);
        while plugin.seen.lock().unwrap().handled.len() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
        assert_eq!(task.await.unwrap(), End::Stopped);
        let state = log.state();
        assert_eq!(state.committed, Some(count as u64));
        assert!((2..=most).contains(&state.commits), "{} commits of {count}", state.commits);
    }
}

#[tokio::test]
async fn a_commit_in_doubt_is_asked_for_also_where_the_next_batch_gathers() {
    let log = Memory::new(messages(5));
    log.state().troubles.insert(1, Trouble::Lost);
    let mut gathering = (*table(Delivery::ExactlyOnceTopics, 2)).clone();
    gathering.consume.batch.max_wait.0 = 100;
    let mut plugin = Plugin::new(&log, with(5, &[]), Arc::new(gathering));
    plugin.gate = Arc::new(Semaphore::new(1));
    let (stop, task) = start(&log, &plugin);
    // The first batch is lost while the second is handled, and the third is not full.
    while log.state().commits == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    plugin.gate.add_permits(100);
    log.reaches(5).await;
    stop.cancel();
    assert_eq!(task.await.unwrap(), End::Stopped);
    assert_eq!(log.values("out"), ["0", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_partition_that_backs_off_stops_at_once() {
    let log = Memory::new(messages(1));
    let mut slow = (*table(Delivery::AtLeastOnce, 1)).clone();
    slow.consume.retry.backoff.0 = 3_600_000;
    slow.consume.retry.max_backoff.0 = 3_600_000;
    let plugin = Plugin::new(&log, vec![Behaviour::Fails(1)], Arc::new(slow));
    let (stop, task) = start(&log, &plugin);
    while plugin.seen.lock().unwrap().calls.is_empty() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    assert_eq!(task.await.unwrap(), End::Stopped);
    assert_eq!(log.state().committed, None);
}

#[tokio::test]
async fn a_partition_that_another_member_took_ends_without_committing() {
    let log = Memory::new(messages(1));
    let plugin = Plugin::new(&log, with(1, &[]), table(Delivery::AtLeastOnce, 1));
    let (_stop, task) = start(&log, &plugin);
    let _other = log.reader();
    assert_eq!(task.await.unwrap(), End::Fenced);
    assert_eq!(log.state().committed, None);
}

#[tokio::test]
async fn a_partition_goes_on_where_the_plugins_database_is() {
    let log = Memory::new(messages(10));
    let mut plugin = Plugin::new(&log, with(10, &[]), table(Delivery::ExactlyOnceSql, 2));
    plugin.gate = Arc::new(Semaphore::new(1));
    plugin.seen.lock().unwrap().offset = Some(3);
    log.state().finished[..3].fill(true);
    let (stop, task) = start(&log, &plugin);
    log.reaches(5).await;
    // Another member has been faster with the next ones.
    plugin.seen.lock().unwrap().offset = Some(8);
    log.state().finished[5..8].fill(true);
    plugin.gate.add_permits(10);
    log.reaches(10).await;
    stop.cancel();
    task.await.unwrap();
    assert_eq!(plugin.seen.lock().unwrap().rows, [3, 4, 8, 9]);
}

#[derive(Clone, Debug)]
struct Story {
    behaviours: Vec<Behaviour>,
    delivery: Delivery,
    most: u32,
    host_faults: u32,
    troubles: Vec<(usize, bool)>,
    /// After how many calls the host dies.
    crashes: Vec<usize>,
}

fn stories() -> impl Strategy<Value = Story> {
    let behaviour = prop_oneof![
        12 => Just(Behaviour::Good),
        1 => (1..ATTEMPTS).prop_map(Behaviour::Fails),
        1 => Just(Behaviour::Poison),
        1 => Just(Behaviour::Dead),
        1 => Just(Behaviour::Trap),
    ];
    let delivery = prop_oneof![
        Just(Delivery::AtLeastOnce),
        Just(Delivery::ExactlyOnceTopics),
        Just(Delivery::ExactlyOnceSql),
    ];
    (
        prop::collection::vec(behaviour, 1..60),
        delivery,
        1..20u32,
        0..3u32,
        prop::collection::vec((1..12usize, any::<bool>()), 0..3),
        prop::collection::vec(1..15usize, 0..3),
    )
        .prop_map(|(behaviours, delivery, most, host_faults, troubles, crashes)| Story {
            behaviours,
            delivery,
            most,
            host_faults,
            troubles,
            crashes,
        })
}

/// Live through a story with its crashes to the end.
async fn live(story: &Story) -> (Memory, Plugin) {
    let log = Memory::new(messages(story.behaviours.len()));
    let table = table(story.delivery, story.most);
    let mut plugin = Plugin::new(&log, story.behaviours.clone(), table);
    plugin.seen.lock().unwrap().host_faults = story.host_faults;
    log.state().troubles = story
        .troubles
        .iter()
        .map(|(at, lost)| (*at, if *lost { Trouble::Lost } else { Trouble::Unknown }))
        .collect();
    let end = story.behaviours.len() as u64;
    for calls in &story.crashes {
        plugin.gate = Arc::new(Semaphore::new(*calls));
        let (_stop, task) = start(&log, &plugin);
        tokio::select! {
            () = log.reaches(end) => {}
            () = async {
                while plugin.gate.available_permits() > 0 {
                    tokio::task::yield_now().await;
                }
            } => {}
        }
        task.abort();
        let _ = task.await;
    }
    plugin.gate = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
    let (stop, task) = start(&log, &plugin);
    let done = tokio::time::timeout(Duration::from_secs(20), log.reaches(end)).await;
    assert!(done.is_ok(), "the partition stands still at {:?}", log.state().committed);
    stop.cancel();
    task.await.unwrap();
    (log, plugin)
}

fn numbers(values: &[String]) -> Vec<usize> {
    values.iter().map(|value| value.parse().unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_message_comes_to_its_end_whatever_happens(story in stories()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (log, plugin) = runtime.block_on(live(&story));
        prop_assert!(log.state().ahead.is_empty(), "commits ran ahead: {:?}", log.state().ahead);

        let ends = |at: &usize| matches!(story.behaviours[*at], Behaviour::Good | Behaviour::Fails(_));
        let (good, bad): (Vec<usize>, Vec<usize>) = (0..story.behaviours.len()).partition(ends);
        let mut dead = numbers(&log.values(DEAD));
        for (index, attempts) in dead.iter().zip(&log.headers(DEAD, "trellis-attempts")) {
            let expected = if story.behaviours[*index] == Behaviour::Dead { 1 } else { ATTEMPTS };
            prop_assert_eq!(attempts, &expected.to_string());
        }
        let seen = plugin.seen.lock().unwrap();
        // Exactly once and in order, through every crash and every doubtful commit.
        let exact = |offsets: &[u64]| offsets.iter().map(|offset| *offset as usize).eq(good.clone());
        match story.delivery {
            Delivery::ExactlyOnceTopics => {
                prop_assert_eq!(&numbers(&log.values("out")), &good);
                prop_assert_eq!(&dead, &bad);
            }
            Delivery::ExactlyOnceSql => prop_assert!(exact(&seen.rows), "rows: {:?}", seen.rows),
            Delivery::AtLeastOnce if story.crashes.is_empty() => {
                prop_assert!(exact(&seen.handled), "handled: {:?}", seen.handled);
            }
            Delivery::AtLeastOnce => {
                let mut handled = seen.handled.clone();
                handled.sort_unstable();
                handled.dedup();
                prop_assert!(exact(&handled), "handled: {:?}", seen.handled);
            }
        }
        dead.sort_unstable();
        dead.dedup();
        prop_assert_eq!(dead, bad);
    }
}
