//! The record of a search: [`SearchRecord`], with its setup ([`SearchSetup`]).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use stratigraph_core::ResidualModel;
use stratigraph_profile::statistics::ErrorUnit;
use stratigraph_profile::{CorpusRecord, ModelRecord};
use stratigraph_surgery::Intervention;
use stratigraph_surgery::search::{Goal, Objective, SearchOptions, SearchState, Validated};

use super::{ModelObjective, TaskObjective};
use crate::job::{hash_bytes, hash_tokens};
use crate::records::{corpus_record, model_record};
use crate::{Result, StudyError, versions};

/// The setup of a search. To continue from a file, all of it has to be the same.
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
    /// The SHA-256 of its token ids; of items, that of the items with theirs.
    pub tokens_sha256: String,
    /// The metric, or the task.
    pub objective: String,
    /// Which numbers are better.
    pub goal: Goal,
    /// The units of measurement: windows of the corpus, or items of a benchmark.
    #[serde(default = "windows")]
    pub unit: ErrorUnit,
    /// What the search does.
    pub options: SearchOptions,
    /// The plan from which it begins.
    pub from: Intervention,
    /// Plans with which the best one is compared at the end, in addition to the first.
    pub compare: Vec<Intervention>,
    /// The versions of Stratigraph and burn.
    pub versions: BTreeMap<String, String>,
}

impl SearchSetup {
    /// A search by these options from the unchanged model.
    pub fn new(objective: &ModelObjective, options: SearchOptions) -> Self {
        let windows = objective.windows();
        let corpus = (corpus_record(windows, "corpus"), hash_tokens(windows));
        Self::of(objective, objective.model(), (objective.metric().name(), corpus), options)
    }

    /// A search for answers to a benchmark by these options from the unchanged model. The items are the corpus: as many windows as
    /// there are items, of the tokens of the longest one.
    pub fn of_task(objective: &TaskObjective, options: SearchOptions) -> Self {
        let items = objective.items();
        let lengths = items.pairs().iter().flatten().map(|pair| pair.context.len() + pair.continuation.len());
        let corpus = CorpusRecord::new("items", items.items().len(), lengths.max().unwrap_or(0));
        let sha256 = hash_bytes(json(items).as_bytes());
        Self::of(objective, objective.model(), (&objective.name(), (corpus, sha256)), options)
    }

    fn of<O: Objective>(
        objective: &O,
        model: &dyn ResidualModel,
        (name, (corpus, tokens_sha256)): (&str, (CorpusRecord, String)),
        options: SearchOptions,
    ) -> Self {
        Self {
            model: model_record(model, "model"),
            model_sha256: String::new(),
            corpus,
            tokens_sha256,
            objective: name.to_owned(),
            goal: objective.goal(),
            unit: objective.unit(),
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
                ("precision", it.model.precision.clone()),
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

fn windows() -> ErrorUnit {
    ErrorUnit::Windows
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
    /// Its progress.
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
    /// When it cannot be read, is not the record of a search, or is of another format.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        /// What the record of every version has.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|reason| StudyError::io(path, reason))?;
        let damaged = |reason: String| StudyError::JobDamaged { path: path.into(), reason };
        let Version { format } = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if format != Self::FORMAT {
            return Err(damaged(format!("its format is {format}, and this version reads {}", Self::FORMAT)));
        }
        serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))
    }
}
