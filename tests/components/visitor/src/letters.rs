//! `wasmcloud:messaging`: letters that are sent, and answered where they come from.

use crate::bindings::{
    exports::wasmcloud::messaging::handler::Guest,
    wasmcloud::messaging::{consumer, types::BrokerMessage},
};

/// The handler of the topic `letters`.
pub struct Letters;

/// `send` a letter that wants an answer, or `request` one.
pub fn answer(deed: &str, name: &str, body: &[u8]) -> Result<Vec<u8>, String> {
    match deed {
        "send" => {
            let reply_to = (name == "letters").then(|| "answers".to_owned());
            let letter = BrokerMessage { subject: name.to_owned(), body: body.to_vec(), reply_to };
            consumer::publish(&letter).map(|()| b"sent".to_vec())
        }
        "request" => consumer::request(name, body, 1000).map(|answer| answer.body),
        _ => Err(format!("there is no `letters/{deed}`")),
    }
}

impl Guest for Letters {
    fn handle_message(letter: BrokerMessage) -> Result<(), String> {
        match &*letter.body {
            b"refuse" => return Err("asked to refuse".to_owned()),
            b"trap" => panic!("asked to trap"),
            _ => {}
        }
        let Some(subject) = letter.reply_to else { return Ok(()) };
        let body = [b"answer to ", &*letter.body].concat();
        consumer::publish(&BrokerMessage { subject, body, reply_to: None })
    }
}
