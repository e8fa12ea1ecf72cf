//! Groups: who is a member, and which member has which partition.
//!
//! A partition moves in three steps, so that no two members ever read it at once: its owner is
//! told, the owner lets go (or is late, and fenced), the next one gets it. Partitions that stay
//! are not touched.
//!
//! ```text
//! owner A ── rebalance ──▶ leaving ── `done` dropped, A left, or deadline ──▶ free ──▶ owner B
//! ```

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
    time,
};

use super::{
    super::{self as log, Error, Result},
    assign::{MemberId, assign},
    claim::Claim,
    partition::Partition,
    topics::Topics,
};

/// All groups that have members.
pub struct Groups {
    this: Weak<Groups>,
    topics: Arc<ArcSwap<Topics>>,
    /// How long a member may keep a partition that goes to another.
    deadline: Duration,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    groups: HashMap<Arc<str>, Group>,
    /// The last number given to a member or a claim.
    last: u64,
}

#[derive(Default)]
struct Group {
    seats: BTreeMap<MemberId, Seat>,
    holdings: HashMap<u32, Holding>,
}

/// A member, and what it was not told yet.
struct Seat {
    topics: Vec<Arc<str>>,
    granted: Vec<Claim>,
    revoked: VecDeque<Revocation>,
    wake: Arc<Notify>,
}

/// Partitions that a member has to let go; dropping `done` says that it did.
pub struct Revocation {
    /// The partitions.
    pub partitions: Vec<log::Partition>,
    /// Dropped when they are let go.
    pub done: oneshot::Sender<()>,
}

/// What a member is to be told.
pub enum Told {
    /// It has these now.
    Granted(Vec<Claim>),
    /// It loses these.
    Revoked(Revocation),
}

/// Who has a partition.
struct Holding {
    owner: Option<Owner>,
    /// Who should have it.
    target: MemberId,
}

struct Owner {
    member: MemberId,
    epoch: u64,
    leaving: bool,
}

