//! What a statement's text may say.
//!
//! A plugin's statements run in a process that can open any file, so a text is let through only
//! when it begins with a word that can do no more than read and change the plugin's own tables.
//! `ATTACH`, `PRAGMA`, `VACUUM INTO` and the words that begin and end transactions are not among
//! them, nor behind `EXPLAIN` (SQLite runs some pragmas while it compiles them). The scanner cuts a
//! text into tokens exactly as SQLite does, or refuses it where they could differ.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use crate::backends::sql::{Error, Result};

/// What a statement does, by its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only reads.
    Read,
    /// It changes rows.
    Write,
    /// It changes the schema.
    Define,
}

/// A text that may run.
#[derive(Debug)]
pub struct Text {
    /// The text, without the semicolon behind it.
    pub sql: Arc<str>,
    /// What it does.
    pub kind: Kind,
    /// The highest parameter.
    pub params: usize,
    /// Where the numbers of its parameters stand, without the `$`.
    slots: Vec<(Range<usize>, usize)>,
    repeated: [OnceLock<Arc<str>>; REPEATS.len()],
}

/// How often [`Text::repeated`] may hold its statement, most first.
pub const REPEATS: [usize; 3] = [64, 16, 4];

impl Text {
    /// Check the text of one statement.
    pub fn one(sql: &str) -> Result<Self> {
        let mut pieces = pieces(sql)?;
        match (pieces.pop(), pieces.is_empty()) {
            (Some(only), true) => only.into_text(sql),
            (None, _) => Err(invalid("the statement is empty")),
            (Some(_), false) => {
                Err(invalid("there is more than one statement; use `batch` or separate calls"))
            }
        }
    }

    /// Check any number of statements, for a migration. They take no parameters.
    pub fn many(sql: &str) -> Result<Vec<Self>> {
        let texts: Result<Vec<_>> =
            pieces(sql)?.into_iter().map(|piece| piece.into_text(sql)).collect();
        let texts = texts?;
        if texts.iter().any(|text| text.params > 0) {
            return Err(invalid("a migration has no parameters"));
        }
        Ok(texts)
    }

    /// The statement `REPEATS[size]` times, each with parameters of its own, so that as many of
    /// a batch take one trip to the thread of the connection.
    pub fn repeated(&self, size: usize) -> Arc<str> {
        let build = || {
            let mut text = String::with_capacity((self.sql.len() + 8) * REPEATS[size]);
            for repeat in 0..REPEATS[size] {
                let mut from = 0;
                for (at, number) in &self.slots {
                    text.push_str(&self.sql[from..at.start]);
                    text.push_str(&(number + repeat * self.params).to_string());
                    from = at.end;
                }
                text.push_str(&self.sql[from..]);
                text.push_str("\n;");
            }
            text.into()
        };
        self.repeated[size].get_or_init(build).clone()
    }
}

/// One statement within a longer text.
#[derive(Default)]
struct Piece {
    at: Range<usize>,
    /// Its first words, as many as it takes to know what it does.
    first: Option<Word>,
    kind: Option<Kind>,
    /// Inside the body of a trigger, where semicolons do not end the statement.
    trigger: bool,
    depth: usize,
    params: usize,
    slots: Vec<(Range<usize>, usize)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Word {
    /// `EXPLAIN`, `QUERY PLAN` behind it, `WITH`: the word that counts comes later.
    Explain,
    With,
    /// `CREATE`, with `TEMP` or `TEMPORARY` behind it: a trigger may follow.
    Create,
    /// Nothing more to learn.
    Settled,
}

impl Piece {
    fn word(&mut self, word: &str) -> Result<()> {
        let is = |other: &str| word.eq_ignore_ascii_case(other);
        match self.first {
            None => self.first_word(word),
            Some(Word::Explain) if is("query") || is("plan") => Ok(()),
            Some(Word::Explain) => {
                self.first_word(word)?;
                self.kind = Some(Kind::Read);
                Ok(())
            }
            Some(Word::With) if self.depth == 0 => {
                self.kind = match word {
                    _ if is("select") || is("values") => Some(Kind::Read),
                    _ if is("insert") || is("replace") || is("update") || is("delete") => {
                        Some(Kind::Write)
                    }
                    _ => return Ok(()),
                };
                self.first = Some(Word::Settled);
                Ok(())
            }
            Some(Word::Create) if is("temp") || is("temporary") => Ok(()),
            Some(Word::Create) => {
                self.trigger = is("trigger");
                self.first = Some(Word::Settled);
                Ok(())
            }
            Some(_) => Ok(()),
        }
    }

