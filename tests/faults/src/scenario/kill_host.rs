//! `kill -9` of the host, at any moment of its life.

use anyhow::Result;
use tokio::time::sleep;

use super::{Outcome, Plan, judge};
use crate::{
    load::Load,
    stage::{Kind, Stage},
};

/// Kill and start the host while clients send.
pub async fn play(plan: &mut Plan, kind: Kind) -> Result<Outcome> {
    let stage = Stage::new(kind).await?;
    let mut house = stage.house("")?;
    let load = Load::start(Vec::new());
    for round in 1..=plan.rounds {
        house.run().await?;
        load.aim(vec![house.url("/t")]);
        let pause = plan.pause();
        sleep(pause).await;
        house.kill();
        eprintln!("kill {round} after {pause:?}");
    }
    house.run().await?;
    load.aim(vec![house.url("/t")]);
    sleep(plan.pause()).await;
    let sent = load.stop().await?;
    judge(plan.rounds, &stage, &mut house, &sent).await
}
