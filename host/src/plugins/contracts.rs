//! Which contracts go with which table of a manifest.
//!
//! A table asks for a trigger, and a component offers contracts; one without the other starts
//! nothing. The loader compares the two here, and `trellis build` reads here what a plugin has to
//! export. Whatever a trigger is called by stands in this one list.

use anyhow::bail;

use crate::{
    manifest::Manifest,
    runtime::exports::{Offered, connection, consumer, http, job, socket},
};

/// A table of the manifest, with the contracts by which what it starts is called.
#[derive(Debug)]
pub struct Contract {
    /// As it is written in a manifest: `[http]`.
    pub table: &'static str,
    /// The interfaces with their versions, of which a component exports one; the first is what the
    /// guest libraries export.
    interfaces: &'static [&'static str],
    /// What a component that exports one is said to have.
    role: &'static str,
    /// What stands in the table of the plugin [`NAME`], where the host cannot do without it.
    example: Option<&'static str>,
    is_asked: fn(&Manifest) -> bool,
    is_offered: fn(&Offered) -> bool,
}

/// Stands for the plugin in an example.
const NAME: &str = "NAME";

/// Every table that starts something.
pub const ALL: &[Contract] = &[
    Contract {
        table: "[http]",
        interfaces: &[http::PACKED, http::PLAIN, http::WASI_02, http::WASI_03],
        role: "HTTP handler",
        example: None,
        is_asked: |manifest| manifest.http.is_some(),
        is_offered: |offered| offered.http.is_some(),
    },
    Contract {
        table: "[[consume]]",
        interfaces: &[consumer::PACKED, consumer::PLAIN, consumer::MESSAGES],
        role: "consumer",
        example: None,
        is_asked: |manifest| !manifest.consume.is_empty(),
        is_offered: |offered| offered.consumer.is_some(),
    },
    Contract {
        table: "[connect]",
        interfaces: &[connection::INTERFACE],
        role: "connection handler",
        example: Some("`routes = [\"/NAME/socket\"]`"),
        is_asked: |manifest| manifest.connect.is_some(),
        is_offered: |offered| offered.connection,
    },
    Contract {
        table: "[[listen]]",
        interfaces: &[socket::INTERFACE],
        role: "socket handler",
        example: Some("`name = \"source\"` and `port = 8001`"),
        is_asked: |manifest| !manifest.listen.is_empty(),
        is_offered: |offered| offered.socket,
    },
    Contract {
        table: "[[schedule]]",
        interfaces: &[job::INTERFACE],
        role: "job handler",
        example: Some("`name = \"tidy\"` and `every = \"1h\"`"),
        is_asked: |manifest| !manifest.schedule.is_empty(),
        is_offered: |offered| offered.job,
    },
];

/// What a manifest asks for.
pub fn asked(manifest: &Manifest) -> impl Iterator<Item = &'static Contract> {
    ALL.iter().filter(|contract| (contract.is_asked)(manifest))
}

impl Contract {
    /// What the guest libraries export for it.
    pub fn interface(&self) -> &'static str {
        self.interfaces[0]
    }

    /// Whether one of these exports of a component is for it, of whatever version.
    pub fn is_among<'a>(&self, mut exports: impl Iterator<Item = &'a str>) -> bool {
        let names = || self.interfaces.iter().map(|interface| without_version(interface));
        exports.any(|export| names().any(|name| name == without_version(export)))
    }

    /// What a component exports that was made without a guest library.
    fn plain(&self) -> impl Iterator<Item = &'static str> {
        self.interfaces.iter().copied().filter(|interface| !interface.contains("/packed-"))
    }
}

/// `wasi:http/handler` of `wasi:http/handler@0.3.0`.
pub fn without_version(interface: &str) -> &str {
    interface.split_once('@').map_or(interface, |(name, _)| name)
}

/// What the manifest wants started must be there to start, and what is there must be started.
pub(super) fn check(manifest: &Manifest, offered: Offered) -> anyhow::Result<()> {
    let name = &manifest.name;
    for contract in ALL {
        let Contract { table, role, example, .. } = contract;
        let interface = contract.interface();
        match ((contract.is_offered)(&offered), (contract.is_asked)(manifest), example) {
            (false, true, _) => bail!(
                "plugin `{name}` has `{table}` in its manifest, but its component exports no \
                 {role}\nhint: export {}, or take `{table}` out",
                one_of(contract.plain())
            ),
            (true, false, Some(example)) => bail!(
                "plugin `{name}` exports a {role} (`{interface}`), but its manifest has no \
                 `{table}`\nhint: add `{table}` with {}",
                example.replace(NAME, name)
            ),
            _ => {}
        }
    }
    if offered == Offered::default() {
        bail!(
            "plugin `{name}` exports nothing that this host could start\nhint: export {}",
            one_of(ALL.iter().flat_map(Contract::plain))
        );
    }
    Ok(())
}

/// `a`, `b` or `c`
fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    let last = names.pop().unwrap_or_default();
    if names.is_empty() { last } else { format!("{} or {last}", names.join(", ")) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        crate::manifest::read(&format!("name = \"it\"\n{text}"), "plugin.toml").unwrap()
    }

    fn refusal(text: &str, offered: Offered) -> String {
        check(&manifest(text), offered).unwrap_err().to_string()
    }

    #[test]
    fn one_without_the_other_is_refused_with_what_to_write() {
        let job = Offered { job: true, ..Offered::default() };
        let every = "[[schedule]]\nname = \"tidy\"\nevery = \"1h\"\n";
        check(&manifest(every), job).unwrap();
        assert_eq!(
            refusal("", job),
            "plugin `it` exports a job handler (`trellis:jobs/job-handler@0.1.0`), but its manifest \
             has no `[[schedule]]`\nhint: add `[[schedule]]` with `name = \"tidy\"` and `every = \
             \"1h\"`"
        );
        assert_eq!(
            refusal(&format!("{every}[[consume]]\ntopics = [\"a\"]\n"), job),
            "plugin `it` has `[[consume]]` in its manifest, but its component exports no \
             consumer\nhint: export `trellis:kafka/consumer@0.1.0` or \
             `wasmcloud:messaging/handler@0.2.0`, or take `[[consume]]` out"
        );
        let connection = refusal("", Offered { connection: true, ..Offered::default() });
        assert!(connection.ends_with("`routes = [\"/it/socket\"]`"), "{connection}");
        assert!(refusal("", Offered::default()).contains("nothing that this host could start"));
    }

    #[test]
    fn handlers_and_consumers_need_no_table() {
        let http = Some(http::Form::Wasi02);
        check(&manifest(""), Offered { http, ..Offered::default() }).unwrap();
    }

    #[test]
    fn an_export_of_another_version_is_for_the_contract_all_the_same() {
        let contracts: Vec<_> = asked(&manifest("[http]\nroutes = [\"/it\"]\n")).collect();
        let [contract] = contracts[..] else { panic!("{contracts:?}") };
        assert_eq!(contract.interface(), "trellis:http/packed-handler@0.1.0");
        assert!(contract.is_among(["wasi:http/incoming-handler@0.2.9"].into_iter()));
        assert!(!contract.is_among(["wasi:http/types@0.2.0"].into_iter()));
    }
}
