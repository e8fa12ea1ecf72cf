//! Keeps web pages out of an API that only this machine reaches.
//!
//! A page of a stranger can give its own name the address of this machine, and is then free to read
//! what needs no token. Its requests still carry that name.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::error::Error;

/// Let only those pass that ask this machine by a name of its own.
pub(super) async fn check(request: Request, next: Next) -> Response {
    // A browser always sends one.
    let host = request.headers().get(header::HOST);
    if host.is_none_or(|host| host.to_str().is_ok_and(is_local)) {
        return next.run(request).await;
    }
    Error::new(StatusCode::MISDIRECTED_REQUEST, "this address answers to `localhost` alone")
        .hint("ask `127.0.0.1` or `localhost`, or let `[admin] listen` name another address")
        .into_response()
}

/// Whether a host with or without its port is this machine whoever resolves it.
fn is_local(host: &str) -> bool {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => bare,
        _ => host,
    };
    let address = bare.strip_prefix('[').and_then(|bare| bare.strip_suffix(']')).unwrap_or(bare);
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    bare.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_cannot_lead_elsewhere_are_of_this_machine() {
        for host in
            ["localhost", "LOCALHOST:9080", "127.0.0.1:9080", "127.1.2.3", "[::1]:1", "[::1]"]
        {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1:80@evil.example",
            "10.0.0.1",
            "",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
