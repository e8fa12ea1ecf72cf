//! What a README shows: commands, settings, and commands where they do not belong.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Programs whose commands belong into blocks of `sh`.
const CLIENTS: &[&str] =
    &["curl", "ffmpeg", "ffplay", "ffprobe", "liquidsoap", "node", "npm", "npx", "trellis topics"];

/// A plugin's README.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Readme {
    /// Its commands, one each however many lines it has.
    pub commands: Vec<String>,
    /// Its settings, as TOML.
    pub settings: String,
    /// Commands outside of the blocks of `sh`.
    pub aside: Vec<String>,
}

/// The folder of the plugins.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins").canonicalize().unwrap()
}

/// The plugins that have a README.
pub fn plugins() -> Vec<String> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let plugins = entries.filter(|path| path.join("plugin.toml").is_file());
    let with_readme = plugins.filter(|path| path.join("README.md").is_file());
    with_readme.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

impl Readme {
    pub fn of(plugin: &str) -> Self {
        Self::read(&fs::read_to_string(folder().join(plugin).join("README.md")).unwrap())
    }

    fn read(text: &str) -> Self {
        let mut readme = Self::default();
        // Between two fences is a block, with its language in the first line.
        for (at, part) in text.split("```").enumerate() {
            match (at % 2, part.split_once('\n').unwrap_or_default()) {
                (0, _) => readme.aside.extend(commands_aside(part)),
                (_, ("sh", block)) => readme.commands.extend(commands(block)),
                (_, ("toml", block)) => readme.settings += block,
                (_, ("json" | "rust", _)) => {}
                (_, (other, block)) => readme.aside.push(format!("{other}: {block}")),
            }
        }
        readme
    }
}

/// The commands of a block. One goes on behind a backslash at the end of a line.
fn commands(block: &str) -> impl Iterator<Item = String> {
    let joined = block.replace("\\\n", "");
    let lines: Vec<String> = joined.lines().map(|line| line.trim().to_owned()).collect();
    lines.into_iter().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The commands between backticks in a text.
fn commands_aside(text: &str) -> impl Iterator<Item = String> {
    let code = text.split('`').skip(1).step_by(2);
    let is_command = |code: &&str| CLIENTS.iter().any(|name| code.starts_with(&format!("{name} ")));
    code.filter(is_command).map(str::to_owned)
}

#[test]
fn blocks_are_told_from_the_text_around_them() {
    let text = "A `curl` is `curl -N x` or\n```sh\n# The first:\nA=1\n\none \\\n  --more   # why\n```\n\
                ```toml\n[a]\n```\n`curling`\n```toml\nb = 1\n```\n```bash\ntwo\n```\n";
    let found = Readme {
        commands: vec!["A=1".to_owned(), "one   --more   # why".to_owned()],
        settings: "[a]\nb = 1\n".to_owned(),
        aside: vec!["curl -N x".to_owned(), "bash: two\n".to_owned()],
    };
    assert_eq!(Readme::read(text), found);
}
