//! How a statement is run: its text as the server gets it, and the types of its parameters.

use std::sync::Arc;

use sqlx::postgres::PgArguments;

use super::param::{self, Slot};
use crate::backends::sql::{
    Error, Result, Value,
    text::{Kind, Text},
};

/// A statement that the server knows.
#[derive(Debug)]
pub struct Plan {
    /// The text.
    pub sql: Arc<str>,
    /// What it does.
    pub kind: Kind,
    /// How each parameter is written.
    pub slots: Vec<Slot>,
}

impl Plan {
    /// Parameters whose type has a name in `casts` come as texts, and the text says so.
    pub fn new(text: &Text, slots: Vec<Slot>, casts: &[Option<String>]) -> Self {
        let sql = if casts.iter().all(Option::is_none) {
            text.sql.clone()
        } else {
            let write = |number: usize| match casts.get(number - 1) {
                Some(Some(name)) => format!("((${number}::pg_catalog.text)::{name})"),
                _ => format!("${number}"),
            };
            text.with_params(write).into()
        };
        Self { sql, kind: text.kind, slots }
    }

    /// The parameters as the server wants them.
    pub fn arguments(&self, params: Vec<Value>) -> Result<PgArguments> {
        let (uses, given) = (self.slots.len(), params.len());
        if uses != given {
            return Err(Error::Invalid(format!(
                "the statement uses {uses} parameters and {given} were given"
            )));
        }
        param::arguments(&self.slots, params)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::backends::sql::Dialect;

    #[test]
    fn a_parameter_of_another_type_is_cast_where_it_stands() {
        let text = Text::one(Dialect::Postgres, "SELECT $1, '$2', $2, $$ $1 $$").unwrap();
        let casts = [None, Some("numeric".to_owned())];
        let plan = Plan::new(&text, vec![Slot::Text, Slot::Cast], &casts);
        assert_eq!(&*plan.sql, "SELECT $1, '$2', (($2::pg_catalog.text)::numeric), $$ $1 $$");
    }
}
