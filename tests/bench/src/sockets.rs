//! What the system keeps for connections, as `ss` tells it.

use std::{net::SocketAddr, process::Command};

use anyhow::{Context, Result, ensure};

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct End {
    /// The address at the other end.
    pub peer: SocketAddr,
    /// The bytes that are kept to be sent or acknowledged, and those that were not read, with what
    /// the system needs to keep them.
    pub kept: u64,
}

/// The ends of all connections that a server has on its address.
pub fn ends_at(server: SocketAddr) -> Result<Vec<End>> {
    let filter = format!("( src = {} and sport = :{} )", server.ip(), server.port());
    let output = Command::new("ss").args(["-Otmn", "state", "established", &filter]).output();
    let output = output.context("`ss` does not start: install iproute2")?;
    ensure!(output.status.success(), "ss: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let lines = text.lines().skip(1).filter(|line| !line.trim().is_empty());
    lines.map(|line| end(line).with_context(|| format!("ss says: {line}"))).collect()
}

/// `0 0 127.0.0.1:80 127.0.0.1:5000 skmem:(r0,rb131072,t0,tb87040,f0,w0,o0,bl0,d0)`
fn end(line: &str) -> Option<End> {
    let mut words = line.split_ascii_whitespace();
    let peer = words.nth(3)?.parse().ok()?;
    let memory = words.find_map(|word| word.strip_prefix("skmem:(")?.strip_suffix(')'))?;
    let of = |key: &str| {
        let number = |field: &str| field.strip_prefix(key)?.parse::<u64>().ok();
        memory.split(',').find_map(number)
    };
    // `t` is the part of `w` that is on its way; `rb` and `tb` are what there may be.
    Some(End { peer, kept: of("r")? + of("f")? + of("w")? + of("o")? + of("bl")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_told_from_what_may_be() {
        let line = "0  9 127.0.0.1:80  127.0.0.1:5000 \
                    skmem:(r1,rb131072,t7,tb87040,f20,w300,o4000,bl50000,d6) ";
        let peer = ([127, 0, 0, 1], 5000).into();
        assert_eq!(end(line), Some(End { peer, kept: 54_321 }));
        assert_eq!(end("0 9 127.0.0.1:80 127.0.0.1:5000"), None);
    }
}