    fn first_word(&mut self, word: &str) -> Result<()> {
        let lower = word.to_ascii_lowercase();
        let (first, kind) = match lower.as_str() {
            "select" | "values" => (Word::Settled, Some(Kind::Read)),
            "insert" | "replace" | "update" | "delete" => (Word::Settled, Some(Kind::Write)),
            "with" => (Word::With, None),
            "create" => (Word::Create, Some(Kind::Define)),
            "alter" | "drop" | "reindex" | "analyze" => (Word::Settled, Some(Kind::Define)),
            "explain" if self.first.is_none() => (Word::Explain, None),
            "begin" | "commit" | "end" | "rollback" | "savepoint" | "release" => {
                return Err(invalid(&format!(
                    "`{lower}` cannot be used as a statement; transactions are opened and ended by calls"
                )));
            }
            _ => return Err(invalid(&format!("`{word}` cannot be used as a statement"))),
        };
        (self.first, self.kind) = (Some(first), kind);
        Ok(())
    }

    /// The first word behind a semicolon in the body of a trigger.
    fn body_word(&mut self, word: &str) -> Result<()> {
        match word.to_ascii_lowercase().as_str() {
            "end" => self.trigger = false,
            "select" | "values" | "insert" | "replace" | "update" | "delete" | "with" => {}
            _ => return Err(invalid(&format!("`{word}` cannot be used in a trigger"))),
        }
        Ok(())
    }

    fn into_text(self, sql: &str) -> Result<Text> {
        let start = self.at.start;
        let shift =
            |(at, number): (Range<usize>, usize)| (at.start - start..at.end - start, number);
        Ok(Text {
            sql: sql[self.at].into(),
            kind: self.kind.ok_or_else(|| invalid("the statement is not complete"))?,
            params: self.params,
            slots: self.slots.into_iter().map(shift).collect(),
            repeated: Default::default(),
        })
    }
}

/// Cut a text into its statements.
fn pieces(sql: &str) -> Result<Vec<Piece>> {
    refuse_anywhere(sql)?;
    let mut pieces = Vec::new();
    let mut piece: Option<Piece> = None;
    // Within a trigger: whether the next word is the first one behind a semicolon.
    let mut fresh = false;
    for token in (Scanner { sql, at: 0 }) {
        let (kind, at) = token?;
        let current = match (&mut piece, kind) {
            (None, Token::Semicolon) => return Err(invalid("a statement is empty")),
            (none @ None, _) => none.insert(Piece { at: at.clone(), ..Piece::default() }),
            (Some(current), _) => current,
        };
        if kind == Token::Semicolon {
            fresh = current.trigger;
            if !fresh {
                pieces.extend(piece.take());
            }
            continue;
        }
        current.at.end = at.end;
        match kind {
            Token::Word if fresh => current.body_word(&sql[at])?,
            Token::Word => current.word(&sql[at])?,
            Token::Open => current.depth += 1,
            Token::Close => current.depth = current.depth.saturating_sub(1),
            Token::Param(number) => {
                current.params = current.params.max(number);
                current.slots.push((at.start + 1..at.end, number));
            }
            Token::Other if current.first.is_none() => {
                return Err(invalid("a statement begins with a word"));
            }
            Token::Other | Token::Semicolon => {}
        }
        fresh = false;
    }
    match piece {
        Some(open) if open.trigger => Err(invalid("the trigger is not complete")),
        last => {
            pieces.extend(last);
            Ok(pieces)
        }
    }
}

/// What is refused wherever it stands.
fn refuse_anywhere(sql: &str) -> Result<()> {
    // SQLite ends a text at a NUL, and takes this mark for a blank.
    if sql.contains(['\0', '\u{feff}']) {
        return Err(invalid("there is a control character in the text"));
    }
    // This function takes the address of native code from a parameter.
    let name = b"fts3_tokenizer";
    if sql.as_bytes().windows(name.len()).any(|window| window.eq_ignore_ascii_case(name)) {
        return Err(invalid("`fts3_tokenizer` cannot be used"));
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    /// A keyword or a bare name.
    Word,
    /// `$` and a number from 1.
    Param(usize),
    Open,
    Close,
    Semicolon,
    /// A literal, a quoted name, an operator.
    Other,
}

/// The tokens of a text without its blanks and comments.
struct Scanner<'a> {
    sql: &'a str,
    at: usize,
}

impl Iterator for Scanner<'_> {
    type Item = Result<(Token, Range<usize>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.sql.as_bytes();
        loop {
            let rest = &bytes[self.at..];
            match rest {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x0c, ..] => self.at += 1,
                [b'-', b'-', ..] => self.at = self.behind(self.at + 2, |byte| byte == b'\n'),
                [b'/', b'*', ..] => match self.sql[self.at + 2..].find("*/") {
                    Some(end) => self.at += 2 + end + 2,
                    None => return Some(Err(invalid("a comment has no end"))),
                },
                [] => return None,
                _ => break,
            }
        }
        let start = self.at;
        let token = self.token(bytes[start]);
        Some(token.map(|token| (token, start..self.at)))
    }
}

