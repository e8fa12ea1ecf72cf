//! Which partition a key goes to: the same as with Kafka's default partitioner, so that a topic
//! keeps its order when it moves between the two.

/// The partition of a key among `partitions`.
pub fn by_key(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

/// MurmurHash2, 32 bits, with the seed Kafka's clients use.
fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const MIX: u32 = 0x5bd1_e995;

    let mut hash = SEED ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut part = word.iter().rev().fold(0u32, |part, byte| part << 8 | u32::from(*byte));
        part = part.wrapping_mul(MIX);
        part ^= part >> 24;
        hash = hash.wrapping_mul(MIX) ^ part.wrapping_mul(MIX);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0u32, |part, byte| part << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(MIX);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MIX);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_of_kafkas_clients() {
        let known: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("abc", 479_470_107),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }

    #[test]
    fn a_negative_hash_is_made_positive_before_the_remainder() {
        let positive = (-790_332_482_i32 as u32) & 0x7fff_ffff;
        assert_eq!(by_key(b"foobar", 12), positive % 12);
    }
}
