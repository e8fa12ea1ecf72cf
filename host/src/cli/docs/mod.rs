//! `trellis docs`: the manual as a folder of web pages.
//!
//! Nothing in it is written twice: the contracts are the WIT files, the settings the file of
//! defaults, the commands what `--help` says, and the code of the guide is that of the projects
//! that `trellis new` makes.

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::Args;

use super::{assets, output::Output};

mod commands;
mod guide;
mod literate;
mod markdown;
mod page;

use literate::Literate;
use page::Page;

/// Write the manual as web pages
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trellis docs                   into `target/docs`
  trellis docs --out /srv/www

Contracts, settings and commands of this very version, the guide to a first
plugin, and a page for each language.")]
pub(super) struct Arguments {
    /// Where the pages go
    #[arg(long, default_value = "target/docs", value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<()> {
    let pages = pages();
    let write = |name: &str, text: &str| {
        let file = arguments.out.join(name);
        let write = || {
            fs::create_dir_all(&arguments.out)?;
            fs::write(&file, text)
        };
        write().with_context(|| format!("cannot write `{}`", file.display()))
    };
    for page in &pages {
        write(&page.file(), &page.render(&pages))?;
    }
    write("style.css", page::STYLE)?;
    let index = arguments.out.join("index.html");
    match output.json {
        true => output.json(&serde_json::json!({ "index": index, "pages": pages.len() }))?,
        false => output.text(&format!("{}\n", index.display()))?,
    }
    Ok(())
}

/// All pages in the order of the menu.
fn pages() -> Vec<Page> {
    let mut pages = vec![
        Page::new("index", "", "Trellis", markdown::html(assets::text("README.md"))),
        Page::new("guide", "Guide", "Your first consumer", guide::html()),
    ];
    pages.extend(guide::languages());
    let contracts = Literate::wit();
    let ours = ["http", "kafka", "storage", "streaming", "jobs", "plugin"];
    pages.extend(ours.iter().map(|package| {
        let text = assets::text(&format!("wit/{package}/{package}.wit"));
        let title = format!("trellis:{package}");
        Page::new(&format!("wit-{package}"), "Contracts", &title, contracts.html(text))
    }));
    let settings = Literate::settings().html(assets::text("host/settings.toml"));
    pages.push(Page::new("settings", "Reference", "Settings", settings));
    pages.push(Page::new("commands", "Reference", "Commands", commands::html()));
    pages
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn page(name: &str) -> String {
        let pages = pages();
        pages.iter().find(|page| page.file() == name).unwrap().render(&pages)
    }

    #[test]
    fn every_contract_setting_and_command_is_on_its_page() {
        for (name, text) in [
            ("wit-kafka.html", "packed-consumer"),
            ("wit-http.html", "send-all"),
            ("settings.html", "drain-timeout"),
            ("commands.html", "trellis topics replay"),
            ("guide.html", "[[consume]]"),
        ] {
            assert!(page(name).contains(text), "{name} has no `{text}`");
        }
    }

    #[test]
    fn every_link_between_pages_leads_to_a_page() {
        let pages = pages();
        let files: Vec<_> = pages.iter().map(Page::file).collect();
        for page in &pages {
            for link in page.render(&pages).split("href=\"").skip(1) {
                let link = link.split('"').next().unwrap();
                let inside = !link.contains(':') && !link.starts_with('#') && link != "style.css";
                let file = link.split('#').next().unwrap().to_owned();
                assert!(!inside || files.contains(&file), "{} leads to `{link}`", page.file());
            }
        }
    }
}
