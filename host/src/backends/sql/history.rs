//! Which of a generation's migrations a database has not seen: the same rules on every database.

use std::collections::HashSet;

use super::{Error, Migration, MigrationError};

/// What is missing, in order. `applied` has the name and the checksum of each one that is there.
///
/// # Errors
/// When two have one name, when one was changed after it was applied, and when one comes before
/// another that is applied already.
pub fn missing<'a>(
    applied: &[(String, String)],
    migrations: &'a [Migration],
) -> Result<Vec<&'a Migration>, MigrationError> {
    let mut names = HashSet::new();
    let mut missing: Vec<&Migration> = Vec::new();
    for migration in migrations {
        if !names.insert(&migration.name) {
            return Err(MigrationError::Double(migration.name.clone()));
        }
        match applied.iter().find(|(name, _)| *name == migration.name) {
            Some((_, known)) if *known != checksum(migration) => {
                return Err(MigrationError::Changed(migration.name.clone()));
            }
            Some((applied, _)) => {
                if let Some(before) = missing.first() {
                    let (name, applied) = (before.name.clone(), applied.clone());
                    return Err(MigrationError::OutOfOrder { name, applied });
                }
            }
            None => missing.push(migration),
        }
    }
    Ok(missing)
}

/// By which a text is known again.
pub fn checksum(migration: &Migration) -> String {
    blake3::hash(migration.sql.as_bytes()).to_hex().to_string()
}

/// What the failure of a migration is told as.
pub fn named(migration: &Migration, error: Error) -> MigrationError {
    match error {
        Error::Unavailable(_) => MigrationError::Database(error),
        other => MigrationError::Failed { name: migration.name.clone(), reason: other.to_string() },
    }
}
