//! A plugin's role and its schema.
//!
//! Each plugin's statements come in as a role of its own, with a password that every host derives
//! from a secret in the schema `trellis`. So nothing that a statement can do to its session, such as
//! `set_config('role', ...)`, leads to another role: the session has never been anybody else. The
//! server is given a verifier, never the password. The role owns the tables it makes; the schema
//! and what the host keeps there are the host's.

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{digest, hmac, pbkdf2};
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::backends::{
    postgres::{Server, is_double, quoted},
    sql::{Error, Result},
};

use super::failure;

/// The longest name that PostgreSQL keeps whole.
const MAX_NAME: usize = 63;
/// How often a verifier hashes; as the server itself does.
const ITERATIONS: u32 = 4096;

/// Who a plugin is in the database.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    /// Its role, for this database alone: roles belong to all databases of a server.
    pub name: String,
    /// Its schema.
    pub schema: String,
    password: String,
}

impl Role {
    /// The role of a plugin, whether or not it is there.
    pub async fn of(server: &Server, plugin: &str) -> Result<Self> {
        let secret = secret(server).await.map_err(|error| failure(&error))?;
        let name = fitting(format!("trellis.{}.{plugin}", server.settings().database));
        let password = blake3::keyed_hash(&secret, name.as_bytes()).to_hex().to_string();
        Ok(Self { schema: fitting(format!("plugin_{plugin}")), name, password })
    }

    /// What it comes in with.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Make the role and its schema, or set them right.
    pub async fn make(&self, server: &Server, plugin: &str) -> Result<()> {
        let mut again = 0;
        loop {
            match self.try_make(server, plugin).await {
                // Another host makes a role of the same name at the same time.
                Err(error) if again < 10 && is_double(&error) => again += 1,
                Err(error) => return Err(failure(&error)),
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn try_make(&self, server: &Server, plugin: &str) -> sqlx::Result<()> {
        let mut transaction = server.own().begin().await?;
        // Hosts that do this at the same time wait for one another here.
        sqlx::query(
            "INSERT INTO trellis.plugins (name) VALUES ($1)
             ON CONFLICT (name) DO UPDATE SET name = excluded.name",
        )
        .bind(plugin)
        .execute(&mut *transaction)
        .await?;
        let known = sqlx::query("SELECT FROM pg_roles WHERE rolname = $1")
            .bind(&self.name)
            .fetch_optional(&mut *transaction)
            .await?;
        let (role, schema) = (quoted(&self.name), quoted(&self.schema));
        let verb = if known.is_some() { "ALTER" } else { "CREATE" };
        let verifier = verifier(&self.password, &rand::<16>()?);
        let own = quoted(&server.settings().user);
        let texts = [
            format!("{verb} ROLE {role} WITH LOGIN NOCREATEDB NOCREATEROLE PASSWORD '{verifier}'"),
            format!("ALTER ROLE {role} RESET ALL"),
            // Lets the host end what the role runs.
            format!("GRANT {role} TO {own}"),
            format!("CREATE SCHEMA IF NOT EXISTS {schema}"),
            format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}"),
            // Empty; whoever holds its lock has the plugin's transactions to itself.
            format!("CREATE TABLE IF NOT EXISTS {schema}._trellis_turn ()"),
            format!(
                "CREATE TABLE IF NOT EXISTS {schema}._trellis_offsets (
                     consumer_group TEXT NOT NULL, topic TEXT NOT NULL, partition BIGINT NOT NULL,
                     next_offset BIGINT NOT NULL, PRIMARY KEY (consumer_group, topic, partition)
                 ) WITH (fillfactor = 50)"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {schema}._trellis_migrations (
                     position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                     name TEXT NOT NULL UNIQUE, checksum TEXT NOT NULL,
                     applied_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP)"
            ),
        ];
        for text in texts {
            run(&mut transaction, text).await?;
        }
        for table in ["_trellis_turn", "_trellis_offsets", "_trellis_migrations"] {
            let grant = format!("GRANT SELECT, INSERT, UPDATE ON {schema}.{table} TO {role}");
            run(&mut transaction, grant).await?;
        }
        transaction.commit().await
    }

