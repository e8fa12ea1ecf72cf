//! Plugins in Python: componentize-py runs the plugin's module once, and the component is the
//! interpreter with what was in memory then.
//!
//! ```text
//!  plugin.py ─┐
//!  .trellis/python (the library) ──┼── componentize-py ── component
//!  .trellis/wit (the world) ───────┤
//!  dependencies of pyproject.toml ─┘  installed once, kept by what they are
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use toml::Table;

use super::{Language, Progress, Project};
use crate::cli::{
    Hinted, assets,
    build::{
        read,
        toolchain::{self, pip},
        world,
    },
};

pub(super) const PYTHON: Language = Language { name: "python", entry: "plugin.py", equip, compile };

/// The version that is installed. Its interpreter is Python 3.14.
const COMPONENTIZE: &str = "0.25.0";
/// The interpreter's version, for the choice of dependencies.
const INTERPRETER: &str = "3.14";
/// The module that a component begins with; it imports `plugin`.
const ENTRY: &str = "trellis_entry";
/// Where modules lie in what componentize-py takes for a virtual environment.
const SITE: &str = "lib/site-packages";
/// What runs the tool, whose own script names the interpreter it was installed with.
const START: &str = "import sys; sys.argv[0] = 'componentize-py'\n\
                     from componentize_py import script; sys.exit(script())";
const PURE: &str = "only packages with a wheel in pure Python (`…-none-any.whl`) run in a plugin; \
                    pypi.org lists the files of each";
/// Where the tool mounts the first directory of its path.
const LIBRARY_MOUNT: &str = "0";

/// Lay out the library and the world.
fn equip(project: &Project) -> anyhow::Result<()> {
    let generated = project.generated();
    let library = generated.join("python");
    let wanted = |path: &str| path.ends_with(".py") || path.ends_with("py.typed");
    let files = assets::below("plugins/sdk/python")
        .filter(|(path, _)| wanted(path) && !path.starts_with("tests/"))
        .map(|(path, bytes)| (PathBuf::from(path), bytes));
    fs::create_dir_all(&library)
        .and_then(|()| assets::lay_out(&library, files))
        .with_context(|| format!("cannot write `{}`", library.display()))?;
    // The world is made before the plugin runs, so its text has to tell.
    let source = fs::read_to_string(project.folder.join(PYTHON.entry)).unwrap_or_default();
    let hooks = world::hooks(&source, &["lifecycle"]);
    world::write(project.manifest, hooks, &generated.join("wit"))
}

/// Make the component.
fn compile(project: &Project, progress: &Progress) -> anyhow::Result<Vec<u8>> {
    let (name, generated) = (&project.manifest.name, project.generated());
    let tool = componentize(progress)?;
    let package = Package::read(project.folder)?;
    let environment = match package.dependencies.is_empty() {
        true => tool.clone(),
        false => install(&package.dependencies, progress)?,
    };
    let out = tempfile::Builder::new().prefix("trellis-").suffix(".wasm").tempfile()?;
    let mut python = pip::python();
    python
        .args(["-c", START, "--wit-path"])
        .arg(generated.join("wit"))
        .args(["--world", world::WORLD])
        // Names of modules that are the same whatever else is in the world.
        .args(["--quiet", "--full-names", "componentize", ENTRY, "--python-path"])
        .arg(generated.join("python"))
        .arg("--python-path")
        .arg(project.folder)
        .args(package.path.iter().flat_map(|folder| ["--python-path".into(), folder.clone()]))
        .arg("--output")
        .arg(out.path())
        .env("PYTHONPATH", &tool)
        // Else it would take what is installed for other programs.
        .env("VIRTUAL_ENV", &environment)
        // Its errors are the plugin's, not of the tool's own code.
        .env("RUST_BACKTRACE", "0");
    let doing = format!("building {name}");
    pip::run_python(&mut python, &doing, progress).map_err(|error| match error.is::<Hinted>() {
        true => error,
        false => told(name, &error.to_string()),
    })?;
    read(out.path())
}

/// componentize-py, installed where it is missing.
fn componentize(progress: &Progress) -> anyhow::Result<PathBuf> {
    let place = toolchain::from_pypi("componentize-py", COMPONENTIZE, progress)?;
    // The environment of plugins without dependencies.
    let site = place.join(SITE);
    fs::create_dir_all(&site).with_context(|| format!("cannot write `{}`", site.display()))?;
    Ok(place)
}

/// The environment with these dependencies, which are in pure Python: native code of others does
/// not run in a component.
fn install(wanted: &[String], progress: &Progress) -> anyhow::Result<PathBuf> {
    let digest = blake3::hash(wanted.join("\n").as_bytes()).to_hex();
    toolchain::install(&format!("python-packages-{:.16}", digest.as_str()), progress, |place| {
        let mut pip = pip::install(&place.join(SITE));
        pip.args(["--python-version", INTERPRETER])
            .args(["--implementation", "py", "--abi", "none", "--platform", "any"])
            .arg("--")
            .args(wanted);
        pip::run(&mut pip, "installing the dependencies", progress).map_err(|error| {
            match error.is::<Hinted>() {
                true => error,
                false => Hinted::new(error.to_string(), PURE).into(),
            }
        })
    })
}

