//! What is said about cases: a line for each plugin, and what is not as expected as a diff.

use std::time::Duration;

use serde_json::{Value, json};
use similar::TextDiff;

use super::shown;
use crate::{
    cases::{Outcome, Taken, Verdict},
    cli::output::{Output, Style},
};

/// Code that was compiled before takes less to load.
const NOTICED: Duration = Duration::from_millis(200);
/// Lines around a difference.
const AROUND: usize = 3;

/// Counts and tells.
pub(super) struct Report<'a> {
    output: &'a Output,
    style: Style,
    update: bool,
    plugin: String,
    cases: usize,
    took: Duration,
    loading: Duration,
    failed: usize,
    failed_before: usize,
    updated: usize,
    unbuilt: usize,
}

impl<'a> Report<'a> {
    /// Nothing is tried yet.
    pub(super) fn new(output: &'a Output, update: bool) -> Self {
        Self {
            output,
            style: output.style(),
            update,
            plugin: String::new(),
            cases: 0,
            took: Duration::ZERO,
            loading: Duration::ZERO,
            failed: 0,
            failed_before: 0,
            updated: 0,
            unbuilt: 0,
        }
    }

    /// A plugin could not be built.
    pub(super) fn unbuilt(&mut self) {
        self.unbuilt += 1;
    }

    /// The cases of a plugin come.
    pub(super) fn begin(&mut self, plugin: &str) {
        plugin.clone_into(&mut self.plugin);
        (self.cases, self.updated) = (0, 0);
        (self.took, self.loading) = (Duration::ZERO, Duration::ZERO);
        self.failed_before = self.failed;
    }

    /// A file is no case.
    pub(super) fn unreadable(&mut self, error: anyhow::Error) -> anyhow::Result<()> {
        self.cases += 1;
        self.failed += 1;
        if self.output.json {
            let error = format!("{error:#}");
            self.output.json(&json!({"plugin": self.plugin, "passed": false, "error": error}))?;
            return Ok(());
        }
        Ok(self.output.text(&crate::cli::error::report(&error, self.style))?)
    }

    /// A case was tried.
    pub(super) fn case(
        &mut self,
        name: &str,
        outcome: &Outcome,
        updated: bool,
    ) -> anyhow::Result<()> {
        self.cases += 1;
        self.took += outcome.took;
        self.loading += outcome.loading;
        self.updated += usize::from(updated);
        self.failed += usize::from(!outcome.passed());
        if self.output.json {
            return Ok(self.output.json(&self.as_json(name, outcome, updated))?);
        }
        for (number, step) in outcome.taken.iter().enumerate() {
            if let Some(told) = self.tell(step) {
                let place = format!("{name}:{}: step {}", step.line, number + 1);
                let text = format!("{} {place}: {told}", self.style.red("failed"));
                self.output.text(&text)?;
                self.output.text(&self.log(step))?;
            }
        }
        Ok(())
    }

    /// All cases of a plugin were tried.
    pub(super) fn end(&self, name: &str) -> anyhow::Result<()> {
        if self.output.json {
            return Ok(());
        }
        let plural = if self.cases == 1 { "case " } else { "cases" };
        let took = shown(self.took);
        let mut line = format!("{name:<12} {:>3} {plural}  {took:>8}", self.cases);
        match self.failed - self.failed_before {
            0 if self.update => line += &format!("  {} updated", self.updated),
            0 => {}
            failed => line += &self.style.red(&format!("  {failed} failed")),
        }
        if self.loading >= NOTICED {
            line += &self.style.dim(&format!("  (compiled in {})", shown(self.loading)));
        }
        Ok(self.output.text(&(line + "\n"))?)
    }

    /// Whether all is as expected.
    pub(super) fn verdict(&self) -> anyhow::Result<()> {
        match (self.unbuilt, self.failed) {
            (0, 0) => Ok(()),
            (0, 1) => anyhow::bail!("1 case failed"),
            (0, failed) => anyhow::bail!("{failed} cases failed"),
            (1, _) => anyhow::bail!("1 plugin could not be built"),
            (unbuilt, _) => anyhow::bail!("{unbuilt} plugins could not be built"),
        }
    }

    /// What is not as expected.
    fn tell(&self, step: &Taken) -> Option<String> {
        match &step.verdict {
            Verdict::Passed => None,
            Verdict::Failed(error) => Some(format!("{error}\n")),
            Verdict::Differs { expected, seen } => {
                Some(format!("something else was seen\n{}", diff(expected, seen, self.style)))
            }
            Verdict::WrongCall { expected: Value::Null, seen } => {
                Some(format!("a call that no `upstream` answers\n{seen:#}\n"))
            }
            Verdict::WrongCall { expected, seen: Value::Null } => {
                Some(format!("this call was not made\n{expected:#}\n"))
            }
            Verdict::WrongCall { expected, seen } => {
                Some(format!("another call was made\n{}", diff(expected, seen, self.style)))
            }
        }
    }

    /// What the plugin said meanwhile.
    fn log(&self, step: &Taken) -> String {
        let line = |heard: &crate::world::Heard| {
            let text = format!("  {} {}", heard.level, heard.message);
            self.style.dim(&text) + "\n"
        };
        step.heard.iter().map(line).collect()
    }

    fn as_json(&self, name: &str, outcome: &Outcome, updated: bool) -> Value {
        let step = |(number, step): (usize, &Taken)| {
            let mut shown = json!({"step": number + 1, "line": step.line, "passed": false});
            match &step.verdict {
                Verdict::Passed => shown["passed"] = json!(true),
                Verdict::Failed(error) => shown["error"] = json!(error),
                Verdict::Differs { expected, seen } | Verdict::WrongCall { expected, seen } => {
                    (shown["expected"], shown["seen"]) = (expected.clone(), seen.clone());
                }
            }
            shown
        };
        json!({
            "plugin": self.plugin,
            "case": name,
            "passed": outcome.passed(),
            "updated": updated,
            "ms": u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
            "steps": outcome.taken.iter().enumerate().map(step).collect::<Vec<_>>(),
        })
    }
}

/// What is expected beside what was seen, line by line.
fn diff(expected: &Value, seen: &Value, style: Style) -> String {
    let (expected, seen) = (format!("{expected:#}\n"), format!("{seen:#}\n"));
    let diff = TextDiff::from_lines(&expected, &seen);
    let mut unified = diff.unified_diff();
    let text = unified.context_radius(AROUND).header("expected", "seen").to_string();
    let coloured = text.lines().map(|line| match line.as_bytes().first() {
        Some(b'-') => style.red(line),
        Some(b'+') => style.green(line),
        Some(b'@') => style.dim(line),
        _ => line.to_owned(),
    });
    coloured.map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown_with_what_is_around_it() {
        let expected = json!({"status": 200, "json": {"a": [1, 2]}});
        let seen = json!({"status": 200, "json": {"a": [1, 3]}});
        insta::assert_snapshot!(diff(&expected, &seen, Style(false)), @r#"
        --- expected
        +++ seen
        @@ -2,7 +2,7 @@
           "json": {
             "a": [
               1,
        -      2
        +      3
             ]
           },
           "status": 200
        "#);
        assert!(diff(&expected, &seen, Style(true)).contains("\u{1b}[1;31m-      2"));
    }
}
