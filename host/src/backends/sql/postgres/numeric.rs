//! NUMERIC as people write it, from the form that the server sends: a count of digits in base
//! 10,000, the weight of the first, the sign, and how many decimals are shown.

/// The number in decimal digits, or `NaN`, `Infinity`, `-Infinity`; none when it is no such form.
pub fn text(bytes: &[u8]) -> Option<String> {
    let mut words = bytes.chunks_exact(2).map(|word| i16::from_be_bytes([word[0], word[1]]));
    let (count, weight) = (words.next()?, words.next()?);
    let (sign, decimals) = (words.next()? as u16, words.next()?);
    match sign {
        0xC000 => return Some("NaN".into()),
        0xD000 => return Some("Infinity".into()),
        0xF000 => return Some("-Infinity".into()),
        _ => {}
    }
    let digits: Vec<i16> = words.take(usize::try_from(count).ok()?).collect();
    let digit = |place: i32| {
        let at = usize::try_from(i32::from(weight) - place).ok();
        at.and_then(|at| digits.get(at)).copied().unwrap_or(0)
    };
    let mut text = String::from(if sign == 0x4000 { "-" } else { "" });
    let first = i32::from(weight).max(0);
    text += &digit(first).to_string();
    for place in (0..first).rev() {
        text += &format!("{:04}", digit(place));
    }
    let decimals = usize::try_from(decimals).ok()?;
    if decimals > 0 {
        let groups = i32::try_from(decimals.div_ceil(4)).ok()?;
        let all: String = (1..=groups).map(|place| format!("{:04}", digit(-place))).collect();
        text = text + "." + &all[..decimals];
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(weight: i16, sign: u16, decimals: i16, digits: &[i16]) -> Option<String> {
        let head = [digits.len() as i16, weight, sign as i16, decimals];
        let bytes: Vec<u8> =
            head.iter().chain(digits).flat_map(|word| word.to_be_bytes()).collect();
        text(&bytes)
    }

    #[test]
    fn numbers_are_written_with_all_their_digits() {
        assert_eq!(of(0, 0, 0, &[]).as_deref(), Some("0"));
        assert_eq!(of(0, 0, 2, &[]).as_deref(), Some("0.00"));
        assert_eq!(of(1, 0x4000, 3, &[12, 345, 6780]).as_deref(), Some("-120345.678"));
        assert_eq!(of(-2, 0, 8, &[7]).as_deref(), Some("0.00000007"));
        assert_eq!(of(2, 0, 0, &[1]).as_deref(), Some("100000000"));
        assert_eq!(of(0, 0xC000, 0, &[]).as_deref(), Some("NaN"));
        assert_eq!(text(&[0, 1]), None);
    }
}
