//! Says back what it was told, through the plain contracts, without an SDK. `mirror-packed` does
//! the same through the packed ones, and one test holds the two to each other.

mod bindings {
    #![allow(unsafe_code, missing_docs, clippy::all, unused_qualifications)]
    wit_bindgen::generate!({
        path: ["../../../wit/http", "../../../wit/kafka"],
        inline: "
            package test:mirror-plain;
            world mirror {
                import trellis:kafka/producer@0.1.0;
                export trellis:http/handler@0.1.0;
                export trellis:kafka/consumer@0.1.0;
            }
        ",
        generate_all,
    });
}

use bindings::{
    exports::trellis::{
        http::handler::{self, Request, Response},
        kafka::consumer::{self, Batch, Failure},
    },
    trellis::kafka::{
        producer,
        types::{FailureAction, RecordToSend},
    },
};

struct Mirror;

impl handler::Guest for Mirror {
    fn handle(request: Request) -> Response {
        let mut headers = request.headers;
        headers.retain(|(name, _)| name.starts_with("x-test"));
        let said = format!(
            "{} {} {} {}\nquery {:?}\nparams {:?}\nheaders {headers:?}\nclient {}\nbody {:?}\n",
            request.method,
            request.scheme,
            request.host,
            request.path.replace("plain", "FORM"),
            request.query,
            request.params,
            request.client_ip,
            request.body,
        );
        let lines = request.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let records: Vec<_> = lines
            .map(|line| RecordToSend {
                topic: "source".into(),
                partition: Some(0),
                timestamp_ms: None,
                key: Some(b"key".to_vec()),
                value: Some(line.to_vec()),
                headers: vec![("a".into(), Some(b"1".to_vec())), ("b".into(), None)],
            })
            .collect();
        let rejected = match request.query.as_deref() {
            Some("ahead") => {
                records.chunks(1).flat_map(producer::send_ahead).filter(Result::is_err).count()
            }
            _ => producer::send(&records).into_iter().filter(Result::is_err).count(),
        };
        Response {
            status: 201,
            headers: vec![
                ("content-type".into(), "text/plain; charset=utf-8".into()),
                ("x-test-answer".into(), "yes".into()),
            ],
            body: format!("{said}sent {:?}\n", Ok::<_, ()>(rejected)).into_bytes(),
        }
    }
}

impl consumer::Guest for Mirror {
    fn handle(batch: Batch) -> Result<(), Failure> {
        let mut records = Vec::new();
        for (index, message) in (0..).zip(batch.messages) {
            if message.value.as_deref() == Some(b"poison") {
                let reason = "asked to refuse".to_owned();
                return Err(Failure { index, reason, action: FailureAction::DeadLetter });
            }
            let origin = format!("{}/{}/{}", batch.topic, batch.partition, message.offset);
            let mut headers = message.headers;
            headers.push(("origin".into(), Some(origin.into_bytes())));
            records.push(RecordToSend {
                topic: "mirrored-plain".into(),
                partition: None,
                timestamp_ms: Some(message.timestamp_ms),
                key: message.key,
                value: message.value,
                headers,
            });
        }
        match producer::send(&records).into_iter().find_map(Result::err) {
            None => Ok(()),
            Some(error) => Err(Failure {
                index: 0,
                reason: format!("{error:?}"),
                action: FailureAction::Retry(None),
            }),
        }
    }
}

#[cfg(target_family = "wasm")]
const _: () = {
    #[allow(unsafe_code, reason = "the generated exports are extern functions")]
    mod export {
        use super::{Mirror, bindings};
        bindings::export!(Mirror with_types_in bindings);
    }
};
