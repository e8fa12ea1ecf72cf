//! Plugins in TypeScript and JavaScript: one file of all sources (esbuild), beside an engine
//! (QuickJS) in a component (componentize-qjs), while the types are checked (tsc).
//!
//! ```text
//!  plugin.ts ─┬─ tsc ──────────────────────────── file, line, what is wrong
//!  .trellis/ ─┴─ esbuild ─ one file ─ componentize ── component
//! ```
//! `build.mjs` of the guest library does all of it in one process of Node.js.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Context;

use self::node::Node;
use super::{Language, Progress, Project};
use crate::cli::{
    assets,
    build::{read, toolchain, world},
};
use crate::manifest::Manifest;

mod node;

pub(super) const TYPESCRIPT: Language = Language {
    name: "typescript",
    entry: "plugin.ts",
    equip: |project| equip(project, "plugin.ts"),
    compile: |project, progress| compile(project, "plugin.ts", progress),
};

pub(super) const JAVASCRIPT: Language = Language {
    name: "javascript",
    entry: "plugin.js",
    equip: |project| equip(project, "plugin.js"),
    compile: |project, progress| compile(project, "plugin.js", progress),
};

/// The guest library in the source tree, and below [`Project::generated`].
const LIBRARY: &str = "plugins/sdk/typescript";
const LAID_OUT: &str = "typescript";
/// What builds of plugins need of the library; the rest is for its own tests.
const PARTS: &[&str] = &["src/", "build.mjs", "package.json", "tsconfig.json"];
/// The compilers, by the versions that the library's lock file pins.
const TOOLCHAIN: &str = "componentize-qjs-0.4.5-esbuild-0.28.2-typescript-7.0.2";
/// A line of a world.
const RANDOM: &str = "    import wasi:random/random@0.2.12;\n";

/// Put the library, what the manifest says in its words, and the world where tools find them.
fn equip(project: &Project, entry: &str) -> anyhow::Result<()> {
    let handlers = handlers(project.manifest);
    let wanted = |path: &str| PARTS.iter().any(|part| path.starts_with(part));
    let files = assets::below(LIBRARY)
        .filter(|(path, _)| wanted(path))
        .map(|(path, bytes)| (PathBuf::from(path), bytes))
        .chain([(PathBuf::from("manifest.ts"), handlers.as_bytes())]);
    let folder = project.generated().join(LAID_OUT);
    let lay_out = || {
        fs::create_dir_all(&folder)?;
        assets::lay_out(&folder, files)
    };
    lay_out().with_context(|| format!("cannot write `{}`", folder.display()))?;
    write_world(project, entry)
}

/// The plugin's world with what the library wants besides: true randomness, and the hooks where the
/// plugin has any.
fn world(project: &Project, entry: &str) -> String {
    let text = world::text(project.manifest, hooks(project, entry));
    format!("{}{RANDOM}}}\n", text.trim_end().trim_end_matches('}'))
}

/// The world is made before the plugin runs, so its text has to tell.
fn hooks(project: &Project, entry: &str) -> &'static [&'static str] {
    let source = fs::read_to_string(project.folder.join(entry)).unwrap_or_default();
    world::hooks(&source, &["lifecycle"])
}

fn write_world(project: &Project, entry: &str) -> anyhow::Result<()> {
    let folder = project.generated().join("wit");
    fs::create_dir_all(&folder).with_context(|| format!("cannot write `{}`", folder.display()))?;
    world::write(project.manifest, hooks(project, entry), &folder)?;
    let random = assets::text("plugins/sdk/typescript/wit/random.wit");
    let write = || {
        fs::create_dir_all(folder.join("deps/random"))?;
        fs::write(folder.join("deps/random/random.wit"), random)?;
        fs::write(folder.join("plugin.wit"), world(project, entry))
    };
    write().with_context(|| format!("cannot write the world to `{}`", folder.display()))
}

/// The interfaces that a world imports.
fn imports(world: &str) -> impl Iterator<Item = &str> {
    let lines = world.lines().filter_map(|line| line.trim().strip_prefix("import "));
    lines.map(|line| line.trim_end_matches(';'))
}

/// The handlers that the manifest asks for, for the type checker and for the start of the plugin.
fn handlers(manifest: &Manifest) -> String {
    let all = [
        (manifest.http.is_some(), "http"),
        (!manifest.consume.is_empty(), "consume"),
        (manifest.connect.is_some(), "connections"),
        (!manifest.listen.is_empty(), "socket"),
        (!manifest.schedule.is_empty(), "job"),
    ];
    let names = all.iter().filter(|(wanted, _)| *wanted).map(|(_, name)| format!("\"{name}\""));
    let names: Vec<_> = names.collect();
    let types = if names.is_empty() { "never".to_owned() } else { names.join(" | ") };
    format!(
        "// What plugin.toml asks for. Made by `trellis build`.\n\
         export type Trigger = {types};\n\
         export const triggers: readonly Trigger[] = [{}];\n",
        names.join(", ")
    )
}

