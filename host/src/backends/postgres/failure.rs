//! What a failure of the server means. Codes:
//! <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use sqlx::{Error, error::DatabaseError, postgres::PgDatabaseError};

/// A failure, by what whoever asked can do about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The statement is wrong; the server's own words.
    Invalid(String),
    /// It met a constraint; the server's own words.
    Constraint(String),
    /// It met another transaction.
    Conflict,
    /// It was compiled for tables that have changed since.
    Stale,
    /// It changes something where that is not possible: on a server that follows another.
    ReadOnly,
    /// It took longer than the server lets any.
    CutOff,
    /// The server is away, overloaded, full, or broke it off; a sentence for guests.
    Unavailable(&'static str),
    /// The transaction has ended.
    Finished,
    /// Nobody gets in with this name and password.
    Refused,
}

impl Failure {
    /// Whether the connection can be used again.
    pub fn spares_connection(&self, error: &Error) -> bool {
        let code = error.as_database_error().and_then(|error| error.code());
        // A failure without a code did not come from the server, and these end the connection.
        code.is_some_and(|code| !code.starts_with("57P") && !code.starts_with("08"))
            && *self != Self::Stale
    }

    /// What this failure is.
    pub fn of(error: &Error) -> Self {
        let Some(database) = error.as_database_error() else {
            return match error {
                Error::Encode(reason) | Error::Decode(reason) => Self::Invalid(reason.to_string()),
                Error::PoolTimedOut => Self::Unavailable("its connections are all in use"),
                other => {
                    tracing::warn!(error = %other, "a connection to PostgreSQL was lost");
                    Self::Unavailable("the connection was lost")
                }
            };
        };
        let code = database.code().unwrap_or_default();
        let told = Self::by_code(&code, database.message());
        // A role that is not there yet is refused, too; whoever expects none tells of it.
        if let Self::Unavailable(_) = told {
            tracing::warn!(message = database.message(), %code, "PostgreSQL failed");
        }
        told.with_detail(database)
    }

    fn by_code(code: &str, message: &str) -> Self {
        match (code.get(..2).unwrap_or_default(), code) {
            ("23", _) => Self::Constraint(message.to_owned()),
            (_, "40001" | "40P01" | "55P03") => Self::Conflict,
            (_, "0A000") if message.starts_with("cached plan") => Self::Stale,
            (_, "25006") => Self::ReadOnly,
            (_, "25P02" | "25P01" | "25P03") => Self::Finished,
            (_, "57014") => Self::CutOff,
            (_, "53100") => Self::Unavailable("the database is full"),
            ("53", _) => Self::Unavailable("the database has too much to do"),
            ("08" | "57", _) => Self::Unavailable("the database is being shut down or started"),
            ("28", _) => Self::Refused,
            ("58" | "XX" | "F0", _) => Self::Unavailable("the database failed"),
            _ => Self::Invalid(message.to_owned()),
        }
    }

    /// The values that met a constraint stand beside the message.
    fn with_detail(self, database: &dyn DatabaseError) -> Self {
        let detail =
            database.try_downcast_ref::<PgDatabaseError>().and_then(|error| error.detail());
        match (self, detail) {
            (Self::Constraint(message), Some(detail)) => {
                Self::Constraint(format!("{message}: {detail}"))
            }
            (told, _) => told,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_tells_what_can_be_done() {
        let told = |code| Failure::by_code(code, "words");
        assert_eq!(told("23505"), Failure::Constraint("words".into()));
        assert_eq!(told("40P01"), Failure::Conflict);
        assert_eq!(told("42P01"), Failure::Invalid("words".into()));
        assert_eq!(told("25P02"), Failure::Finished);
        assert_eq!(told("28P01"), Failure::Refused);
        for away in ["57P01", "53300", "53100", "08006", "58030", "XX000"] {
            assert!(matches!(told(away), Failure::Unavailable(_)), "{away}");
        }
        assert_eq!(told("0A000"), Failure::Invalid("words".into()));
        let stale = Failure::by_code("0A000", "cached plan must not change result type");
        assert_eq!(stale, Failure::Stale);
    }
}
