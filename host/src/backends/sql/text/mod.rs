//! What a statement's text may say, in either dialect.
//!
//! A text is let through only when it begins with a word that can do no more than read and change
//! the plugin's own tables. On SQLite, which runs in a process that can open any file, this is the
//! wall: `ATTACH`, `PRAGMA`, `VACUUM INTO` and the words that begin and end transactions are not
//! among them, nor behind `EXPLAIN` (SQLite runs some pragmas while it compiles them). On PostgreSQL
//! the wall is the plugin's role; here its texts are kept to what a pool of connections and the
//! host's transactions can bear: no `SET`, no `ALTER ROLE`, no functions. The scanner cuts a text
//! into tokens exactly as the database does, or refuses it where they could differ.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use super::{Dialect, Error, Result};

mod scanner;
#[cfg(test)]
mod tests;

use scanner::{Scanner, Token};

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
    /// Whether a word of it changes rows, if only in a part of a query.
    pub changes: bool,
    /// Where the numbers of its parameters stand, without the `$`.
    slots: Vec<(Range<usize>, usize)>,
    repeated: [OnceLock<Arc<str>>; REPEATS.len()],
}

/// How often [`Text::repeated`] may hold its statement, most first.
pub const REPEATS: [usize; 3] = [64, 16, 4];

impl Text {
    /// Check the text of one statement.
    pub fn one(dialect: Dialect, sql: &str) -> Result<Self> {
        let mut pieces = pieces(dialect, sql)?;
        match (pieces.pop(), pieces.is_empty()) {
            (Some(only), true) => only.into_text(sql),
            (None, _) => Err(invalid("the statement is empty")),
            (Some(_), false) => {
                Err(invalid("there is more than one statement; use `batch` or separate calls"))
            }
        }
    }

    /// Check any number of statements, for a migration. They take no parameters.
    pub fn many(dialect: Dialect, sql: &str) -> Result<Vec<Self>> {
        let texts: Result<Vec<_>> =
            pieces(dialect, sql)?.into_iter().map(|piece| piece.into_text(sql)).collect();
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
                text += &self.with_params(|number| format!("${}", number + repeat * self.params));
                text.push_str("\n;");
            }
            text.into()
        };
        self.repeated[size].get_or_init(build).clone()
    }

    /// The statement with something else in the place of each parameter.
    pub fn with_params(&self, write: impl Fn(usize) -> String) -> String {
        let (mut text, mut from) = (String::with_capacity(self.sql.len()), 0);
        for (at, number) in &self.slots {
            text.push_str(&self.sql[from..at.start - 1]);
            text.push_str(&write(*number));
            from = at.end;
        }
        text.push_str(&self.sql[from..]);
        text
    }
}

/// One statement within a longer text.
struct Piece {
    dialect: Dialect,
    at: Range<usize>,
    /// Its first words, as many as it takes to know what it does.
    first: Option<Word>,
    kind: Option<Kind>,
    /// Inside the body of a trigger, where semicolons do not end the statement.
    trigger: bool,
    depth: usize,
    /// See [`Text::changes`].
    changes: bool,
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
    /// PostgreSQL's `CREATE`, `ALTER` or `DROP`: what kind of thing comes next.
    Thing,
    /// Nothing more to learn.
    Settled,
}

/// What a plugin may make on PostgreSQL, and the words that may stand before it. Functions are not
/// among them: their bodies are texts that nobody has looked at.
const THINGS: [&str; 7] = ["table", "index", "view", "sequence", "type", "domain", "statistics"];
const BEFORE_THINGS: [&str; 6] =
    ["or", "replace", "unique", "unlogged", "materialized", "recursive"];

impl Piece {
    fn new(dialect: Dialect, at: Range<usize>) -> Self {
        Self {
            dialect,
            at,
            first: None,
            kind: None,
            trigger: false,
            depth: 0,
            changes: false,
            params: 0,
            slots: Vec::new(),
        }
    }

    fn word(&mut self, word: &str) -> Result<()> {
        let is = |other: &str| word.eq_ignore_ascii_case(other);
        self.changes |= ["insert", "update", "delete", "merge"].into_iter().any(is);
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
            Some(Word::Thing) if BEFORE_THINGS.into_iter().any(is) => Ok(()),
            Some(Word::Thing) if THINGS.into_iter().any(is) => {
                self.first = Some(Word::Settled);
                Ok(())
            }
            Some(Word::Thing) => Err(invalid(&format!(
                "`{word}` cannot be made or changed by a plugin; use one of: {}",
                THINGS.join(", ")
            ))),
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
            "create" | "alter" | "drop" if self.dialect == Dialect::Postgres => {
                (Word::Thing, Some(Kind::Define))
            }
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
            changes: self.changes,
            params: self.params,
            slots: self.slots.into_iter().map(shift).collect(),
            repeated: Default::default(),
        })
    }
}

/// Cut a text into its statements.
fn pieces(dialect: Dialect, sql: &str) -> Result<Vec<Piece>> {
    refuse_anywhere(sql)?;
    let mut pieces = Vec::new();
    let mut piece: Option<Piece> = None;
    // Within a trigger: whether the next word is the first one behind a semicolon.
    let mut fresh = false;
    for token in (Scanner { dialect, sql, at: 0 }) {
        let (kind, at) = token?;
        let current = match (&mut piece, kind) {
            (None, Token::Semicolon) => return Err(invalid("a statement is empty")),
            (none @ None, _) => none.insert(Piece::new(dialect, at.clone())),
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
    // This function of SQLite's takes the address of native code from a parameter.
    let name = b"fts3_tokenizer";
    if sql.as_bytes().windows(name.len()).any(|window| window.eq_ignore_ascii_case(name)) {
        return Err(invalid("`fts3_tokenizer` cannot be used"));
    }
    Ok(())
}

fn invalid(reason: &str) -> Error {
    Error::Invalid(reason.to_owned())
}
