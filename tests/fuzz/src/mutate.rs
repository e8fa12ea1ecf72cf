//! Makes a wrong input of a right one.

use fastrand::Rng;

/// The most changes to one input.
const CHANGES: usize = 8;
/// The longest run of bytes that is changed at once.
const RUN: usize = 64;
/// Numbers that lengths and counts are replaced with.
const NUMBERS: [u32; 6] = [0, 1, 0x7f, 0xffff, 0x7fff_ffff, 0xffff_ffff];

/// A changed, cut or made-up input. The same `random` makes the same input.
pub fn mutate(seed: &[u8], others: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    match random.u8(..20) {
        0 => (0..random.usize(..512)).map(|_| random.u8(..)).collect(),
        1..=3 => seed[..random.usize(..=seed.len())].to_vec(),
        _ => {
            let mut bytes = seed.to_vec();
            for _ in 0..random.usize(1..=CHANGES) {
                change(&mut bytes, others, random);
            }
            bytes
        }
    }
}

fn change(bytes: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Rng) {
    let at = random.usize(..=bytes.len());
    let run = at..(at + random.usize(..RUN)).min(bytes.len());
    match random.u8(..7) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.u8(..8);
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.u8(..);
            }
        }
        2 => drop(bytes.drain(run)),
        3 => {
            let copy = bytes[run].to_vec();
            bytes.splice(at..at, copy);
        }
        4 => {
            let made_up: Vec<u8> = (0..random.usize(..RUN)).map(|_| random.u8(..)).collect();
            bytes.splice(at..at, made_up);
        }
        5 => {
            let number = NUMBERS[random.usize(..NUMBERS.len())].to_le_bytes();
            let end = (at + number.len()).min(bytes.len());
            bytes.splice(at..end, number);
        }
        _ => {
            if let Some(other) = random.choice(others) {
                let from = random.usize(..=other.len());
                let to = (from + random.usize(..RUN)).min(other.len());
                bytes.splice(run, other[from..to].iter().copied());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs_and_they_differ_from_each_other() {
        let others = [b"something else".to_vec()];
        let inputs = |seed| {
            let mut random = Rng::with_seed(seed);
            (0..200).map(|_| mutate(b"an input", &others, &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        let different: std::collections::BTreeSet<Vec<u8>> = inputs(1).into_iter().collect();
        assert!(different.len() > 150, "{}", different.len());
    }

    #[test]
    fn an_empty_input_can_be_changed() {
        let mut random = Rng::with_seed(2);
        for _ in 0..1000 {
            mutate(b"", &[], &mut random);
        }
    }
}
