//! `trellis:kafka/packed-producer`: one buffer in, only the refusals out.

use bytes::{Buf, Bytes};
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Linker, Lower},
};

use super::{
    Instance, MAX_BYTES, MAX_RECORDS, State,
    host::{self, SendError, Until},
};
use crate::backends::log::{
    Outgoing,
    record::{self, Malformed, Tail},
};

/// The interface.
pub const INTERFACE: &str = "trellis:kafka/packed-producer@0.1.0";

#[derive(Debug, ComponentType, Lower)]
#[component(record)]
struct Rejected {
    index: u32,
    error: SendError,
}

type Answer = Result<Vec<Rejected>, SendError>;

/// Add `send` and `send-ahead`.
pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    for (name, until) in [("send", Until::Durable), ("send-ahead", Until::Ahead)] {
        interface.func_wrap_async(name, move |store, (packed,): (Bytes,)| {
            Box::new(async move { Ok((send(store, packed, until).await?,)) })
        })?;
    }
    Ok(())
}

async fn send(
    mut store: StoreContextMut<'_, State>,
    packed: Bytes,
    until: Until,
) -> wasmtime::Result<Answer> {
    let records = match unpack(host::producer(&mut store)?, packed) {
        Ok(records) => records,
        Err(error) => return Ok(Err(error)),
    };
    let answers = host::send(store, records, until).await?;
    let rejected = (0..)
        .zip(answers)
        .filter_map(|(index, answer)| Some(Rejected { index, error: answer.err()? }));
    Ok(Ok(rejected.collect()))
}

/// Take the buffer apart into records that share its bytes.
fn unpack(
    producer: &mut Instance,
    packed: Bytes,
) -> Result<Vec<Result<Outgoing, SendError>>, SendError> {
    if packed.len() > MAX_BYTES {
        return Err(SendError::TooLarge(MAX_BYTES as u64));
    }
    let mut rest = &packed[..];
    let version = rest.try_get_u32_le().map_err(|_| malformed("it has no head"))?;
    if version != u32::from(record::VERSION) {
        return Err(malformed("its version is not 1"));
    }
    let count = record::take_u32(&mut rest)? as usize;
    if count > MAX_RECORDS {
        return Err(SendError::TooLarge(MAX_RECORDS as u64));
    }
    let mut records = Vec::with_capacity(count);
    for _ in 0..count {
        let body = record::take_opt(&mut rest)?.ok_or(malformed("a record is null"))?;
        records.push(unpack_record(producer, &packed, body)?);
    }
    if rest.is_empty() { Ok(records) } else { Err(malformed("bytes are left over")) }
}

fn unpack_record(
    producer: &mut Instance,
    packed: &Bytes,
    mut body: &[u8],
) -> Result<Result<Outgoing, SendError>, SendError> {
    let short = |_| malformed("a record is too short");
    let partition = body.try_get_u32_le().map_err(short)?;
    let timestamp_ms = body.try_get_i64_le().map_err(short)?;
    let topic = record::take_opt(&mut body)?.ok_or(malformed("a topic is null"))?;
    Tail::check(body)?;
    let Some(topic) = std::str::from_utf8(topic).ok().and_then(|topic| producer.topic(topic))
    else {
        return Ok(Err(SendError::NotGranted(String::from_utf8_lossy(topic).into_owned())));
    };
    Ok(Ok(Outgoing {
        topic,
        partition: (partition != record::NULL).then_some(partition),
        timestamp_ms: (timestamp_ms != -1).then_some(timestamp_ms),
        tail: packed.slice_ref(body),
        trace: None,
    }))
}

fn malformed(what: &'static str) -> SendError {
    Malformed(what).into()
}

impl From<Malformed> for SendError {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error.0.into())
    }
}
