//! What was measured of a plan, for its model card: [`Numbers`] of a profile, or the record of a search.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use stratigraph_models::Checkpoint;
use stratigraph_profile::{Estimate, InterventionRecord, Profile, catalogue};
use stratigraph_study::search::{SearchRecord, SearchSetup};
use stratigraph_surgery::{Intervention, LayerPlan};

/// The record of the search that ended with a plan, as Markdown.
///
/// # Errors
/// When the file cannot be read, it is of another model, or the search did not end with the plan.
pub fn of_search(file: &Path, plan: &LayerPlan, sha256: &str) -> Result<String> {
    let record = SearchRecord::read(file)?;
    let SearchSetup { model, model_sha256, .. } = &record.setup;
    ensure!(
        model_sha256.is_empty() || model_sha256 == sha256,
        "{} is of another model, {} with the SHA-256 {model_sha256}; leave --numbers out",
        file.display(),
        model.name
    );
    let best = record.state.best();
    ensure!(
        *best == Intervention::from(plan.clone()),
        "{} is of a search whose best plan is {best}; export that plan, or leave --numbers out",
        file.display()
    );
    // Its headings stand below the card's title.
    Ok(record
        .to_string()
        .lines()
        .map(|line| format!("{}{line}\n", if line.starts_with('#') { "#" } else { "" }))
        .collect())
}

/// Numbers under a plan and of the unchanged model; they display as Markdown.
pub struct Numbers {
    /// On what they were measured.
    basis: String,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    here: Estimate,
    source: Option<Estimate>,
}

/// The numbers that a study measured under the plan.
///
/// # Errors
/// When the file cannot be read, it is of another model, or its study did not run the plan.
pub fn of_profile(file: &Path, plan: &LayerPlan, checkpoint: &Checkpoint) -> Result<Numbers> {
    let profile = Profile::read(file)?;
    let (config, of) = (checkpoint.config(), &profile.model);
    ensure!(
        (of.n_layers, of.d_model, of.d_vocab) == (config.n_layers, config.d_model, config.d_vocab),
        "{} is of another model, {} with {} layers; give a profile of this one, or leave --profile out",
        file.display(),
        of.name,
        of.n_layers
    );
    let wanted = Intervention::from(plan.clone());
    let found = profile.interventions.iter().find(|record| record.text.parse().ok().as_ref() == Some(&wanted));
    let found = found.with_context(|| {
        format!(
            "{} does not have the plan {plan}: measure it with `stratigraph study --intervention {plan}`, or leave \
             --profile out",
            file.display()
        )
    })?;
    let clean = profile.interventions.iter().find(|record| record.name == InterventionRecord::CLEAN);
    let row = |(name, here): (&String, &Estimate)| Row {
        name: name.clone(),
        here: *here,
        source: clean.and_then(|clean| clean.metrics.get(name).copied()),
    };
    let corpus = &profile.corpus;
    let basis = format!(
        "On {} windows of {} tokens of {}, with the model {}.",
        corpus.n_sequences, corpus.seq_len, corpus.name, profile.model.name
    );
    Ok(Numbers { basis, rows: found.metrics.iter().map(row).collect() })
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Measured before the export\n\n{}\n", self.basis)?;
        writeln!(f, "| metric | here | standard error | source |\n|---|---:|---:|---:|")?;
        for Row { name, here, source } in &self.rows {
            let title = catalogue::find_metric(name).map_or_else(|| name.clone(), |metric| metric.title);
            let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
            let (mean, sem, source) = (Some(here.mean), here.sem, source.map(|source| source.mean));
            writeln!(f, "| {title} (`{name}`) | {} | {} | {} |", number(mean), number(sem), number(source))?;
        }
        Ok(())
    }
}
