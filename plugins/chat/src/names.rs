//! What somebody may be called, and which names count as the same.

/// The longest name, in characters.
pub const MAX_NAME: usize = 30;

/// Why a name is none. The texts are for people.
pub fn check(name: &str) -> Result<(), &'static str> {
    if name.chars().nth(MAX_NAME).is_some() {
        return Err("a name has at most 30 characters");
    }
    if key(name).is_empty() {
        return Err("a name is needed");
    }
    if name.trim() != name {
        return Err("a name does not begin or end with a space");
    }
    // Emoji are joined and coloured with these two; `key` does without them.
    let is_odd = |c: char| is_hidden(c) && !matches!(c, '\u{200d}' | '\u{fe0f}');
    if name.chars().any(is_odd) {
        return Err("a name has no control characters and no invisible ones");
    }
    Ok(())
}

/// What two names have in common that are the same to a reader.
pub fn key(name: &str) -> String {
    let seen: String = name.chars().filter(|c| !is_hidden(*c)).collect();
    let words: Vec<_> = seen.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// A line or two of a message as it may be shown: without characters that do something else than to
/// be read; `None` when nothing is left.
pub fn clean(text: &str) -> Option<String> {
    let shown = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    let text: String = text.chars().filter(shown).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A short text of one line, such as a reason or a pronoun; `None` when it is too long or empty.
pub fn line(text: &str, most: usize) -> Option<String> {
    let fits = text.chars().nth(most).is_none() && !text.chars().any(is_hidden);
    (fits && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// What cannot be seen, or changes how what follows is seen.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_thirty_one_characters_is_refused() {
        assert_eq!(check(&"é".repeat(30)), Ok(()));
        assert!(check(&"é".repeat(31)).is_err());
        assert!(check(&"x".repeat(1 << 20)).is_err());
    }

    #[test]
    fn a_name_that_cannot_be_read_is_refused() {
        for name in ["", " ", " ada", "ada ", "a\0", "a\nb", "a\u{200b}da", "\u{202e}ada"] {
            assert!(check(name).is_err(), "{name:?}");
        }
        assert_eq!(check("Ada ❤\u{fe0f} 🍍"), Ok(()));
    }

    #[test]
    fn names_that_differ_in_case_and_spaces_are_the_same() {
        assert_eq!(key("Ada  LOVELACE"), key("ada lovelace"));
        assert_eq!(key("ada\u{fe0f}"), key("ada"));
        assert_ne!(key("ada"), key("adá"));
    }

    #[test]
    fn a_message_keeps_its_lines_and_loses_what_is_not_shown() {
        assert_eq!(clean(" a\n\tb\0\u{7} "), Some("a\n\tb".into()));
        assert_eq!(clean("\0 "), None);
    }
}
