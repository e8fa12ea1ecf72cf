//! A room: who comes in, who takes which name, and what is said.

use serde_json::{Value, json};

use crate::access::{self, Proof, Refusal, is_same, sealed};
use crate::session::{Connection, Session};
use crate::settings::MAX_BODY;
use crate::socket::Turn;
use crate::world::{Account, Draft, Kept, Span, Unavailable, What, Whom, World};
use crate::{history, limits, moderation, names, phoenix, presence};

/// How long a name is held while its owner is not shown yet; somebody who takes it at the same
/// moment, on another host, is refused.
const NAME_HELD_MS: u64 = 2_000;
/// How far a client's clock may be off for its time of a message to be believed.
const MAX_SKEW_MS: u64 = 5 * 60 * 1000;
/// The longest id of a client for its message, and of a track.
const MAX_ID: usize = 64;
/// How long it takes until a track counts again that the same address played.
const PLAY_MS: u64 = 30_000;

/// Why a name may not be used: for programs, and for people.
struct Refused {
    reason: &'static str,
    text: &'static str,
}

impl From<Unavailable> for Refused {
    fn from(_: Unavailable) -> Self {
        Self { reason: "unavailable", text: "the chat is not available, try again" }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { reason: refusal.reason(), text: refusal.text() }
    }
}

impl Refused {
    const fn new(reason: &'static str, text: &'static str) -> Self {
        Self { reason, text }
    }
}

const REGISTERED: Refused =
    Refused::new("name_registered", "the name belongs to a member, who has to log in");
const TAKEN: Refused = Refused::new("name_taken", "somebody else has this name at the moment");

/// Handle what a client sent to a room that it is in.
pub fn handle(mut turn: Turn<'_>) {
    match turn.frame.event.as_str() {
        "authorize" => authorize(turn),
        "authorize_token" => authorize_token(turn),
        "new:msg" => say(turn),
        "new:msg_with_token" => say_with_token(turn),
        "history" => history::answer(turn),
        "track_playback" => track_playback(turn),
        "disconnect" => disconnect(turn),
        "ban" => moderation::impose(turn, What::Ban),
        "mute" => moderation::impose(turn, What::Mute),
        "unban" => moderation::lift(turn, What::Ban),
        "unmute" => moderation::lift(turn, What::Mute),
        _ => turn.refuse("unknown_event"),
    }
}

/// A client has joined: it learns who is here and what was said.
pub fn entered(turn: &mut Turn<'_>) {
    let topic = turn.frame.topic.clone();
    turn.broadcast("user:entered", &json!({"user": turn.session.user}));
    turn.push("join", &json!({"status": "connected"}));
    let state = presence::state(turn.world.who(&topic));
    turn.push("presence_state", &state);
    if let Ok(page) = history::page(turn.world, &topic, Span::Last) {
        turn.push("history", &page);
    }
    // A name that it uses in another room already.
    if let (Some(user), Some(meta)) = (turn.session.user.clone(), turn.session.meta.clone()) {
        turn.world.show(turn.connection, &topic, &user, &meta.to_string());
        presence::tell(turn.world, &topic, Some((&user, &meta)), None);
    }
}

/// A connection is shown in a room no longer.
pub fn left(world: &mut dyn World, connection: Connection, session: &Session, topic: &str) {
    let (Some(user), Some(meta)) = (&session.user, &session.meta) else {
        return;
    };
    world.hide(connection, topic);
    presence::tell(world, topic, None, Some((user, meta)));
    // Somebody who is here twice, or was quicker to come back, has not left.
    if presence::others(world, topic, &names::key(user), connection).is_empty() {
        world.publish(topic, phoenix::broadcast(topic, "user:left", &json!({"user": user})));
    }
}

/// A connection has no name any more, and others may take it.
pub fn forget_name(world: &mut dyn World, session: &mut Session) {
    if let Some(user) = session.user.take() {
        world.release(&held(&names::key(&user)));
    }
    session.meta = None;
}

fn held(key: &str) -> String {
    format!("name/{key}")
}

/// Without a token: a name that is free.
fn authorize(mut turn: Turn<'_>) {
    let name = turn.frame.text("user").unwrap_or_default().to_owned();
    match names::check(&name)
        .map_err(|text| Refused { reason: "bad_name", text })
        .and_then(|()| may_use(&mut turn, &name))
        .and_then(|()| hold(&mut turn, &name))
    {
        Ok(()) => take_name(turn, &name),
        Err(refused) => not_authorized(turn, &refused),
    }
}

