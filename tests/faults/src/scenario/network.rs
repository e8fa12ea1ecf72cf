//! A bad network between the host and the servers it stands on.

use anyhow::Result;
use tokio::time::sleep;

use super::{Outcome, Plan, judge};
use crate::{
    load::Load,
    proxy::Fault,
    stage::{Kind, Stage},
};

/// Make the doors to the broker and the database bad in turn, then well again, while clients send.
pub async fn play(plan: &mut Plan) -> Result<Outcome> {
    let mut stage = Stage::new(Kind::Servers).await?;
    let mut house = stage.house("")?;
    house.run().await?;
    let load = Load::start(vec![house.url("/t")]);
    for round in 1..=plan.rounds {
        let fault = Fault::any(&mut plan.random);
        let of_database = plan.random.bool();
        let door = match of_database {
            true => stage.database()?.door(),
            false => stage.cluster()?.door(),
        };
        door.make(fault);
        let pause = plan.pause();
        sleep(pause).await;
        door.make(Fault::None);
        sleep(plan.pause()).await;
        let server = if of_database { "PostgreSQL" } else { "Kafka" };
        eprintln!("fault {round}: {fault:?} before {server} for {pause:?}");
    }
    let sent = load.stop().await?;
    judge(plan.rounds, &stage, &mut house, &sent).await
}
