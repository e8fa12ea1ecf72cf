//! pip, from which most tools come, and what it says in the words of somebody who wants a plugin.

use std::{path::Path, process::Command};

use super::{Progress, run as run_tool};
use crate::cli::Hinted;

const NO_PYTHON: &str = "install Python 3.9 or newer with pip: `apt install python3 python3-pip`, \
                         or https://www.python.org/downloads";
const NO_NETWORK: &str = "connect to the network, or set `PIP_INDEX_URL` to an index that can be \
                          reached; what is installed once stays";

/// Python, without a look into the folder of somebody else's modules.
pub(in crate::cli::build) fn python() -> Command {
    let mut python = Command::new("python3");
    python.env_remove("PYTHONHOME").env_remove("PYTHONPATH").env("PYTHONDONTWRITEBYTECODE", "1");
    python
}

/// `pip install` of wheels into a directory; which is to be added. Modules are not compiled for an
/// interpreter that may not be theirs.
pub(in crate::cli::build) fn install(target: &Path) -> Command {
    let mut pip = python();
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
        // An index that is not there is known soon.
        .args(["--no-compile", "--only-binary", ":all:", "--retries", "2", "--target"])
        .arg(target)
        // It warns of what does not concern a directory of its own.
        .env("PIP_ROOT_USER_ACTION", "ignore");
    pip
}

/// Run a command of [`install`].
pub(in crate::cli::build) fn run(
    pip: &mut Command,
    doing: &str,
    progress: &Progress,
) -> anyhow::Result<()> {
    let ran = run_tool(pip, doing, "", NO_PYTHON, progress);
    ran.map(drop).map_err(|error| match error.is::<Hinted>() {
        true => error,
        false => readable(&error.to_string()),
    })
}

/// Run Python; where there is none, say where to get it.
pub(in crate::cli::build) fn run_python(
    python: &mut Command,
    doing: &str,
    progress: &Progress,
) -> anyhow::Result<String> {
    run_tool(python, doing, "", NO_PYTHON, progress)
}

/// What pip says, without its warnings of each time it tried.
fn readable(said: &str) -> anyhow::Error {
    if said.contains("No module named pip") {
        return Hinted::new("`python3` has no pip", NO_PYTHON).into();
    }
    // One attempt of several may have failed before the index answered.
    let answered = said.contains("(from versions:") && !said.contains("(from versions: none)");
    if let Some(reason) = said.lines().find_map(unreachable).filter(|_| !answered) {
        return Hinted::new(format!("pip reaches no index: {reason}"), NO_NETWORK).into();
    }
    let errors: Vec<_> =
        said.lines().filter_map(|line| line.strip_prefix("ERROR: ")).map(str::trim).collect();
    match errors.is_empty() {
        true => anyhow::anyhow!("pip fails\n{}", said.trim()),
        false => anyhow::anyhow!("pip fails: {}", errors.join("; ")),
    }
}

/// Why a line says that there is no connection: the text in the innermost of the exceptions.
fn unreachable(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("after connection broken by ")?;
    let (exception, _) = rest.rsplit_once(": /").unwrap_or((rest, ""));
    let text = exception.rsplit_once(">: ").map_or(exception, |(_, text)| text);
    Some(text.trim_start_matches(['\'', '"']).trim_end_matches(['\'', '"', ')']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_is_not_there_is_one_line() {
        let tried = "WARNING: Retrying (Retry(total=1, connect=None, read=None, redirect=None, \
                     status=None)) after connection broken by \
                     'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object \
                     at 0x7f1>: Failed to establish a new connection: [Errno 111] Connection \
                     refused')': /simple/it/\n";
        let said = tried.repeat(2) + "ERROR: No matching distribution found for it==1\n";
        assert_eq!(
            readable(&said).to_string(),
            "pip reaches no index: Failed to establish a new connection: [Errno 111] Connection \
             refused"
        );
        let other = "WARNING: it after connection broken by 'ProxyError('no proxy')': /simple/";
        assert_eq!(unreachable(other), Some("ProxyError('no proxy"));
        let answered = said + "ERROR: No matching distribution for it==9 (from versions: 1, 2)";
        assert!(readable(&answered).to_string().contains("from versions: 1, 2"));
    }

    #[test]
    fn what_is_wrong_is_told_without_what_is_none() {
        let said = "WARNING: it is old\nERROR: there is none (from versions: 1)\nERROR: no it==2\n";
        let told = "pip fails: there is none (from versions: 1); no it==2";
        assert_eq!(readable(said).to_string(), told);
        assert_eq!(
            readable("/bin/python3: No module named pip").to_string(),
            "`python3` has no pip"
        );
        assert_eq!(readable("\nit broke\n").to_string(), "pip fails\nit broke");
    }
}