/// With a token: its name, whoever uses it now.
fn authorize_token(mut turn: Turn<'_>) {
    let name = turn.frame.text("user").unwrap_or_default().to_owned();
    match prove(&mut turn, &name) {
        Ok(true) => {
            evict(&mut turn, &names::key(&name));
            take_name(turn, &name);
        }
        // It was turned out.
        Ok(false) => {}
        Err(refused) => not_authorized(turn, &refused),
    }
}

fn not_authorized(mut turn: Turn<'_>, refused: &Refused) {
    turn.push("notauthorized", &json!({"status": "not authorized", "error": refused.text}));
    turn.answer("error", &json!({"reason": refused.reason, "message": refused.text}));
}

/// Check the token of a frame, and that it is for this name. From then on the session has the proof.
/// `false`: the account is banned, and the connection was ended.
fn prove(turn: &mut Turn<'_>, name: &str) -> Result<bool, Refused> {
    let token = turn.frame.text("token").unwrap_or_default();
    let settings = turn.world.settings();
    let proof = access::verify(token, settings.jwt_secret.as_deref(), turn.world.now_ms())?;
    if proof.name != name {
        return Err(Refused::new("bad_token", "the token is for another name"));
    }
    let account =
        Account { key: proof.account(), name: proof.name.clone(), role: proof.role.clone() };
    turn.session.proof = Some(proof);
    if let Some(ban) = moderation::ban_of(turn.world, turn.session) {
        moderation::turn_out(turn.world, turn.connection, turn.session, &ban);
        return Ok(false);
    }
    if turn.world.account(&account.key)?.as_ref() != Some(&account) {
        turn.world.register(&account)?;
    }
    Ok(true)
}

/// Whether a name may be used by this connection without further proof.
fn may_use(turn: &mut Turn<'_>, name: &str) -> Result<(), Refused> {
    let key = names::key(name);
    if owns(turn, &key) {
        return Ok(());
    }
    let settings = turn.world.settings();
    if settings.reserved.contains(&key) || turn.world.account(&key)?.is_some() {
        let was_its = turn.session.proof.as_ref().is_some_and(|proof| proof.account() == key);
        return Err(if was_its { Refusal::Expired.into() } else { REGISTERED });
    }
    // The client that lost a connection says the session of it, and has its name back.
    let session = turn.frame.text("session").unwrap_or_default().to_owned();
    let mut came_back = false;
    for other in presence::others(turn.world, &turn.frame.topic, &key, turn.connection) {
        match turn.world.session_of(other.connection) {
            Some(lost) if is_same(&session, &lost.key) => {
                came_back = true;
                let topic = turn.frame.topic.clone();
                hide(turn.world, &topic, &other);
                turn.world.close(other.connection, 4000, "replaced");
            }
            _ => return Err(TAKEN),
        }
    }
    if came_back {
        turn.world.release(&held(&key));
    }
    Ok(())
}

/// Hold a name until its owner is shown, against somebody who asks for it at the same moment.
fn hold(turn: &mut Turn<'_>, name: &str) -> Result<(), Refused> {
    let key = names::key(name);
    let is_its = turn.session.user.as_deref().is_some_and(|user| names::key(user) == key);
    let holds = is_its || owns(turn, &key) || turn.world.claim(&held(&key), NAME_HELD_MS);
    if holds { Ok(()) } else { Err(TAKEN) }
}

/// Whether this connection proved to be the account.
fn owns(turn: &Turn<'_>, key: &str) -> bool {
    turn.session.proof(turn.world.now_ms()).is_some_and(|proof| proof.account() == key)
}

fn hide(world: &mut dyn World, topic: &str, person: &crate::world::Person) {
    world.hide(person.connection, topic);
    let meta = serde_json::from_str(&person.meta).unwrap_or(Value::Null);
    presence::tell(world, topic, None, Some((&person.key, &meta)));
}

