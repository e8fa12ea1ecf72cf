//! Bans and mutes: who may impose them, on whom they fall, and what becomes of who is banned.
//!
//! A ban falls on the account of a name, where it has one, and on the addresses that it is used from.
//! Those who keep the order are not held by what falls on an address, which they may share.

use serde_json::json;

use crate::access::{self, Rank};
use crate::names;
use crate::phoenix;
use crate::presence;
use crate::session::{Connection, Session};
use crate::socket::{CONNECTIONS, Turn};
use crate::world::{Sanction, Stored, What, Whom, World};

/// The code of a connection that ends because of what its client did.
const POLICY: u16 = 1008;
/// A number that no connection has.
const NOBODY: Connection = Connection::MAX;
/// How long a mute lasts unless it is said.
const MUTE_MINUTES: u64 = 60;
/// The longest that a sanction lasts which ends: a year.
const MAX_MINUTES: u64 = 366 * 24 * 60;
/// The longest reason.
const MAX_REASON: usize = 200;

/// The ban that is in force for a session. Where the database is away nobody is banned: who is in
/// stays in, and nobody can say anything anyway.
pub fn ban_of(world: &mut dyn World, session: &Session) -> Option<Sanction> {
    let now = world.now_ms();
    let account = session.proof.as_ref().map(|proof| Whom::Account(proof.account()));
    let origin = (!session.is_staff(now)).then(|| Whom::Origin(session.origin.clone()));
    [account, origin]
        .into_iter()
        .flatten()
        .find_map(|whom| world.sanction(What::Ban, &whom).ok().flatten())
}

/// Tell a client that it is banned, and end its connection.
pub fn turn_out(world: &mut dyn World, connection: Connection, session: &Session, ban: &Sanction) {
    let payload = json!({
        "user": session.user,
        "reason": ban.reason,
        "until": ban.until_ms,
        "timestamp": world.now_ms(),
    });
    for joined in &session.joined {
        let frame = phoenix::push(&joined.join_ref, &joined.topic, "banned", &payload);
        world.send(connection, frame);
    }
    world.close(connection, POLICY, "banned");
}

/// Whom a name stands for.
#[derive(Default)]
struct Target {
    whoms: Vec<Whom>,
    rank: Option<Rank>,
    /// The connections of this host that use it.
    connections: Vec<Connection>,
}

impl Target {
    fn add(&mut self, whom: Whom) {
        if !self.whoms.contains(&whom) {
            self.whoms.push(whom);
        }
    }

    fn rank(&mut self, rank: Rank) {
        self.rank = self.rank.max(Some(rank));
    }

    /// Who is behind a name: those who are shown under it; else who said something under it last,
    /// which may have been on another host.
    fn find(turn: &mut Turn<'_>, key: &str, what: What) -> Stored<Self> {
        let mut target = Self::default();
        let now = turn.world.now_ms();
        let mut origins = Vec::new();
        for person in presence::others(turn.world, &turn.frame.topic, key, NOBODY) {
            // Numbers of connections are those of one host: look whether it is the same one.
            let session = turn.world.session_of(person.connection);
            let same = |session: &Session| session.user.as_deref() == Some(person.key.as_str());
            if let Some(session) = session.filter(same) {
                target.rank(session.rank(now));
                origins.push(session.origin);
                target.connections.push(person.connection);
            }
        }
        if let Some(account) = turn.world.account(key)? {
            target.rank(Rank::of(&account.role));
            target.add(Whom::Account(account.key));
        }
        if origins.is_empty()
            && let Some((origin, account)) = turn.world.last_said(key)?
        {
            origins.push(origin);
            if let Some(account) = account {
                target.add(Whom::Account(account));
            }
        }
        // A mute of an account holds wherever it is; an address is only muted for want of one.
        if what == What::Ban || target.whoms.is_empty() {
            origins.into_iter().for_each(|origin| target.add(Whom::Origin(origin)));
        }
        Ok(target)
    }
}

