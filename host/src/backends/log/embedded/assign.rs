//! Which member of a group reads which partition.
//!
//! Everybody keeps what they have, as far as the shares stay even: only partitions that must move
//! do, so a member that joins or leaves disturbs no other.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// A member's number within the log.
pub type MemberId = u64;

/// Assign partitions, given as (id, topic), to members with the topics they share. `current` is
/// who has a partition now. A partition whose topic nobody shares is left out.
pub fn assign(
    members: &BTreeMap<MemberId, &[Arc<str>]>,
    partitions: &[(u32, Arc<str>)],
    current: &HashMap<u32, MemberId>,
) -> BTreeMap<u32, MemberId> {
    let shares = |member: &MemberId, topic: &Arc<str>| {
        members.get(member).is_some_and(|topics| topics.contains(topic))
    };
    let mut shares_of: BTreeMap<MemberId, Vec<&(u32, Arc<str>)>> =
        members.keys().map(|member| (*member, Vec::new())).collect();
    let mut free = Vec::new();
    for partition in partitions {
        let owner = current.get(&partition.0).filter(|owner| shares(owner, &partition.1));
        match owner.and_then(|owner| shares_of.get_mut(owner)) {
            Some(share) => share.push(partition),
            None => free.push(partition),
        }
    }
    for partition in free {
        let least = shares_of
            .iter_mut()
            .filter(|(member, _)| shares(member, &partition.1))
            .min_by_key(|(member, share)| (share.len(), **member));
        if let Some((_, share)) = least {
            share.push(partition);
        }
    }
    while let Some((from, index, to)) = uneven(&shares_of, shares) {
        let moved = shares_of.get_mut(&from).map(|share| share.remove(index));
        if let (Some(moved), Some(share)) = (moved, shares_of.get_mut(&to)) {
            share.push(moved);
        }
    }
    let owned =
        shares_of.iter().flat_map(|(member, share)| share.iter().map(|(id, _)| (*id, *member)));
    owned.collect()
}

/// A move that evens shares out: the member that has too many, which of its partitions, and the
/// member with the least that may have it. Each such move lowers the sum of squares, so they end.
fn uneven(
    shares_of: &BTreeMap<MemberId, Vec<&(u32, Arc<str>)>>,
    shares: impl Fn(&MemberId, &Arc<str>) -> bool,
) -> Option<(MemberId, usize, MemberId)> {
    let mut by_size: Vec<_> =
        shares_of.iter().map(|(member, share)| (share.len(), *member)).collect();
    by_size.sort_unstable();
    for (size, from) in by_size.iter().rev() {
        for (_, to) in by_size.iter().take_while(|(less, _)| less + 1 < *size) {
            let index = shares_of.get(from)?.iter().rposition(|(_, topic)| shares(to, topic));
            if let Some(index) = index {
                return Some((*from, index, *to));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Members = BTreeMap<MemberId, Vec<Arc<str>>>;

    fn run(
        members: &Members,
        partitions: &[(u32, Arc<str>)],
        current: &BTreeMap<u32, MemberId>,
    ) -> BTreeMap<u32, MemberId> {
        let members = members.iter().map(|(member, topics)| (*member, &topics[..])).collect();
        assign(&members, partitions, &current.iter().map(|(id, member)| (*id, *member)).collect())
    }

    fn partitions(topics: &[u32]) -> Vec<(u32, Arc<str>)> {
        let names = topics.iter().enumerate().flat_map(|(index, count)| {
            (0..*count).map(move |_| Arc::<str>::from(format!("topic-{index}")))
        });
        (0..).zip(names).collect()
    }

    fn sizes(members: &Members, assigned: &BTreeMap<u32, MemberId>) -> Vec<usize> {
        let size = |member: &MemberId| assigned.values().filter(|owner| *owner == member).count();
        members.keys().map(size).collect()
    }

    fn topic_names() -> impl Strategy<Value = Vec<Arc<str>>> {
        prop::collection::vec((0..4u32).prop_map(|index| format!("topic-{index}").into()), 1..4)
    }

    proptest! {
        #[test]
        fn every_partition_goes_to_one_who_shares_its_topic(
            members in prop::collection::btree_map(1..9u64, topic_names(), 0..6),
            counts in prop::collection::vec(0..9u32, 4),
            current in prop::collection::btree_map(0..30u32, 1..9u64, 0..30),
        ) {
            let partitions = partitions(&counts);
            let assigned = run(&members, &partitions, &current);
            for (id, topic) in &partitions {
                let wanted = members.values().any(|topics| topics.contains(topic));
                prop_assert_eq!(assigned.contains_key(id), wanted);
                if let Some(owner) = assigned.get(id) {
                    prop_assert!(members[owner].contains(topic));
                }
            }
            prop_assert_eq!(run(&members, &partitions, &assigned), assigned, "it does not settle");
        }

        #[test]
        fn a_join_moves_partitions_only_to_the_new_member(count in 0..40u32, before in 1..8u64) {
            let partitions = partitions(&[count]);
            let topics = || vec![Arc::<str>::from("topic-0")];
            let mut members: Members = (0..before).map(|member| (member, topics())).collect();
            let old = run(&members, &partitions, &BTreeMap::new());
            members.insert(before, topics());
            let new = run(&members, &partitions, &old);
            prop_assert!(new.iter().all(|(id, owner)| *owner == before || old[id] == *owner));
            let sizes = sizes(&members, &new);
            prop_assert!(sizes.iter().max() <= sizes.iter().min().map(|least| least + 1).as_ref());
        }

        #[test]
        fn a_leave_takes_nothing_from_those_who_stay(count in 0..40u32, before in 2..8u64, gone in 0..2u64) {
            let partitions = partitions(&[count]);
            let topics = || vec![Arc::<str>::from("topic-0")];
            let mut members: Members = (0..before).map(|member| (member, topics())).collect();
            let old = run(&members, &partitions, &BTreeMap::new());
            members.remove(&gone);
            let new = run(&members, &partitions, &old);
            prop_assert!(old.iter().all(|(id, owner)| *owner == gone || new[id] == *owner));
            let sizes = sizes(&members, &new);
            prop_assert!(sizes.iter().max() <= sizes.iter().min().map(|least| least + 1).as_ref());
        }
    }
}
