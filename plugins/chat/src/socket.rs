//! What a client sends, over whichever transport: heartbeats, joins and leaves here, everything else
//! in the room it is for.

use serde_json::{Value, json};

use crate::limits::{FRAMES, HEAVY};
use crate::phoenix::{self, Frame, Ref};
use crate::session::{Connection, Joined, MAX_TOPICS, Session};
use crate::world::World;
use crate::{moderation, room};

/// Topics that clients listen to and only the house speaks in.
pub const FEEDS: [&str; 2] = ["metadata", "notifications"];
/// Where all connections that joined anything are shown under their origin; nobody hears it.
pub const CONNECTIONS: &str = "connections";

/// A frame that is being handled.
pub struct Turn<'a> {
    pub world: &'a mut dyn World,
    pub connection: Connection,
    pub session: &'a mut Session,
    pub frame: Frame,
}

impl Turn<'_> {
    /// Answer that it was done.
    pub fn ok(&mut self, response: &Value) {
        self.answer("ok", response);
    }

    /// Answer that it was not: `{"reason": …}`.
    pub fn refuse(&mut self, reason: &str) {
        self.answer("error", &json!({"reason": reason}));
    }

    /// Answer that it was too much.
    pub fn slow_down(&mut self, wait_ms: u64) {
        self.answer("error", &json!({"reason": "rate_limited", "retry_after_ms": wait_ms}));
    }

    /// Answer that the database is away.
    pub fn unavailable(&mut self) {
        self.refuse("unavailable");
    }

    /// Answer with a status.
    pub fn answer(&mut self, status: &str, response: &Value) {
        let frame = phoenix::reply(&self.frame, status, response);
        self.world.send(self.connection, frame);
    }

    /// Tell this client something in the topic of its frame.
    pub fn push(&mut self, event: &str, payload: &Value) {
        let topic = &self.frame.topic;
        let join_ref = self.session.joined(topic).map(|joined| joined.join_ref.clone());
        let frame = phoenix::push(&join_ref.unwrap_or_default(), topic, event, payload);
        self.world.send(self.connection, frame);
    }

    /// Tell all who hear the topic of its frame.
    pub fn broadcast(&mut self, event: &str, payload: &Value) {
        let frame = phoenix::broadcast(&self.frame.topic, event, payload);
        self.world.publish(&self.frame.topic, frame);
    }
}

/// Handle a text message of a client. Whatever it is, this returns.
pub fn message(world: &mut dyn World, connection: Connection, session: &mut Session, text: &str) {
    let Some(frame) = Frame::read(text) else {
        return no_frame(world, connection, session);
    };
    let now = world.now_ms();
    let weight = weight(&frame);
    let mut turn = Turn { world, connection, session, frame };
    if let Err(wait) = FRAMES.take(&mut turn.session.frames_full_ms, now, weight) {
        return turn.slow_down(wait);
    }
    if let Some(ban) = moderation::ban_of(turn.world, turn.session) {
        return moderation::turn_out(turn.world, connection, turn.session, &ban);
    }
    handle(turn);
}

/// Handle what is no frame. It counts as one, and what is too much is not answered.
pub fn no_frame(world: &mut dyn World, connection: Connection, session: &mut Session) {
    let now = world.now_ms();
    if FRAMES.take(&mut session.frames_full_ms, now, 1).is_ok() {
        world.send(connection, phoenix::no_frame());
    }
}

/// How many frames a frame counts for.
fn weight(frame: &Frame) -> u64 {
    match frame.event.as_str() {
        "phx_join" | "authorize" | "authorize_token" | "history" => HEAVY,
        _ => 1,
    }
}

fn handle(mut turn: Turn<'_>) {
    if turn.frame.topic == "phoenix" && turn.frame.event == "heartbeat" {
        return turn.ok(&json!({}));
    }
    if turn.frame.event == "phx_join" {
        return join(turn);
    }
    let joined = turn.session.joined(&turn.frame.topic).map(|joined| joined.join_ref.clone());
    match (joined, turn.frame.event.as_str()) {
        // It has left already, which is what it wants.
        (None, "phx_leave") => turn.ok(&json!({})),
        (None, _) => turn.refuse("unmatched topic"),
        // Meant for a join that another one has taken the place of.
        (Some(join_ref), _)
            if turn.frame.join_ref != Ref::None && turn.frame.join_ref != join_ref => {}
        (Some(join_ref), "phx_leave") => {
            let topic = turn.frame.topic.clone();
            leave(turn.world, turn.connection, turn.session, &topic);
            turn.ok(&json!({}));
            let frame = phoenix::close(&join_ref, &turn.frame.topic);
            turn.world.send(turn.connection, frame);
        }
        _ if FEEDS.contains(&turn.frame.topic.as_str()) => turn.refuse("unknown_event"),
        _ => room::handle(turn),
    }
}

fn join(mut turn: Turn<'_>) {
    let topic = turn.frame.topic.clone();
    let is_room = turn.world.settings().rooms.contains(&topic);
    if !is_room && !FEEDS.contains(&topic.as_str()) {
        let is_a_room = topic.starts_with("rooms:");
        return turn.refuse(if is_a_room { "unauthorized" } else { "unmatched topic" });
    }
    if let Some(old) = turn.session.joined(&topic).map(|joined| joined.join_ref.clone()) {
        // A client has a topic once; the newer join counts.
        leave(turn.world, turn.connection, turn.session, &topic);
        turn.world.send(turn.connection, phoenix::close(&old, &topic));
    }
    if turn.session.joined.len() >= MAX_TOPICS {
        return turn.refuse("too many channels joined");
    }
    let join_ref = match &turn.frame.join_ref {
        Ref::None => turn.frame.reference.clone(),
        join_ref => join_ref.clone(),
    };
    turn.frame.join_ref = join_ref.clone();
    turn.session.joined.push(Joined { topic: topic.clone(), join_ref });
    turn.ok(&json!({}));
    if !turn.session.listed {
        turn.session.listed = true;
        turn.world.show(turn.connection, CONNECTIONS, &turn.session.origin, "");
    }
    // Who comes to a feed gets what was said in it last; who comes to a room gets its history.
    turn.world.join(turn.connection, &topic, if is_room { 0 } else { 1 });
    if is_room {
        room::entered(&mut turn);
    }
}

/// Take a connection out of a topic. A name ends with the last room that it was used in.
fn leave(world: &mut dyn World, connection: Connection, session: &mut Session, topic: &str) {
    room::left(world, connection, session, topic);
    session.joined.retain(|joined| joined.topic != topic);
    world.leave(connection, topic);
    if session.rooms().is_empty() {
        room::forget_name(world, session);
    }
}

/// A connection has ended: the others are told.
pub fn closed(world: &mut dyn World, connection: Connection, session: &mut Session) {
    for topic in session.rooms() {
        room::left(world, connection, session, &topic);
    }
    room::forget_name(world, session);
    session.joined.clear();
}
