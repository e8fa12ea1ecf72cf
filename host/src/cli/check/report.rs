//! What `trellis check` found, as text and as JSON.

use std::fmt::Display;

use serde::Serialize;

use crate::{
    capabilities::{Dialect, Needs},
    cli::output::Style,
    manifest::{Problem, section},
    plugins::{folder::Source, grants, load::Component},
};

/// What was found.
#[derive(Serialize)]
pub(super) struct Report {
    file: String,
    /// Whether a host would load it.
    loads: bool,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Where the manifest came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<String>,
    /// The engine it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<Dialect>,
    exports: Vec<String>,
    imports: Vec<String>,
    routes: Vec<String>,
    consumes: Vec<String>,
    needs: Needs,
    /// The lines of `[grants.plugins.NAME]` that it takes.
    grants: Vec<String>,
    pub(super) refusals: Vec<Refused>,
}

/// One reason not to load it.
#[derive(Serialize)]
pub(super) struct Refused {
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// The same for people, with the line of the manifest that it is about.
    #[serde(skip)]
    shown: String,
}

impl Refused {
    pub(super) fn of(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<Problem>() {
            Some(problem) => Self {
                reason: Problem { hint: None, ..problem.clone() }.to_string(),
                hint: problem.hint.clone(),
                shown: problem.explain(),
            },
            None => Self::of_text(&format!("{error:#}")),
        }
    }

    /// A reason whose hints are lines of their own.
    pub(super) fn of_text(text: &impl Display) -> Self {
        let shown = text.to_string();
        let (hints, reason): (Vec<&str>, Vec<&str>) =
            shown.lines().partition(|line| line.starts_with("hint:"));
        let hints: Vec<_> =
            hints.iter().map(|hint| hint.trim_start_matches("hint:").trim()).collect();
        let hint = (!hints.is_empty()).then(|| hints.join("; "));
        Self { reason: reason.join("\n"), hint, shown }
    }
}

impl Report {
    /// Of a file that is no component, or one whose manifest is broken.
    pub(super) fn unreadable(source: &Source, error: &anyhow::Error) -> Self {
        Self {
            file: source.wasm.display().to_string(),
            loads: false,
            name: source.stem().to_owned(),
            version: None,
            manifest: None,
            engine: None,
            exports: Vec::new(),
            imports: Vec::new(),
            routes: Vec::new(),
            consumes: Vec::new(),
            needs: Needs::default(),
            grants: Vec::new(),
            refusals: vec![Refused::of(error)],
        }
    }

    /// Of a component that nothing is said against yet.
    pub(super) fn new(source: &Source, component: &Component) -> Self {
        let Component { bytes, manifest, surface, .. } = component;
        let topics = manifest.consume.iter().flat_map(|consume| &consume.topics);
        Self {
            file: source.wasm.display().to_string(),
            loads: true,
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            manifest: Some(origin(source, bytes)),
            engine: Some(surface.dialect),
            exports: surface.exports.clone(),
            imports: surface.imports.clone(),
            routes: manifest.routes(),
            consumes: topics.cloned().collect(),
            needs: manifest.needs.clone(),
            grants: grants::wanted(manifest),
            refusals: Vec::new(),
        }
    }

    /// Note a reason not to load it.
    pub(super) fn refuse(&mut self, refused: Refused) {
        self.loads = false;
        self.refusals.push(refused);
    }

    pub(super) fn show(&self, style: Style) -> String {
        let mut text = format!("plugin    {}\n", self.name);
        let manifest = self.manifest.iter().cloned().collect();
        let mut granted = self.grants.clone();
        if !granted.is_empty() {
            granted.insert(0, format!("[grants.plugins.{}]", self.name));
        }
        let lists = [
            ("manifest", &manifest),
            ("exports", &self.exports),
            ("imports", &self.imports),
            ("routes", &self.routes),
            ("consumes", &self.consumes),
            ("grants", &granted),
        ];
        for (title, items) in lists {
            for (index, item) in items.iter().enumerate() {
                let title = if index == 0 { title } else { "" };
                text += &format!("{title:<9} {item}\n");
            }
        }
        for refused in &self.refusals {
            text += &refused.show(style);
        }
        if self.loads {
            text += &format!("{}\n", style.green("would be loaded"));
        }
        text
    }
}

impl Refused {
    fn show(&self, style: Style) -> String {
        let mut text = style.red("refused:") + " ";
        for line in self.shown.lines() {
            text += &match line.strip_prefix("hint:") {
                Some(hint) => format!("{}{hint}\n", style.green("hint:")),
                None => format!("{line}\n"),
            };
        }
        text
    }
}

/// Where its manifest comes from.
fn origin(source: &Source, bytes: &[u8]) -> String {
    match &source.sidecar {
        Some(sidecar) => sidecar.display().to_string(),
        None if section::find(bytes).is_some() => "inside the component".to_owned(),
        None => "none, so the default".to_owned(),
    }
}