/// Who asks, by the session's token or that of the frame: a name and a rank. A token is the
/// session's from then on. Its account may be banned itself.
fn asker(turn: &mut Turn<'_>) -> Option<(String, Rank)> {
    let now = turn.world.now_ms();
    let settings = turn.world.settings();
    let token = turn.frame.text("token").filter(|token| !token.is_empty());
    let said = token.and_then(|t| access::verify(t, settings.jwt_secret.as_deref(), now).ok());
    if said.is_some() {
        turn.session.proof = said;
    }
    let proof = turn.session.proof(now).filter(|proof| proof.rank() > Rank::Nobody)?;
    let asker = (proof.name.clone(), proof.rank());
    ban_of(turn.world, turn.session).is_none().then_some(asker)
}

/// `ban` or `mute` `{"user", "minutes", "reason"}`.
pub fn impose(mut turn: Turn<'_>, what: What) {
    let Some((asker, rank)) = asker(&mut turn) else {
        return turn.refuse("forbidden");
    };
    let name = turn.frame.text("user").unwrap_or_default().to_owned();
    let key = names::key(&name);
    if names::check(&name).is_err() {
        return turn.refuse("bad_name");
    }
    let Ok(target) = Target::find(&mut turn, &key, what) else {
        return turn.unavailable();
    };
    if target.whoms.is_empty() {
        return turn.refuse("unknown_user");
    }
    if target.rank.is_some_and(|theirs| theirs >= rank) {
        return turn.refuse("forbidden");
    }
    let now = turn.world.now_ms();
    let minutes = turn.frame.number("minutes").map(|minutes| minutes.clamp(1, MAX_MINUTES));
    let minutes = minutes.or((what == What::Mute).then_some(MUTE_MINUTES));
    let until_ms = minutes.map(|minutes| now + minutes * 60_000);
    let reason = turn.frame.text("reason").and_then(|reason| names::line(reason, MAX_REASON));
    let reason = reason.unwrap_or_default();
    for whom in &target.whoms {
        let (whom, name_key) = (whom.clone(), key.clone());
        let made_by = asker.clone();
        let sanction = Sanction { what, whom, name_key, until_ms, reason: reason.clone(), made_by };
        if turn.world.impose(&sanction).is_err() {
            return turn.unavailable();
        }
    }
    let payload = json!({"user": name, "timestamp": now, "until": until_ms, "reason": reason});
    if what == What::Ban {
        turn_all_out(&mut turn, &target);
    }
    turn.broadcast(if what == What::Ban { "banned" } else { "muted" }, &payload);
    turn.ok(&payload);
}

/// End the connections of this host that a ban falls on. Those of others end with their next frame,
/// a heartbeat at the latest.
fn turn_all_out(turn: &mut Turn<'_>, target: &Target) {
    let is_banned = |origin: &str| {
        target.whoms.iter().any(|whom| matches!(whom, Whom::Origin(banned) if banned == origin))
    };
    let listed = turn.world.who(CONNECTIONS).iter().filter(|person| is_banned(&person.key));
    let listed = listed.map(|person| person.connection);
    let mut connections: Vec<_> = target.connections.iter().copied().chain(listed).collect();
    connections.sort_unstable();
    connections.dedup();
    for connection in connections {
        if connection == turn.connection {
            continue;
        }
        let Some(session) = turn.world.session_of(connection) else {
            continue;
        };
        if let Some(ban) = ban_of(turn.world, &session) {
            // It hears of it once, in the frame that comes before the end.
            for joined in &session.joined {
                turn.world.leave(connection, &joined.topic);
            }
            turn_out(turn.world, connection, &session, &ban);
        }
    }
}

/// `unban` or `unmute` `{"user"}`.
pub fn lift(mut turn: Turn<'_>, what: What) {
    if asker(&mut turn).is_none() {
        return turn.refuse("forbidden");
    }
    let name = turn.frame.text("user").unwrap_or_default().to_owned();
    if names::check(&name).is_err() {
        return turn.refuse("bad_name");
    }
    match turn.world.lift(what, &names::key(&name)) {
        Ok(0) => turn.refuse("unknown_user"),
        Ok(lifted) => turn.ok(&json!({"user": name, "lifted": lifted})),
        Err(_) => turn.unavailable(),
    }
}
