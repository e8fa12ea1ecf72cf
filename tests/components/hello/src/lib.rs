//! Answers with what its configuration says, and misbehaves in every way a test asks for: the
//! last segment of the path decides; where that is `deed`, the configuration.

use trellis_sdk::http::{Request, Response};

trellis_sdk::http!(answer);

/// Answer, or do what the path says.
pub fn answer(request: Request<'_>) -> Response {
    let asked = request.path().rsplit('/').next().unwrap_or_default();
    let configured = (asked == "deed").then(|| trellis_sdk::config::get("deed")).flatten();
    match configured.as_deref().unwrap_or(asked) {
        "panic" => panic!("asked to panic"),
        "loop" => spin(),
        "allocate" => allocate(),
        "recurse" => Response::text(recurse(1).to_string()),
        "large" => Response::text("x".repeat(20 << 20)),
        "echo" => Response::text(String::from_utf8_lossy(request.body()).into_owned()),
        "status" => Response::new(999),
        "sorry" => Response::new(500),
        _ => Response::text(trellis_sdk::config::get("answer").unwrap_or_default()),
    }
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

fn allocate() -> ! {
    let mut kept = Vec::new();
    loop {
        kept.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

fn recurse(depth: u64) -> u64 {
    let deeper = if std::hint::black_box(depth) == 0 { 0 } else { recurse(depth + 1) };
    std::hint::black_box(deeper).wrapping_add(1)
}
