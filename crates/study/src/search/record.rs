//! What is written down of a search: [`SearchRecord`], with what it is of ([`SearchSetup`]).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use stratigraph_profile::{CorpusRecord, ModelRecord};
use stratigraph_surgery::Intervention;
use stratigraph_surgery::search::{Goal, Objective, SearchOptions, SearchState, Validated};

use super::ModelObjective;
use crate::findings::{corpus_record, model_record};
use crate::job::hash_tokens;
use crate::{Result, StudyError, versions};

/// What a search is of. Where one goes on from a file, all of it has to be the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SearchSetup {
    /// The model.
    pub model: ModelRecord,
    /// The SHA-256 of its content; empty where it is not known.
    pub model_sha256: String,
    /// The corpus.
    pub corpus: CorpusRecord,
    /// The SHA-256 of its token ids.
    pub tokens_sha256: String,
    /// The metric, or the task.
    pub objective: String,
    /// Which numbers are better.
    pub goal: Goal,
    /// What the search does.
    pub options: SearchOptions,
    /// The plan from which it begins.
    pub from: Intervention,
    /// Plans with which the best one is compared at the end, beside the first.
    pub compare: Vec<Intervention>,
    /// The versions of Stratigraph and burn.
    pub versions: BTreeMap<String, String>,
}

impl SearchSetup {
    /// A search by these options from the unchanged model.
    pub fn new(objective: &ModelObjective, options: SearchOptions) -> Self {
        let (model, windows) = (objective.model(), objective.windows());
        Self {
            model: model_record(model, "model"),
            model_sha256: String::new(),
            corpus: corpus_record(windows, "corpus"),
            tokens_sha256: hash_tokens(windows),
            objective: objective.metric().name().to_owned(),
            goal: objective.goal(),
            options,
            from: Intervention::none(model.n_layers()),
            compare: Vec::new(),
            versions: versions(),
        }
    }

    /// With the names of the model and the corpus.
    pub fn with_names(mut self, model: impl Into<String>, corpus: impl Into<String>) -> Self {
        (self.model.name, self.corpus.name) = (model.into(), corpus.into());
        self
    }

    /// With the SHA-256 of the model's content.
    pub fn with_model_sha256(self, model_sha256: impl Into<String>) -> Self {
        Self { model_sha256: model_sha256.into(), ..self }
    }

    /// From another plan.
    pub fn with_start(self, from: impl Into<Intervention>) -> Self {
        Self { from: from.into(), ..self }
    }

    /// With plans with which the best one is compared at the end.
    pub fn with_compared(self, plans: impl IntoIterator<Item = Intervention>) -> Self {
        Self { compare: plans.into_iter().collect(), ..self }
    }

    /// The first thing in which another setup differs.
    pub(super) fn difference(&self, other: &Self) -> Option<Difference> {
        let parts = |it: &Self| {
            [
                ("model", format!("{} {}", it.model.name, it.model_sha256)),
                ("corpus", format!("{} {}", json(&it.corpus), it.tokens_sha256)),
                ("objective", format!("{} ({:?})", it.objective, it.goal)),
                ("first plan", it.from.to_string()),
                ("list of plans to compare with", json(&it.compare)),
                ("version", json(&it.versions)),
                ("set of options", json(&it.options)),
            ]
        };
        let mut pairs = parts(self).into_iter().zip(parts(other));
        let ((what, expected), (_, found)) = pairs.find(|(expected, found)| expected != found)?;
        Some(Difference { what, found, expected })
    }
}

/// In what a search differs from the one of a file.
pub(super) struct Difference {
    pub(super) what: &'static str,
    /// In the file.
    pub(super) found: String,
    pub(super) expected: String,
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("it is plain data")
}

/// A search with its setup, while it runs and at its end: `search.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SearchRecord {
    /// The version of this format.
    pub format: u32,
    /// What it is of.
    pub setup: SearchSetup,
    /// How far it is.
    pub state: SearchState,
    /// What validation says; none before the end.
    pub validated: Option<Validated>,
}

impl SearchRecord {
    /// The version of the format that is written.
    pub const FORMAT: u32 = 1;

    /// Reads a file `search.json`.
    ///
    /// # Errors
    /// When it cannot be read, or is not the record of a search.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|reason| StudyError::io(path, reason))?;
        let damaged =
            |reason: serde_json::Error| StudyError::JobDamaged { path: path.into(), reason: reason.to_string() };
        serde_json::from_str(&text).map_err(damaged)
    }
}