/// Build a plugin; its component is the answer.
fn compile(project: &Project, entry: &str, progress: &Progress) -> anyhow::Result<Vec<u8>> {
    let node = Node::find(progress)?;
    let tools = toolchain::install(TOOLCHAIN, progress, |folder| install(&node, folder, progress))?;
    let name = &project.manifest.name;
    let failed = format!("`{name}` does not build");
    if needs_packages(project.folder) {
        let locked = project.folder.join("package-lock.json").is_file();
        let mut npm = node.npm(if locked { "ci" } else { "install" });
        npm.current_dir(project.folder);
        let doing = format!("installing packages of {name}");
        node::run_npm(&mut npm, &doing, &failed, progress)?;
    }
    let out = tempfile::Builder::new().suffix(".wasm").tempfile().context("no file to build in")?;
    let world = world(project, entry);
    let mut build = node.run(&project.generated().join(LAID_OUT).join("build.mjs"));
    build.arg(&tools).arg(project.folder.join(entry)).arg(out.path()).args(imports(&world));
    let doing = format!("building {name}");
    toolchain::run(&mut build, &doing, &failed, node::REMEDY, progress)?;
    read(out.path())
}

/// The compilers, as the lock file says.
fn install(node: &Node, folder: &Path, progress: &Progress) -> anyhow::Result<()> {
    for file in ["package.json", "package-lock.json"] {
        fs::write(folder.join(file), assets::text(&format!("{LIBRARY}/toolchain/{file}")))?;
    }
    // `ci` refuses a lock without the packages for systems that componentize-qjs only announces;
    // `install` takes the versions of the lock and checks their digests as well.
    let mut npm = node.npm("install");
    npm.current_dir(folder);
    node::run_npm(&mut npm, "installing the compilers", "npm fails", progress)
}

/// Whether the plugin names packages that are not there as its files say now.
fn needs_packages(folder: &Path) -> bool {
    let Ok(package) = fs::read(folder.join("package.json")) else { return false };
    let package: serde_json::Value = serde_json::from_slice(&package).unwrap_or_default();
    let some =
        |key| package.get(key).and_then(|it| it.as_object()).is_some_and(|it| !it.is_empty());
    if !some("dependencies") && !some("devDependencies") {
        return false;
    }
    let written = |file: &str| modified(&folder.join(file)).ok();
    // npm writes it last.
    let Some(installed) = written("node_modules/.package-lock.json") else { return true };
    ["package.json", "package-lock.json"]
        .iter()
        .filter_map(|file| written(file))
        .any(|wanted| wanted > installed)
}

fn modified(file: &Path) -> io::Result<SystemTime> {
    File::open(file)?.metadata()?.modified()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        crate::manifest::read(&format!("name = \"it\"\n{text}"), "plugin.toml").unwrap()
    }

    #[test]
    fn the_toolchain_is_named_by_the_versions_it_has() {
        let package = assets::text("plugins/sdk/typescript/toolchain/package.json");
        let package: serde_json::Value = serde_json::from_str(package).unwrap();
        let versions = package["dependencies"].as_object().unwrap().iter();
        let names = versions.map(|(name, version)| format!("{name}-{}", version.as_str().unwrap()));
        assert_eq!(names.collect::<Vec<_>>().join("-"), TOOLCHAIN);
    }

    #[test]
    fn handlers_are_those_of_the_manifests_tables() {
        let both =
            handlers(&manifest("[http]\nroutes = [\"/it\"]\n[[consume]]\ntopics = [\"a\"]\n"));
        assert!(both.contains("type Trigger = \"http\" | \"consume\";"), "{both}");
        assert!(both.contains("= [\"http\", \"consume\"];"), "{both}");
        assert!(handlers(&manifest("")).contains("type Trigger = never;"));
    }

    #[test]
    fn a_project_gets_the_library_the_world_and_its_hooks() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = manifest("[http]\nroutes = [\"/it\"]\n");
        let project = Project { folder: dir.path(), manifest: &manifest };
        let world = || fs::read_to_string(dir.path().join(".trellis/wit/plugin.wit")).unwrap();
        equip(&project, "plugin.ts").unwrap();
        assert!(dir.path().join(".trellis/typescript/src/index.ts").is_file());
        assert!(!dir.path().join(".trellis/typescript/toolchain").exists());
        assert!(world().contains("import wasi:random/random") && !world().contains("lifecycle"));
        fs::write(dir.path().join("plugin.ts"), "export default plugin({ lifecycle: {} })")
            .unwrap();
        equip(&project, "plugin.ts").unwrap();
        assert!(world().contains("export trellis:plugin/lifecycle@0.1.0;"));
    }

    #[test]
    fn packages_are_installed_where_some_are_named_and_again_when_that_changes() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        assert!(!needs_packages(dir.path()));
        fs::write(file("package.json"), "{\"type\": \"module\", \"dependencies\": {}}").unwrap();
        assert!(!needs_packages(dir.path()));
        fs::write(file("package.json"), "{\"dependencies\": {\"a\": \"1\"}}").unwrap();
        assert!(needs_packages(dir.path()));
        fs::create_dir(file("node_modules")).unwrap();
        fs::write(file("node_modules/.package-lock.json"), "{}").unwrap();
        assert!(!needs_packages(dir.path()));
        let later = SystemTime::now() + std::time::Duration::from_secs(9);
        File::options()
            .write(true)
            .open(file("package.json"))
            .unwrap()
            .set_modified(later)
            .unwrap();
        assert!(needs_packages(dir.path()));
    }
}
