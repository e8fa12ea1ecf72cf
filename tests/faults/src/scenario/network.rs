//! A bad network between the host and the Kafka broker.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::{Outcome, Plan, judge};
use crate::{
    load::Load,
    proxy::Fault,
    stage::{Kind, Stage},
};

/// Make the door to the broker bad in turn, then well again, while clients send.
pub async fn play(plan: &mut Plan) -> Result<Outcome> {
    let mut stage = Stage::new(Kind::Kafka).await?;
    let mut house = stage.house("")?;
    house.run().await?;
    let load = Load::start(vec![house.url("/t")]);
    for round in 1..=plan.rounds {
        let fault = [
            Fault::Reset,
            Fault::Silent,
            Fault::Late(Duration::from_millis(plan.random.u64(1..200))),
            Fault::Narrow(plan.random.u32(10_000..200_000)),
        ][plan.random.usize(..4)];
        stage.cluster()?.door().make(fault);
        let pause = plan.pause();
        sleep(pause).await;
        stage.cluster()?.door().make(Fault::None);
        sleep(plan.pause()).await;
        eprintln!("fault {round}: {fault:?} for {pause:?}");
    }
    let sent = load.stop().await?;
    judge(plan.rounds, &stage, &mut house, &sent).await
}