/// What a build takes from the plugin's pyproject.toml.
#[derive(Debug, Default, PartialEq, Eq)]
struct Package {
    /// `[project] dependencies`, in one order.
    dependencies: Vec<String>,
    /// `[tool.trellis] path`: further folders with modules of the plugin.
    path: Vec<PathBuf>,
}

impl Package {
    fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("pyproject.toml");
        if !path.is_file() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let package: Table =
            toml::from_str(&text).with_context(|| format!("`{}` is not TOML", path.display()))?;
        let texts = |keys: &[&str]| {
            let (first, rest) = keys.split_first()?;
            let start = package.get(*first)?;
            let found = rest.iter().try_fold(start, |value, key| value.get(key))?;
            let texts = found.as_array()?.iter().filter_map(|text| text.as_str());
            Some(texts.map(str::to_owned).collect::<Vec<_>>())
        };
        let mut dependencies = texts(&["project", "dependencies"]).unwrap_or_default();
        dependencies.sort();
        let path = texts(&["tool", "trellis", "path"]).unwrap_or_default();
        let path = path.into_iter().map(|path| folder.join(path)).collect();
        Ok(Self { dependencies, path })
    }
}

/// The error of a plugin that does not build.
fn told(name: &str, said: &str) -> anyhow::Error {
    let said = readable(said);
    let message = format!("`{name}` does not build\n{said}");
    if said.lines().any(|line| line.starts_with("ModuleNotFoundError:")) {
        let hint = "name its package in `[project] dependencies` of pyproject.toml";
        return Hinted::new(message, hint).into();
    }
    anyhow::anyhow!(message)
}

/// What componentize-py says, as Python would say it of the plugin alone: without the tool's own
/// frames and the library's, and with paths as people know them.
fn readable(said: &str) -> String {
    let told = said.split("\nCaused by:").next().unwrap_or(said);
    let told = told.split_once("AssertionError: ").map_or(told, |(_, told)| told);
    let mut lines = Vec::new();
    let mut hidden = false;
    for line in told.trim().lines() {
        if let Some(file) = line.strip_prefix("  File \"/") {
            let (mount, path) = file.split_once('/').unwrap_or_default();
            hidden = mount == LIBRARY_MOUNT;
            if !hidden {
                lines.push(format!("  File \"{path}"));
            }
        } else if !(hidden && line.starts_with("    ")) {
            hidden = false;
            // Python names the file of a module that lacks a name.
            let (text, place) = line.rsplit_once(" (/").unwrap_or((line, ""));
            let is_ours = place.starts_with(LIBRARY_MOUNT) && place.ends_with(')');
            lines.push(if is_ours { text } else { line }.to_owned());
        }
    }
    if !lines.iter().any(|line| line.starts_with("  File ")) {
        // Nothing is left of it that says where.
        lines.retain(|line| !line.starts_with("Traceback "));
    }
    lines.join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_import_is_told_as_python_would_tell_it_of_the_plugin() {
        let said = concat!(
            "Traceback (most recent call last):\n",
            "  File \"<string>\", line 2, in <module>\n",
            "AssertionError: Traceback (most recent call last):\n",
            "  File \"/0/trellis_entry.py\", line 18, in <module>\n",
            "    import plugin\n",
            "    ^^^^^^^^^^^^^\n",
            "  File \"/1/plugin.py\", line 8\n",
            "    retrun 1\n",
            "           ^\n",
            "SyntaxError: invalid syntax\n\n\n",
            "Caused by:\n",
            "    SyntaxError: invalid syntax (plugin.py, line 8)\n",
        );
        let told = concat!(
            "Traceback (most recent call last):\n",
            "  File \"plugin.py\", line 8\n",
            "    retrun 1\n",
            "           ^\n",
            "SyntaxError: invalid syntax",
        );
        assert_eq!(readable(said), told);
        assert_eq!(readable("\nno such world\n"), "no such world");
    }

    #[test]
    fn what_the_library_raises_is_told_without_the_library() {
        let said = concat!(
            "Traceback (most recent call last):\n",
            "  File \"/0/trellis_entry.py\", line 18, in <module>\n",
            "    import plugin\n",
            "ImportError: cannot import name 'x' from 'trellis' (/0/trellis/__init__.py)\n",
        );
        assert_eq!(readable(said), "ImportError: cannot import name 'x' from 'trellis'");
    }

    #[test]
    fn a_module_that_is_missing_is_told_with_where_packages_are_named() {
        let hints = |said| told("it", said).downcast::<Hinted>().map(|it| it.hints).ok();
        assert!(hints("ModuleNotFoundError: No module named 'requests'").is_some());
        assert_eq!(hints("ValueError: it is wrong"), None);
    }

    #[test]
    fn a_package_says_what_it_depends_on_and_where_more_modules_are() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Package::read(dir.path()).unwrap(), Package::default());
        let write = |text| fs::write(dir.path().join("pyproject.toml"), text).unwrap();
        write("[project]\ndependencies = [\"b==2\", \"a\"]\n[tool.trellis]\npath = [\"../s\"]\n");
        let package = Package::read(dir.path()).unwrap();
        assert_eq!(package.dependencies, ["a", "b==2"]);
        assert_eq!(package.path, [dir.path().join("../s")]);
        write("[project");
        assert!(Package::read(dir.path()).unwrap_err().to_string().ends_with("is not TOML"));
    }
}
