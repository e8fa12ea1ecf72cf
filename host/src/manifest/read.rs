//! Text to [`Manifest`] and back.

use super::{Http, Manifest, Problem, check, problem};

/// Read a manifest. `file` is the name that problems are reported under.
pub fn read(text: &str, file: &str) -> Result<Manifest, Problem> {
    let manifest: Manifest = problem::parse(text, file)?;
    check::check(&manifest).map_err(|fault| Problem::locate(fault, text, file))?;
    Ok(manifest)
}

impl Manifest {
    /// What a component without a manifest gets: a name, its HTTP handler at `/<name>/`, no
    /// grants.
    pub fn default_for(name: &str) -> Self {
        let routes = vec![format!("/{name}/{{*path}}")];
        Self {
            name: name.to_owned(),
            version: None,
            description: None,
            http: Some(Http { routes, ..Http::default() }),
            consume: Vec::new(),
            needs: Default::default(),
            config: Default::default(),
            limits: Default::default(),
            topics: Default::default(),
        }
    }

    /// The manifest as a text that [`read`] reads back, with every default written out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a manifest consists of tables, texts and numbers")
    }
}
