//! `kill -9` of the Kafka broker or of PostgreSQL, under a host that goes on.

use anyhow::Result;
use tokio::time::sleep;

use super::{Outcome, Plan, judge};
use crate::{
    behind::{Behind, Server},
    load::Load,
    stage::{Kind, Stage},
};

/// Kill and start a server of a stage while clients send.
pub async fn play<S: Server>(
    plan: &mut Plan,
    kind: Kind,
    server: fn(&mut Stage) -> Result<&mut Behind<S>>,
) -> Result<Outcome> {
    let mut stage = Stage::new(kind).await?;
    let mut house = stage.house("")?;
    house.run().await?;
    let load = Load::start(vec![house.url("/t")]);
    for round in 1..=plan.rounds {
        let pause = plan.pause();
        sleep(pause).await;
        server(&mut stage)?.kill().await?;
        // Sometimes it is back at once, sometimes the host has to wait.
        sleep(plan.pause()).await;
        server(&mut stage)?.start().await?;
        eprintln!("kill {round} after {pause:?}");
    }
    sleep(plan.pause()).await;
    let sent = load.stop().await?;
    judge(plan.rounds, &stage, &mut house, &sent).await
}
