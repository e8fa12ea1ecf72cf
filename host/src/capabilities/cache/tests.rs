#![allow(clippy::unwrap_used)]

use std::time::Instant;

use super::*;
use crate::backends::cache::{Settings, embedded::Embedded};

const LONG: Duration = Duration::from_secs(60);

fn prepared() -> Arc<Prepared> {
    Arc::new(Prepared::new(&Embedded::new(&Settings::default()), "p"))
}

async fn claim(instance: &mut Instance, key: &str) -> Result<Outcome, Error> {
    instance.claim(key, LONG, Duration::ZERO, Instant::now() + LONG).await
}

#[tokio::test]
async fn what_a_call_claimed_is_free_when_it_ends() {
    let prepared = prepared();
    let (mut one, mut two) = (Cache::instance(&prepared), Cache::instance(&prepared));
    assert_eq!(claim(&mut one, "k").await, Ok(Outcome::Yours(1)));
    assert_eq!(claim(&mut two, "k").await, Ok(Outcome::Taken));
    Cache::end_call(&mut one);
    assert_eq!(claim(&mut two, "k").await, Ok(Outcome::Yours(1)));
    let late = one.fill(1, "late".into(), LONG).await;
    assert_eq!(late, Err(cache::Error::Lost.into()));
    // As after a trap.
    drop(two);
    assert_eq!(claim(&mut one, "k").await, Ok(Outcome::Yours(2)));
}

#[tokio::test]
async fn a_claim_is_good_for_no_longer_than_its_call() {
    let prepared = prepared();
    let (mut one, mut two) = (Cache::instance(&prepared), Cache::instance(&prepared));
    let soon = Instant::now() + Duration::from_millis(20);
    assert_eq!(one.claim("k", LONG, Duration::ZERO, soon).await, Ok(Outcome::Yours(1)));
    let next = two.claim("k", LONG, LONG, Instant::now() + LONG).await;
    assert_eq!(next, Ok(Outcome::Yours(1)));
}

#[tokio::test]
async fn a_mistake_leaves_the_claim_as_it_is() {
    let mut one = Cache::instance(&prepared());
    assert_eq!(claim(&mut one, "k").await, Ok(Outcome::Yours(1)));
    let refused = one.fill(1, "v".into(), Duration::ZERO).await;
    assert_eq!(refused, Err(cache::Error::Ttl(Duration::ZERO).into()));
    assert_eq!(one.fill(1, "v".into(), LONG).await, Ok(()));
    assert_eq!(one.get("k").await, Ok(Some("v".into())));
}

#[tokio::test]
async fn claims_of_a_call_are_counted() {
    let mut one = Cache::instance(&prepared());
    for key in 0..MAX_CLAIMS {
        assert!(matches!(claim(&mut one, &key.to_string()).await, Ok(Outcome::Yours(_))));
    }
    assert_eq!(claim(&mut one, "more").await, Err(Error::TooManyClaims));
    one.drop_claim(1);
    assert!(matches!(claim(&mut one, "more").await, Ok(Outcome::Yours(_))));
}
