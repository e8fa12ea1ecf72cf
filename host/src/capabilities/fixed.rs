//! The clocks and the chance of a guest in a [`Fixed`] world.

use std::{convert::Infallible, sync::Arc, time::Duration};

use rand_core::TryRng;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder};

use crate::world::Fixed;

/// Hash tables of guests are seeded with it.
const SEED: u128 = 0x7472_656c_6c69_7300;

/// Let a guest see this world. What is random comes from one source for all instances, so that no
/// two of them draw the same.
pub fn settle(builder: &mut WasiCtxBuilder, world: &Arc<Fixed>) {
    builder
        .wall_clock(Wall(world.clone()))
        .monotonic_clock(Steady(world.clone()))
        .secure_random(Chance(world.clone()))
        .insecure_random(Chance(world.clone()))
        .insecure_random_seed(SEED);
}

struct Wall(Arc<Fixed>);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now_ms())
    }
}

struct Steady(Arc<Fixed>);

impl HostMonotonicClock for Steady {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

struct Chance(Arc<Fixed>);

impl TryRng for Chance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}