impl Scanner<'_> {
    fn token(&mut self, first: u8) -> Result<Token> {
        let start = self.at;
        self.at += 1;
        match first {
            b'\'' | b'"' | b'`' => self.quoted(first).map(|()| Token::Other),
            b'[' => match self.sql[self.at..].find(']') {
                Some(end) => {
                    self.at += end + 1;
                    Ok(Token::Other)
                }
                None => Err(invalid("a quoted name has no end")),
            },
            b'(' => Ok(Token::Open),
            b')' => Ok(Token::Close),
            b';' => Ok(Token::Semicolon),
            b'$' => self.param(),
            b'?' | b':' | b'@' | b'#' => {
                Err(invalid("parameters are written `$1`, `$2` and so on"))
            }
            b'x' | b'X' if self.sql.as_bytes().get(self.at) == Some(&b'\'') => {
                self.at += 1;
                self.quoted(b'\'').map(|()| Token::Other)
            }
            _ if name_byte(first) => {
                self.at = self.behind(self.at, |byte| !name_byte(byte)).max(start + 1);
                if first.is_ascii_digit() { Ok(Token::Other) } else { Ok(Token::Word) }
            }
            0..0x20 | 0x7f => Err(invalid("there is a control character in the text")),
            _ => Ok(Token::Other),
        }
    }

    /// Go behind the closing quote; a doubled one does not close.
    fn quoted(&mut self, quote: u8) -> Result<()> {
        let bytes = self.sql.as_bytes();
        loop {
            let Some(end) = bytes[self.at..].iter().position(|byte| *byte == quote) else {
                return Err(invalid("a quote has no end"));
            };
            self.at += end + 1;
            match bytes.get(self.at) {
                Some(next) if *next == quote => self.at += 1,
                _ => return Ok(()),
            }
        }
    }

    fn param(&mut self) -> Result<Token> {
        let end = self.behind(self.at, |byte| !name_byte(byte));
        let number: usize = self.sql[self.at..end].parse().unwrap_or(0);
        let next = self.sql.as_bytes().get(end);
        self.at = end;
        if number == 0 || number > 32_766 || matches!(next, Some(b'(' | b':')) {
            return Err(invalid("parameters are written `$1`, `$2` and so on"));
        }
        Ok(Token::Param(number))
    }

    /// The first place from `from` where `stop` holds, or the end.
    fn behind(&self, from: usize, stop: impl Fn(u8) -> bool) -> usize {
        let rest = self.sql.as_bytes().get(from..).unwrap_or_default();
        from + rest.iter().position(|byte| stop(*byte)).unwrap_or(rest.len())
    }
}

/// What SQLite takes for a part of a name.
fn name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

fn invalid(reason: &str) -> Error {
    Error::Invalid(reason.to_owned())
}
