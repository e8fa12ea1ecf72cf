//! A room: what one says, all hear. `npx wscat -c ws://127.0.0.1:8080/{{name}}/ada`

use trellis_sdk::{
    channels::{self, Frame, Start},
    connection::{Accepted, Connections, Event, Refused, Request, What},
};

trellis_sdk::connection!(Room);

struct Room;

impl Connections for Room {
    fn open(request: Request) -> Result<Accepted, Refused> {
        let who = request.param("who").unwrap_or("nobody").to_owned();
        Ok(Accepted::new().tag(who).join("room", Start::Recent(10)))
    }

    fn events(batch: Vec<Event>) {
        for event in batch {
            if let What::Message(Frame::Text(text)) = event.what {
                let _ = channels::publish("room", format!("{}: {text}", event.tag));
            }
        }
    }
}
