//! The first screen: what serves where, and what to do next.

use std::path::Path;

use crate::{
    admin::ports::Ports,
    cli::{
        build::{languages, source::Source},
        output::{Style, columns},
    },
    manifest::{self, Manifest},
};

/// So many plugins have a line; with the rest of the screen it fits a terminal of 40 lines.
const MOST: usize = 26;

/// A plugin as it is introduced.
pub(super) struct Plugin {
    manifest: Manifest,
    language: Option<&'static str>,
}

/// All plugins that can be read.
pub(super) fn plugins(sources: &[Source]) -> Vec<Plugin> {
    let plugin = |source: &Source| {
        let manifest = manifest::read_file(&source.manifest()).ok()?;
        Some(Plugin { manifest, language: languages::of(&source.0).map(|it| it.name) })
    };
    sources.iter().filter_map(plugin).collect()
}

/// What a newcomer does next.
pub(super) fn welcome(ports: &Ports, folder: &Path, plugins: &[Plugin], style: Style) -> String {
    let base = format!("http://{}", ports.http);
    let rows: Vec<_> = plugins.iter().take(MOST).map(row).collect();
    let mut text = format!("\n{} {base}\n", style.green("serving"));
    for line in columns(&rows).lines() {
        text += &format!("  {line}\n");
    }
    if plugins.len() > MOST {
        text += &format!("  and {} more: `trellis plugins`\n", plugins.len() - MOST);
    }
    let next = [
        ("try", attempt(&base, plugins)),
        ("logs", Some("trellis logs --follow".to_owned())),
        ("look", Some(format!("trellis plugins, trellis topics (admin API: {})", ports.admin))),
        ("add", addition(folder)),
    ];
    text.push('\n');
    for (what, how) in next {
        text += &how
            .map(|how| format!("{}{how}\n", style.dim(&format!("{what:<6}"))))
            .unwrap_or_default();
    }
    text + "edit a plugin and save: it is built and swapped while it serves\n\n"
}

/// How to add a plugin, if the folder is one for several.
fn addition(folder: &Path) -> Option<String> {
    let another = folder.join("NAME");
    let is_one = folder.join("plugin.toml").is_file();
    (!is_one).then(|| format!("trellis new NAME --dir {} --lang go", another.display()))
}

/// Name, version, language, and where to find it.
fn row(Plugin { manifest, language }: &Plugin) -> Vec<String> {
    let version = manifest.version.clone().unwrap_or_default();
    vec![manifest.name.clone(), version, language.unwrap_or_default().to_owned(), place(manifest)]
}

/// Its shortest address, or what else runs it.
fn place(manifest: &Manifest) -> String {
    if let Some(path) = shortest(manifest) {
        return path;
    }
    let topics: Vec<_> = manifest.consume.iter().flat_map(|it| &it.topics).cloned().collect();
    if !topics.is_empty() {
        return format!("consumes {}", topics.join(", "));
    }
    match (manifest.listen.is_empty(), manifest.schedule.is_empty()) {
        (false, _) => "listens on a port of its own".to_owned(),
        (_, false) => "runs by the clock".to_owned(),
        _ => String::new(),
    }
}

/// The shortest of the paths that are asked for as they stand, or else of those with open ends.
fn shortest(manifest: &Manifest) -> Option<String> {
    let paths = manifest.routes().into_iter().map(|route| path(&route));
    paths.min_by_key(|path| (path.contains("..."), path.len()))
}

/// A first command: a request to a plugin that takes any path, which answers to whatever is asked,
/// or to any other; a message where none takes requests.
fn attempt(base: &str, plugins: &[Plugin]) -> Option<String> {
    let manifests = || plugins.iter().map(|plugin| &plugin.manifest);
    let routes = manifests().filter_map(|it| it.http.as_ref()).flat_map(|http| &http.routes);
    // Others are answered only under the name of their host.
    let routes: Vec<_> = routes.filter(|route| route.starts_with('/')).collect();
    let open = routes.iter().find(|route| route.contains("{*"));
    if let Some(route) = open.or(routes.first()) {
        return Some(format!("curl -i '{base}{}'", path(route).replace("...", "hello")));
    }
    let topic = manifests().flat_map(|it| &it.consume).find_map(|it| it.topics.first())?;
    Some(format!("trellis topics produce {topic} hello"))
}

/// The path of a route, with `...` for what is left open.
fn path(route: &str) -> String {
    let path = route.find('/').map_or(route, |slash| &route[slash..]);
    let segments =
        path.split('/').map(|segment| if segment.starts_with('{') { "..." } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn plugin(name: &str, text: &str) -> Plugin {
        let text = format!("name = \"{name}\"\nversion = \"0.1.0\"\n{text}");
        Plugin { manifest: manifest::read(&text, "plugin.toml").unwrap(), language: Some("go") }
    }

    fn shown(plugins: &[Plugin]) -> String {
        welcome(&ports(), Path::new("plugins"), plugins, Style(false))
    }

    fn ports() -> Ports {
        let [http, admin] = ["127.0.0.1:8080", "127.0.0.1:9080"].map(|it| it.parse().unwrap());
        Ports { http, more_http: Vec::new(), admin, pid: 1 }
    }

    #[test]
    fn each_plugin_has_one_line_with_its_shortest_address_or_what_runs_it() {
        let text = shown(&[
            plugin("radio", "[http]\nroutes = [\"/radio/\", \"/radio\", \"/{any}\"]"),
            plugin("tracker", "[http]\nroutes = [\"example.org/tracks/{*rest}\", \"/t/{*rest}\"]"),
            plugin("enricher", "[[consume]]\ntopics = [\"raw\", \"old\"]"),
        ]);
        assert_eq!(
            text.lines().take(6).collect::<Vec<_>>(),
            [
                "",
                "serving http://127.0.0.1:8080",
                "  radio     0.1.0  go  /radio",
                "  tracker   0.1.0  go  /t/...",
                "  enricher  0.1.0  go  consumes raw, old",
                "",
            ]
        );
        assert!(text.contains("\ntry   curl -i 'http://127.0.0.1:8080/t/hello'\n"), "{text}");
    }

    #[test]
    fn a_plugin_is_added_beside_others() {
        let dir = tempfile::tempdir().unwrap();
        assert!(addition(dir.path()).unwrap().starts_with("trellis new NAME --dir /"));
        std::fs::write(dir.path().join("plugin.toml"), "").unwrap();
        assert_eq!(addition(dir.path()), None);
    }

    #[test]
    fn where_nothing_takes_requests_a_message_is_tried() {
        let text = shown(&[plugin("tally", "[[consume]]\ntopics = [\"events\"]")]);
        assert!(text.contains("\ntry   trellis topics produce events hello\n"), "{text}");
        assert!(!shown(&[plugin("idle", "")]).contains("try "));
    }

    #[test]
    fn the_screen_fits_a_terminal_however_many_plugins_there_are() {
        let routes = "[http]\nroutes = [\"/a\", \"/a/\", \"/a/{b}\"]";
        let many: Vec<_> = (0..90).map(|number| plugin(&format!("p{number}"), routes)).collect();
        let text = shown(&many);
        assert!(text.lines().count() < 40 && text.contains("and 64 more"), "{text}");
        assert!(text.lines().all(|line| line.len() < 80), "{text}");
    }
}
