//! `kill -9` of the Kafka broker, under a host that goes on.

use anyhow::Result;
use tokio::time::sleep;

use super::{Outcome, Plan, judge};
use crate::{
    load::Load,
    stage::{Kind, Stage},
};

/// Kill and start the broker while clients send.
pub async fn play(plan: &mut Plan) -> Result<Outcome> {
    let mut stage = Stage::new(Kind::Kafka).await?;
    let mut house = stage.house("")?;
    house.run().await?;
    let load = Load::start(vec![house.url("/t")]);
    for round in 1..=plan.rounds {
        let pause = plan.pause();
        sleep(pause).await;
        stage.cluster()?.kill().await?;
        // Sometimes it is back at once, sometimes the host has to wait.
        sleep(plan.pause()).await;
        stage.cluster()?.start().await?;
        eprintln!("kill {round} after {pause:?}");
    }
    sleep(plan.pause()).await;
    let sent = load.stop().await?;
    judge(plan.rounds, &stage, &mut house, &sent).await
}