/// Take a name from those who use it without being the account. What they say under it is refused
/// from now on, so it is enough that they are not shown any more.
fn evict(turn: &mut Turn<'_>, key: &str) {
    let topic = turn.frame.topic.clone();
    let now = turn.world.now_ms();
    for other in presence::others(turn.world, &topic, key, turn.connection) {
        let Some(session) = turn.world.session_of(other.connection) else {
            continue;
        };
        if session.proof(now).is_none_or(|proof| proof.account() != key) {
            hide(turn.world, &topic, &other);
            let join_ref = session.joined(&topic).map(|joined| joined.join_ref.clone());
            let payload = json!({"status": "not authorized", "error": REGISTERED.text});
            let join_ref = join_ref.unwrap_or_default();
            let frame = phoenix::push(&join_ref, &topic, "notauthorized", &payload);
            turn.world.send(other.connection, frame);
        }
    }
}

/// Be called something, in all rooms that the connection is in.
fn take_name(mut turn: Turn<'_>, name: &str) {
    let proof = turn.session.proof(turn.world.now_ms()).cloned();
    let proof = proof.filter(|proof| proof.account() == names::key(name));
    let meta = presence::meta(turn.world, name, proof.as_ref(), &turn.frame);
    let before = turn.session.user.replace(name.to_owned()).zip(turn.session.meta.take());
    for topic in turn.session.rooms() {
        turn.world.show(turn.connection, &topic, name, &meta.to_string());
        let went = before.as_ref().map(|(name, meta)| (name.as_str(), meta));
        presence::tell(turn.world, &topic, Some((name, &meta)), went);
    }
    if let Some((old, _)) = before.filter(|(old, _)| old != name) {
        turn.broadcast("user:left", &json!({"user": old}));
        turn.world.release(&held(&names::key(&old)));
    }
    turn.session.meta = Some(meta);
    turn.broadcast("user:authorized", &json!({"user": name}));
    let role = proof.map(|proof| proof.role).unwrap_or_default();
    let session = turn.session.key.clone();
    turn.push(
        "authorized",
        &json!({"status": "authorized", "user": name, "role": role, "session": session}),
    );
    turn.ok(&json!({"msg": format!("{name} authorized"), "user": name, "role": role}));
}

/// Give the name up, and stay.
fn disconnect(mut turn: Turn<'_>) {
    let user = turn.session.user.clone().unwrap_or_default();
    for topic in turn.session.rooms() {
        left(turn.world, turn.connection, turn.session, &topic);
    }
    forget_name(turn.world, turn.session);
    turn.ok(&json!({"msg": format!("{user} disconnected")}));
}

fn say(mut turn: Turn<'_>) {
    let name = turn.frame.text("user").unwrap_or_default().to_owned();
    let allowed = match &turn.session.user {
        // Who has a name uses that one. It may have been registered since.
        Some(user) if *user == name => may_keep(&mut turn, &name),
        Some(_) => Err(Refused::new("name_mismatch", "you have another name here")),
        None => names::check(&name)
            .map_err(|text| Refused { reason: "bad_name", text })
            .and_then(|()| may_use(&mut turn, &name)),
    };
    match allowed {
        Ok(()) => {
            let proof = turn.session.proof(turn.world.now_ms()).cloned();
            let proof = proof.filter(|proof| proof.account() == names::key(&name));
            speak(turn, &name, proof.as_ref());
        }
        Err(refused) => {
            turn.answer("error", &json!({"reason": refused.reason, "message": refused.text}));
        }
    }
}

/// Whether the name that a connection took is still for everybody.
fn may_keep(turn: &mut Turn<'_>, name: &str) -> Result<(), Refused> {
    let key = names::key(name);
    if owns(turn, &key) || turn.world.account(&key)?.is_none() {
        return Ok(());
    }
    let was_its = turn.session.proof.as_ref().is_some_and(|proof| proof.account() == key);
    Err(if was_its { Refusal::Expired.into() } else { REGISTERED })
}

fn say_with_token(mut turn: Turn<'_>) {
    let name = turn.frame.text("user").unwrap_or_default().to_owned();
    match prove(&mut turn, &name) {
        Ok(true) => {
            let proof = turn.session.proof.clone();
            speak(turn, &name, proof.as_ref());
        }
        Ok(false) => {}
        Err(refused) => not_authorized(turn, &refused),
    }
}

