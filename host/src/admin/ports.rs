//! Where a running host listens: written once it is ready, read by the command line and by
//! whoever started it.

use std::{
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The addresses of a running host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ports {
    /// Where plugins answer: the first address.
    pub http: SocketAddr,
    /// The further ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_http: Vec<SocketAddr>,
    /// Where this API answers.
    pub admin: SocketAddr,
    /// The process.
    pub pid: u32,
}

impl Ports {
    /// Write them so that a reader sees all or nothing.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let mut file = tempfile::NamedTempFile::new_in(dir.unwrap_or(Path::new(".")))?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        file.persist(path).map(drop).map_err(|error| error.error)
    }

    /// Read what a host has written.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    }
}

/// Where a host writes them for its own tools.
pub fn file(run_dir: &Path) -> PathBuf {
    run_dir.join("ports.json")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path());
        let ports = Ports {
            http: "[::1]:80".parse().unwrap(),
            more_http: vec!["127.0.0.1:81".parse().unwrap()],
            admin: "127.0.0.1:9".parse().unwrap(),
            pid: 1,
        };
        ports.write(&path).unwrap();
        assert_eq!(Ports::read(&path).unwrap(), ports);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