    /// See, as the role itself, that it is what a plugin's role should be.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it could do more. `Ok(false)` when something is missing.
    pub async fn check(&self, connection: &mut PgConnection) -> Result<bool> {
        let row = sqlx::query(
            "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls,
                    EXISTS (SELECT FROM pg_auth_members WHERE member = pg_roles.oid),
                    has_database_privilege(current_database(), 'CREATE'),
                    EXISTS (SELECT FROM pg_namespace WHERE nspname <> $1
                            AND nspname !~ '^pg_(toast_)?temp_'
                            AND has_schema_privilege(oid, 'CREATE')),
                    EXISTS (SELECT FROM pg_class JOIN pg_namespace ON relnamespace = pg_namespace.oid
                            WHERE nspname = $1 AND relname = '_trellis_migrations'
                            AND has_schema_privilege(relnamespace, 'CREATE')
                            AND has_table_privilege(pg_class.oid, 'INSERT'))
             FROM pg_roles WHERE rolname = current_user",
        )
        .bind(&self.schema)
        .fetch_one(connection)
        .await
        .map_err(|error| failure(&error))?;
        let is = |column: usize| row.try_get::<bool, _>(column).map_err(|error| failure(&error));
        for (column, power) in [
            (0, "has rights over the server: take them from it with `ALTER ROLE`"),
            (1, "is a member of other roles: take it out of them with `REVOKE`"),
            (2, "may make schemas: `REVOKE CREATE ON DATABASE ... FROM PUBLIC`"),
            (3, "may write into other schemas: `REVOKE CREATE ON SCHEMA ... FROM PUBLIC`"),
        ] {
            if is(column)? {
                let name = &self.name;
                return Err(Error::Invalid(format!("the role `{name}` {power}")));
            }
        }
        is(4)
    }
}

async fn run(connection: &mut PgConnection, text: String) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(text)).execute(connection).await.map(drop)
}

/// The installation's secret, made when there is none.
async fn secret(server: &Server) -> sqlx::Result<[u8; 32]> {
    let made = rand::<32>()?;
    sqlx::query("INSERT INTO trellis.installation VALUES (1, $1) ON CONFLICT (id) DO NOTHING")
        .bind(&made[..])
        .execute(server.own())
        .await?;
    let row =
        sqlx::query("SELECT secret FROM trellis.installation").fetch_one(server.own()).await?;
    let secret: Vec<u8> = row.try_get(0)?;
    secret.try_into().map_err(|_| sqlx::Error::Protocol("the table `installation` changed".into()))
}

fn rand<const BYTES: usize>() -> sqlx::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| sqlx::Error::Io(error.into()))?;
    Ok(bytes)
}

/// A name that PostgreSQL will not cut, which could make two of one.
fn fitting(name: String) -> String {
    if name.len() <= MAX_NAME {
        return name;
    }
    let digest = &blake3::hash(name.as_bytes()).to_hex()[..16];
    let end = name.floor_char_boundary(MAX_NAME - digest.len() - 1);
    format!("{}.{digest}", &name[..end])
}

/// By which the server knows a password without having it (RFC 5802, RFC 7677).
fn verifier(password: &str, salt: &[u8]) -> String {
    let mut salted = [0; digest::SHA256_OUTPUT_LEN];
    let rounds = std::num::NonZeroU32::new(ITERATIONS).unwrap_or(std::num::NonZeroU32::MIN);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, password.as_bytes(), &mut salted);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let client = hmac::sign(&key, b"Client Key");
    let stored = digest::digest(&digest::SHA256, client.as_ref());
    let server = hmac::sign(&key, b"Server Key");
    let [salt, stored, server] =
        [salt, stored.as_ref(), server.as_ref()].map(|it| STANDARD.encode(it));
    format!("SCRAM-SHA-256${ITERATIONS}:{salt}${stored}:{server}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_verifier_is_the_one_of_the_standard() {
        // The example of RFC 7677, section 3.
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = verifier("pencil", &salt);
        assert_eq!(
            verifier,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
             WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn a_long_name_is_cut_where_it_stays_its_own() {
        assert_eq!(fitting("plugin_a".into()), "plugin_a");
        let [one, other] = ["a", "b"].map(|end| fitting(format!("{}{end}", "ü".repeat(60))));
        assert!(one.len() <= MAX_NAME && other.len() <= MAX_NAME && one != other);
    }
}
