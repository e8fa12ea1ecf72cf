//! Lines over TCP: each client has an instance of its own, which counts what it was told. Clients ask
//! for whatever a test wants to see. A schedule counts its runs.
//!
//! | line | what happens |
//! |---|---|
//! | `say TEXT` | the client gets `COUNT TEXT`, the count being that of its lines |
//! | `who` | it gets its number, listener and address |
//! | `join ROOM` | it hears a channel |
//! | `big BYTES` | it gets so many bytes, and `drained` once it has taken them |
//! | `wake MS` | it gets `woken` after so many milliseconds |
//! | `stay` | it does not go on with the next version |
//! | `bye` | it gets `bye` and is closed |
//! | `trap` | its instance traps |
//! | `spin` | its instance never answers |
//!
//! What `closed` is told lies in the key `said`. A run of the schedule fails while the key `fail` is
//! there.

use trellis_sdk::{
    channels::{self, Start},
    http::{self, Response},
    job::Job,
    keyvalue::Store,
    socket::{Arrival, Reply, Socket},
};

trellis_sdk::socket!(Lines);
trellis_sdk::job!(run);
trellis_sdk::http!(answer);

/// The key-value store of the plugin.
const STORE: &str = "default";

/// One client.
struct Lines {
    arrival: Arrival,
    /// The lines it has sent.
    count: u64,
    /// The beginning of its next one.
    rest: Vec<u8>,
    stays: bool,
}

impl Socket for Lines {
    fn open(arrival: Arrival) -> (Self, Reply) {
        (Self { arrival, count: 0, rest: Vec::new(), stays: false }, Reply::send("hello\n"))
    }

    fn data(&mut self, bytes: Vec<u8>) -> Reply {
        self.rest.extend(bytes);
        let mut reply = Reply::nothing();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.count += 1;
            self.obey(String::from_utf8_lossy(&line).trim_end(), &mut reply);
        }
        reply
    }

    fn drained(&mut self) -> Reply {
        Reply::send("drained\n")
    }

    fn woken(&mut self) -> Reply {
        Reply::send("woken\n")
    }

    fn closed(&mut self, reason: String) {
        let said = format!("{} lines, {reason}", self.count);
        Store::open(STORE).and_then(|store| store.set("said", said.as_bytes())).expect("kept");
    }

    fn save(&self) -> Option<Vec<u8>> {
        let count = self.count.to_be_bytes();
        (!self.stays).then(|| [&count[..], &self.rest].concat())
    }

    fn restore(arrival: Arrival, saved: Vec<u8>) -> Result<(Self, Reply), String> {
        let (count, rest) = saved.split_first_chunk().ok_or("it is too short")?;
        let (count, rest) = (u64::from_be_bytes(*count), rest.to_vec());
        Ok((Self { arrival, count, rest, stays: false }, Reply::nothing()))
    }
}

impl Lines {
    fn obey(&mut self, line: &str, reply: &mut Reply) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let say = |text: String, reply: &mut Reply| reply.send.extend(text.into_bytes());
        match verb {
            "say" => say(format!("{} {rest}\n", self.count), reply),
            "who" => {
                let Arrival { connection, listener, client_ip, client_port, .. } = &self.arrival;
                say(format!("{connection} {listener} {client_ip} {client_port}\n"), reply);
            }
            "join" => {
                let joined = channels::join(self.arrival.connection, rest, Start::Next);
                say(format!("{joined:?}\n"), reply);
            }
            "big" => {
                reply.send.extend(vec![b'x'; rest.parse().unwrap_or(0)]);
                reply.tell_drained = true;
            }
            "wake" => reply.wake_ms = rest.parse().ok(),
            "stay" => self.stays = true,
            "bye" => {
                say("bye\n".to_owned(), reply);
                reply.close = Some("asked".to_owned());
            }
            "trap" => panic!("asked to trap"),
            "spin" => loop {
                std::hint::black_box(0);
            },
            _ => say(format!("`{verb}` is no verb\n"), reply),
        }
    }
}

fn run(job: Job) -> Result<(), String> {
    let store = Store::open(STORE).map_err(|error| format!("{error:?}"))?;
    if store.get("fail").map_err(|error| format!("{error:?}"))?.is_some() {
        return Err("asked to fail".to_owned());
    }
    store.increment(&job.name, 1).map(drop).map_err(|error| format!("{error:?}"))
}

fn answer(request: http::Request<'_>) -> http::Result {
    let last = request.path().rsplit('/').next().unwrap_or_default().to_owned();
    let store = Store::open(STORE)?;
    if let Some(room) = request.param("room") {
        channels::publish(room, request.body().to_vec())?;
        return Ok(Response::text("said"));
    }
    if let Some(number) = request.param("number") {
        channels::close(number.parse()?, channels::NORMAL, "from elsewhere")?;
        return Ok(Response::text("closed"));
    }
    if request.method() == "POST" {
        store.set(&last, request.body())?;
    }
    let value = match last.as_str() {
        "runs" => store.increment("runs", 0)?.to_string(),
        _ => String::from_utf8_lossy(&store.get(&last)?.unwrap_or_default()).into_owned(),
    };
    Ok(Response::text(value))
}