/// Say something under a name that may be used: keep it, and then tell everybody.
fn speak(mut turn: Turn<'_>, name: &str, proof: Option<&Proof>) {
    let body = turn.frame.text("body").and_then(names::clean);
    let Some(body) = body else {
        return turn.refuse("empty_message");
    };
    if body.chars().nth(MAX_BODY).is_some() {
        let response = json!({"reason": "message_too_long", "max_message_length": MAX_BODY});
        return turn.answer("error", &response);
    }
    let now = turn.world.now_ms();
    let account = proof.map(Proof::account);
    let origin = turn.session.origin.clone();
    let pace = turn.world.settings().messages;
    let paced = pace
        .take(&mut turn.session.messages_full_ms, now, 1)
        .and_then(|()| limits::may_say(turn.world, &origin, account.as_deref()));
    if let Err(wait) = paced {
        return turn.slow_down(wait);
    }
    match muted(&mut turn, account.as_deref()) {
        Ok(None) => {}
        Ok(Some(until_ms)) => {
            return turn.answer("error", &json!({"reason": "muted", "until": until_ms}));
        }
        Err(Unavailable) => return turn.unavailable(),
    }
    let said = turn.frame.number("timestamp").filter(|time| time.abs_diff(now) <= MAX_SKEW_MS);
    let mut payload = json!({
        "user": name,
        "body": body,
        "timestamp": said.unwrap_or(now),
        "at": now,
        "verified": proof.is_some(),
    });
    presence::decorate(&mut payload, proof, &turn.frame);
    let nonce = turn.frame.text("nonce").filter(|nonce| nonce.len() <= MAX_ID);
    let has_nonce = nonce.is_some();
    let uid = uid(&turn, account.as_deref(), &body);
    let room = turn.frame.topic.clone();
    let draft = Draft {
        room: &room,
        uid: &uid,
        name_key: &names::key(name),
        account: account.as_deref(),
        origin: &origin,
        at_ms: now,
        payload: &payload,
    };
    match turn.world.keep(&draft) {
        Err(Unavailable) => turn.unavailable(),
        // The client did not hear that it was kept, everybody else did.
        Ok(Kept::Again(id)) if has_nonce => turn.ok(&json!({"msg": body, "id": id})),
        Ok(Kept::New(id) | Kept::Again(id)) => {
            payload["id"] = json!(id);
            turn.broadcast("new:msg", &payload);
            turn.world.bridge(&room, &payload);
            turn.ok(&json!({"msg": body, "id": id}));
        }
    }
}

/// What makes a message the same one when it comes twice: the client's own id for it, which it may
/// say again on another connection; else its place on this one, for an event that comes again.
fn uid(turn: &Turn<'_>, account: Option<&str>, body: &str) -> String {
    let who = account.unwrap_or(&turn.session.origin);
    let nonce = turn.frame.text("nonce").filter(|nonce| nonce.len() <= MAX_ID);
    let parts = match nonce {
        Some(nonce) => json!(["nonce", who, turn.session.user, nonce]),
        None => json!(["place", turn.session.key, turn.frame.reference, body]),
    };
    sealed(b"message", &parts.to_string())
}

/// Until when somebody may not say anything, 0 for ever; `None`: they may.
fn muted(turn: &mut Turn<'_>, account: Option<&str>) -> Result<Option<u64>, Unavailable> {
    if turn.session.is_staff(turn.world.now_ms()) {
        return Ok(None);
    }
    let origin = Whom::Origin(turn.session.origin.clone());
    let account = account.map(|account| Whom::Account(account.to_owned()));
    for whom in [Some(origin), account].into_iter().flatten() {
        if let Some(sanction) = turn.world.sanction(What::Mute, &whom)? {
            return Ok(Some(sanction.until_ms.unwrap_or(0)));
        }
    }
    Ok(None)
}

fn track_playback(mut turn: Turn<'_>) {
    let track = match turn.frame.payload.get("track_id") {
        Some(Value::String(track)) => track.clone(),
        Some(Value::Number(track)) => track.to_string(),
        _ => String::new(),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !(1..=MAX_ID).contains(&track.len()) || !track.bytes().all(plain) {
        return turn.refuse("bad_track");
    }
    let word = format!("play/{}/{track}", turn.session.origin);
    if turn.world.claim(&word, PLAY_MS) && turn.world.played(&track).is_err() {
        return turn.unavailable();
    }
    turn.ok(&json!({}));
}
