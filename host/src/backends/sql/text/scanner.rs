//! The tokens of a text.

use std::ops::Range;

use super::{Dialect, Result, invalid};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Token {
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
pub struct Scanner<'a> {
    /// Whose rules hold.
    pub dialect: Dialect,
    /// The text.
    pub sql: &'a str,
    /// How far it was read.
    pub at: usize,
}

impl Iterator for Scanner<'_> {
    type Item = Result<(Token, Range<usize>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.sql.as_bytes();
        loop {
            let rest = &bytes[self.at..];
            match rest {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x0c, ..] => self.at += 1,
                [b'-', b'-', ..] => self.at = self.behind(self.at + 2, |byte| self.ends_line(byte)),
                [b'/', b'*', ..] => {
                    if let Err(error) = self.comment() {
                        return Some(Err(error));
                    }
                }
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
    fn is_sqlite(&self) -> bool {
        self.dialect == Dialect::Sqlite
    }

    fn ends_line(&self, byte: u8) -> bool {
        byte == b'\n' || byte == b'\r' && !self.is_sqlite()
    }

    /// Go behind a comment; PostgreSQL's may hold others.
    fn comment(&mut self) -> Result<()> {
        let bytes = self.sql.as_bytes();
        let mut depth = 0;
        while let Some(pair) = bytes.get(self.at..self.at + 2) {
            self.at += 2;
            match pair {
                b"/*" if depth == 0 || !self.is_sqlite() => depth += 1,
                b"*/" => depth -= 1,
                _ => self.at -= 1,
            }
            if depth == 0 {
                return Ok(());
            }
        }
        Err(invalid("a comment has no end"))
    }

    fn token(&mut self, first: u8) -> Result<Token> {
        let start = self.at;
        self.at += 1;
        match first {
            b'\'' | b'"' => self.quoted(first).map(|()| Token::Other),
            b'`' if self.is_sqlite() => self.quoted(first).map(|()| Token::Other),
            b'[' if self.is_sqlite() => match self.sql[self.at..].find(']') {
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
            b'?' | b':' | b'@' | b'#' if self.is_sqlite() => {
                Err(invalid("parameters are written `$1`, `$2` and so on"))
            }
            b'x' | b'X' if self.sql.as_bytes().get(self.at) == Some(&b'\'') => {
                self.at += 1;
                self.quoted(b'\'').map(|()| Token::Other)
            }
            b'e' | b'E'
                if !self.is_sqlite() && self.sql.as_bytes().get(self.at) == Some(&b'\'') =>
            {
                self.at += 1;
                self.escaped().map(|()| Token::Other)
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

    /// Go behind the closing quote of a text in which a backslash takes the next byte along.
    fn escaped(&mut self) -> Result<()> {
        let bytes = self.sql.as_bytes();
        loop {
            match (bytes.get(self.at), bytes.get(self.at + 1)) {
                (Some(b'\\'), Some(_)) | (Some(b'\''), Some(b'\'')) => self.at += 2,
                (Some(b'\''), _) => {
                    self.at += 1;
                    return Ok(());
                }
                (Some(_), _) => self.at += 1,
                (None, _) => return Err(invalid("a quote has no end")),
            }
        }
    }

    /// Go behind a text in dollars, `$tag$ ... $tag$`, whose first dollar has been read.
    fn dollars(&mut self) -> Result<Token> {
        let start = self.at - 1;
        let tag = self.behind(self.at, |byte| byte == b'$' || !name_byte(byte));
        if self.sql.as_bytes().get(tag) != Some(&b'$') {
            return Err(invalid("parameters are written `$1`, `$2` and so on"));
        }
        let mark = &self.sql[start..=tag];
        match self.sql[tag + 1..].find(mark) {
            Some(end) => {
                self.at = tag + 1 + end + mark.len();
                Ok(Token::Other)
            }
            None => Err(invalid("a quote has no end")),
        }
    }

    fn param(&mut self) -> Result<Token> {
        let digit = self.sql.as_bytes().get(self.at).is_some_and(u8::is_ascii_digit);
        if !digit && !self.is_sqlite() {
            return self.dollars();
        }
        let end = self.behind(self.at, |byte| !name_byte(byte));
        let number: usize = self.sql[self.at..end].parse().unwrap_or(0);
        let next = self.sql.as_bytes().get(end);
        self.at = end;
        let more = self.is_sqlite() && matches!(next, Some(b'(' | b':'));
        if number == 0 || number > 32_766 || more {
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

/// What both take for a part of a name.
fn name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}