impl Groups {
    /// No groups yet. Revocations run on the runtime this is called in.
    pub fn new(topics: Arc<ArcSwap<Topics>>, deadline: Duration, runtime: Handle) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            topics,
            deadline,
            runtime,
            state: Mutex::default(),
        })
    }

    /// Add a member; what wakes it when it is to be told something comes with it.
    pub fn join(&self, group: &Arc<str>, topics: Vec<Arc<str>>) -> (MemberId, Arc<Notify>) {
        let mut state = self.state();
        let (member, wake) = (state.number(), Arc::new(Notify::new()));
        let seat =
            Seat { topics, granted: Vec::new(), revoked: VecDeque::new(), wake: Arc::clone(&wake) };
        state.groups.entry(Arc::clone(group)).or_default().seats.insert(member, seat);
        self.rebalance(&mut state, group);
        (member, wake)
    }

    /// Remove a member; its partitions are free at once.
    pub fn leave(&self, group: &Arc<str>, member: MemberId) {
        let mut state = self.state();
        let Some(entry) = state.groups.get_mut(group) else {
            return;
        };
        entry.seats.remove(&member);
        for holding in entry.holdings.values_mut() {
            holding.owner.take_if(|owner| owner.member == member);
        }
        if entry.seats.is_empty() {
            state.groups.remove(group);
        } else {
            self.rebalance(&mut state, group);
        }
    }

    /// The next thing a member is to be told.
    pub fn tell(&self, group: &Arc<str>, member: MemberId) -> Option<Told> {
        let mut state = self.state();
        let seat = state.groups.get_mut(group)?.seats.get_mut(&member)?;
        if let Some(revocation) = seat.revoked.pop_front() {
            return Some(Told::Revoked(revocation));
        }
        let granted = std::mem::take(&mut seat.granted);
        (!granted.is_empty()).then_some(Told::Granted(granted))
    }

    /// Topics were created: members that wait for them get their partitions.
    pub fn topics_changed(&self) {
        let mut state = self.state();
        let names: Vec<_> = state.groups.keys().cloned().collect();
        names.iter().for_each(|group| self.rebalance(&mut state, group));
    }

    /// Do something while no member of the group reads the topic, and none can begin to.
    ///
    /// # Errors
    /// [`Error::GroupBusy`] when one does.
    pub fn while_idle<T>(&self, group: &str, topic: &str, work: impl FnOnce() -> T) -> Result<T> {
        let state = self.state();
        let reads = |seat: &Seat| seat.topics.iter().any(|own| **own == *topic);
        if state.groups.get(group).is_some_and(|group| group.seats.values().any(reads)) {
            return Err(Error::GroupBusy(group.to_owned()));
        }
        Ok(work())
    }

    /// All partitions that somebody has or will get, with their group.
    pub fn held(&self) -> Vec<(Arc<str>, u32)> {
        let state = self.state();
        let groups = state.groups.iter();
        groups
            .flat_map(|(name, group)| group.holdings.keys().map(|id| (Arc::clone(name), *id)))
            .collect()
    }

    /// Free what these claims hold, unless it went on already.
    fn release(&self, group: &Arc<str>, claims: &[(u32, u64)]) {
        let mut state = self.state();
        let Some(entry) = state.groups.get_mut(group) else {
            return;
        };
        for (partition, epoch) in claims {
            if let Some(holding) = entry.holdings.get_mut(partition) {
                holding.owner.take_if(|owner| owner.epoch == *epoch);
            }
        }
        self.rebalance(&mut state, group);
    }

    /// Move towards an even assignment as far as owners allow.
    fn rebalance(&self, state: &mut State, name: &Arc<str>) {
        let State { groups, last } = state;
        let Some(group) = groups.get_mut(name) else {
            return;
        };
        let topics = self.topics.load();
        let partitions = group.partitions(&topics);
        let mut leaving: BTreeMap<MemberId, Vec<(Arc<Partition>, u64)>> = BTreeMap::new();
        let assignment = group.assign(&partitions);
        group.holdings.retain(|id, _| assignment.contains_key(id));
        for (id, target) in assignment {
            let Some(partition) = partitions.get(&id) else {
                continue;
            };
            let holding = group.holdings.entry(id).or_insert(Holding { owner: None, target });
            holding.target = target;
            match &mut holding.owner {
                Some(owner) if owner.member == target || owner.leaving => continue,
                Some(owner)
                    if !group
                        .seats
                        .get_mut(&owner.member)
                        .is_some_and(|seat| seat.take_back(id)) =>
                {
                    owner.leaving = true;
                    leaving
                        .entry(owner.member)
                        .or_default()
                        .push((Arc::clone(partition), owner.epoch));
                    continue;
                }
                _ => {}
            }
            *last += 1;
            holding.owner = Some(Owner { member: target, epoch: *last, leaving: false });
            if let Some(seat) = group.seats.get_mut(&target) {
                let claim = Claim {
                    group: Arc::clone(name),
                    partition: Arc::clone(partition),
                    epoch: *last,
                };
                seat.granted.push(claim);
                seat.wake.notify_one();
            }
        }
        for (member, claims) in leaving {
            if let Some(seat) = group.seats.get_mut(&member) {
                seat.revoked.push_back(self.revoke(name, claims));
                seat.wake.notify_one();
            }
        }
    }

    /// Free partitions once their owner lets go of them, or is late.
    fn revoke(&self, group: &Arc<str>, claims: Vec<(Arc<Partition>, u64)>) -> Revocation {
        let (done, released) = oneshot::channel();
        let partition = |(partition, _): &(Arc<Partition>, u64)| partition.describe();
        let partitions = claims.iter().map(partition).collect();
        let claims: Vec<_> =
            claims.iter().map(|(partition, epoch)| (partition.id, *epoch)).collect();
        let (groups, group, deadline) = (Weak::clone(&self.this), Arc::clone(group), self.deadline);
        self.runtime.spawn(async move {
            if time::timeout(deadline, released).await.is_err() {
                tracing::warn!(%group, "a member was late to let partitions go and lost them");
            }
            if let Some(groups) = groups.upgrade() {
                groups.release(&group, &claims);
            }
        });
        Revocation { partitions, done }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl Group {
    /// The partitions of all topics that somebody shares, by id.
    fn partitions(&self, topics: &Topics) -> BTreeMap<u32, Arc<Partition>> {
        let names = self.seats.values().flat_map(|seat| &seat.topics);
        let partitions =
            names.filter_map(|name| topics.get(name).ok()).flat_map(|topic| &topic.partitions);
        partitions.map(|partition| (partition.id, Arc::clone(partition))).collect()
    }

    fn assign(&self, partitions: &BTreeMap<u32, Arc<Partition>>) -> BTreeMap<u32, MemberId> {
        let members = self.seats.iter().map(|(member, seat)| (*member, &seat.topics[..])).collect();
        let partitions: Vec<_> =
            partitions.iter().map(|(id, partition)| (*id, Arc::clone(&partition.topic))).collect();
        // Who will have it counts, not who still does: a second change must not move it again.
        let current = self.holdings.iter().map(|(id, holding)| (*id, holding.target)).collect();
        assign(&members, &partitions, &current)
    }
}

impl Seat {
    /// Take back a partition that the member was not told of yet.
    fn take_back(&mut self, partition: u32) -> bool {
        let before = self.granted.len();
        self.granted.retain(|claim| claim.partition.id != partition);
        self.granted.len() < before
    }
}
