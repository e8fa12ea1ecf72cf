//! Uses a database and a key-value store from inside, and fails in the middle of a transaction
//! when asked to: `/<name>/<deed>/<text>`.

use trellis_sdk::{
    http::{Request, Response},
    keyvalue::Store,
    sql,
};

trellis_sdk::http!(answer);

/// Do what the path says; an error of the host's is the answer, with its words.
pub fn answer(request: Request<'_>) -> Response {
    let mut path = request.path().split('/').skip(2);
    let (deed, text) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
    match deed {
        "entries" => text_of(entries()),
        "add" => text_of(add(text, || ())),
        "trap" => text_of(add(text, || panic!("asked to panic in a transaction"))),
        "hang" => text_of(add(text, || {
            loop {
                std::hint::spin_loop();
            }
        })),
        "put" => text_of(
            Store::open("default")
                .and_then(|store| store.set("text", text.as_bytes()))
                .map(|()| "put".to_owned()),
        ),
        "get" => text_of(Store::open("default").and_then(|store| store.get("text")).map(|value| {
            value.map_or("nothing".to_owned(), |value| String::from_utf8_lossy(&value).into_owned())
        })),
        "open" => text_of(Store::open(text).map(|_| "opened".to_owned())),
        _ => Response::new(404),
    }
}

fn text_of<E: std::fmt::Debug>(outcome: Result<String, E>) -> Response {
    match outcome {
        Ok(text) => Response::text(text),
        Err(error) => Response::text(format!("{error:?}")).with_status(409),
    }
}

/// All entries, sorted.
fn entries() -> Result<String, sql::Error> {
    let rows = sql::query("SELECT text FROM entries ORDER BY text", &[])?;
    let texts: Vec<String> = rows.iter().filter_map(|row| row.get("text").ok()).collect();
    Ok(texts.join(" "))
}

/// Add an entry in a transaction, in which something else happens before its end.
fn add(text: &str, then: impl FnOnce()) -> Result<String, sql::Error> {
    sql::transaction(|transaction| {
        transaction.execute("INSERT INTO entries (text) VALUES ($1)", &[text.into()])?;
        then();
        Ok("added".to_owned())
    })
}
