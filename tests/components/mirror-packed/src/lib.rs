//! Says back what it was told, through the packed contracts. `mirror-plain` does the same through
//! the plain ones, and one test holds the two to each other.

use trellis_sdk::{
    consumer::{Batch, Failure},
    http::{Request, Response},
    producer::{Record, Records},
};

trellis_sdk::http!(answer);
trellis_sdk::consumer!(mirror);

/// What was asked, line by line; a POST also goes to the topic `source`, one record a line. With
/// the query `ahead` each line is sent ahead, one after the other.
pub fn answer(request: Request<'_>) -> Response {
    let ours = request.headers().filter(|(name, _)| name.starts_with("x-test"));
    let headers: Vec<_> =
        ours.map(|(name, value)| (name, String::from_utf8_lossy(value))).collect();
    let said = format!(
        "{} {} {} {}\nquery {:?}\nparams {:?}\nheaders {headers:?}\nclient {}\nbody {:?}\n",
        request.method(),
        request.scheme(),
        request.host(),
        request.path().replace("packed", "FORM"),
        request.query(),
        request.params().collect::<Vec<_>>(),
        request.client_ip(),
        request.body(),
    );
    let lines: Vec<_> =
        request.body().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let sent = match request.query() {
        Some("ahead") => {
            lines.iter().try_for_each(|line| records(&[line]).send_ahead()).map(|()| 0)
        }
        _ => records(&lines).send_each().map(|rejected| rejected.len()),
    };
    Response::text(format!("{said}sent {sent:?}\n"))
        .with_status(201)
        .with_header("x-test-answer", "yes")
}

fn records(lines: &[&[u8]]) -> Records {
    let mut records = Records::new();
    for line in lines {
        let record = Record::to("source").partition(0).key(b"key").value(line);
        records.push(&record.headers(&[("a", Some(b"1")), ("b", None)]));
    }
    records
}

/// Each message again in `mirrored-packed`, with where it came from; `poison` is refused.
pub fn mirror(batch: Batch<'_>) -> Result<(), Failure> {
    let mut records = Records::new();
    for (index, message) in batch.iter().enumerate() {
        if message.value() == Some(b"poison") {
            return Err(Failure::dead_letter(index, "asked to refuse"));
        }
        let origin = format!("{}/{}/{}", batch.topic(), batch.partition(), message.offset());
        let mut headers: Vec<_> = message.headers().collect();
        headers.push(("origin", Some(origin.as_bytes())));
        let record = Record::to("mirrored-packed").timestamp_ms(message.timestamp_ms());
        let mut record = record.headers(&headers);
        if let Some(key) = message.key() {
            record = record.key(key);
        }
        if let Some(value) = message.value() {
            record = record.value(value);
        }
        records.push(&record);
    }
    records.send().map_err(|error| Failure::retry(0, trellis_sdk::producer::describe(&error)))
}
