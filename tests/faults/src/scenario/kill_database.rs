//! `kill -9` of PostgreSQL, under a host that goes on.

use anyhow::Result;
use tokio::time::sleep;

use super::{Outcome, Plan, judge};
use crate::{
    load::Load,
    stage::{Kind, Stage},
};

/// Kill and start the database server while clients send.
pub async fn play(plan: &mut Plan) -> Result<Outcome> {
    let mut stage = Stage::new(Kind::Servers).await?;
    let mut house = stage.house("")?;
    house.run().await?;
    let load = Load::start(vec![house.url("/t")]);
    for round in 1..=plan.rounds {
        let pause = plan.pause();
        sleep(pause).await;
        stage.database()?.kill().await?;
        sleep(plan.pause()).await;
        stage.database()?.start().await?;
        eprintln!("kill {round} after {pause:?}");
    }
    sleep(plan.pause()).await;
    let sent = load.stop().await?;
    judge(plan.rounds, &stage, &mut house, &sent).await
}
