//! What a plan file says of model, corpus and work: [`JobModel`], [`JobCorpus`], [`JobSweep`], [`JobIntervention`],
//! [`StepSize`].

use serde::{Deserialize, Serialize};
use stratigraph_core::{ResidualModel, TokenWindows, WindowSampling};
use stratigraph_profile::{Axis, SamplingRecord};
use stratigraph_surgery::{Intervention, SweepPoints};

use super::{JobLens, hash_tokens};

/// The model of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JobModel {
    /// Its name.
    pub name: String,
    /// Where it was when the job was planned: a path, or a model of the hub.
    pub source: String,
    /// The SHA-256 of its content.
    pub sha256: String,
    /// Its layers.
    pub n_layers: usize,
    /// The width of its residual stream.
    pub d_model: usize,
    /// The size of its vocabulary.
    pub d_vocab: usize,
}

impl JobModel {
    /// The record of a model. `sha256` identifies its content, and is compared before a shard runs.
    pub fn new(
        model: &dyn ResidualModel,
        name: impl Into<String>,
        source: impl Into<String>,
        sha256: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            source: source.into(),
            sha256: sha256.into(),
            n_layers: model.n_layers(),
            d_model: model.d_model(),
            d_vocab: model.d_vocab(),
        }
    }
}

/// The corpus of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JobCorpus {
    /// Its name.
    pub name: String,
    /// How many windows.
    pub n_sequences: usize,
    /// Tokens in a window.
    pub seq_len: usize,
    /// Whether special tokens were added that no other field names.
    pub special_tokens: bool,
    /// What [`hash_tokens`] gives.
    pub sha256: String,
    /// The document of each window, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<Vec<usize>>,
    /// The token that each window begins with, where one was put there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bos: Option<u32>,
    /// Positions at the start of each window that are left out of every measure.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skip_first: usize,
    /// How the windows were drawn, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<SamplingRecord>,
}

impl JobCorpus {
    /// The record of some windows.
    pub fn new(name: impl Into<String>, windows: &TokenWindows) -> Self {
        Self {
            name: name.into(),
            n_sequences: windows.n_sequences(),
            seq_len: windows.seq_len(),
            special_tokens: false,
            sha256: hash_tokens(windows),
            documents: windows.documents().map(<[usize]>::to_vec),
            bos: windows.bos(),
            skip_first: windows.skip_first(),
            sampling: windows.sampling().map(|it| SamplingRecord::new(it.windows.clone(), it.seed)),
        }
    }

    /// The windows of these token ids.
    pub(crate) fn windows(&self, ids: &[u32]) -> stratigraph_core::Result<TokenWindows> {
        let windows = TokenWindows::new(ids, self.seq_len)?.with_skip_first(self.skip_first)?;
        let windows = self.documents.iter().cloned().try_fold(windows, TokenWindows::with_documents)?;
        let windows = self.bos.into_iter().try_fold(windows, TokenWindows::with_bos)?;
        let sampling = self.sampling.as_ref().map(|it| WindowSampling::new(it.windows.clone(), it.seed));
        Ok(sampling.into_iter().fold(windows, TokenWindows::with_sampling))
    }

    /// Sets whether the tokenizer's special tokens were added.
    pub fn with_special_tokens(self, special_tokens: bool) -> Self {
        Self { special_tokens, ..self }
    }
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// A sweep of a job, with everything that it takes to run it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JobSweep {
    /// Its name, such as `delete`.
    pub name: String,
    /// One axis or two; none where a measurement makes curves of the interventions itself.
    pub axes: Vec<Axis>,
    /// The intervention of each point as text, the last axis running fastest.
    pub interventions: Vec<String>,
    /// The names of the interventions, where there are no axes to name them after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The lens that reads the residual streams, where it is not the model itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lens: Option<JobLens>,
}

impl JobSweep {
    pub(crate) fn new(name: &str, points: &SweepPoints) -> Self {
        let interventions = points.interventions.iter().map(Intervention::to_string).collect();
        Self { name: name.to_owned(), axes: points.axes.clone(), interventions, names: Vec::new(), lens: None }
    }

    /// Interventions without an axis, each with its name.
    pub(crate) fn without_axes(name: &str, interventions: &[Intervention]) -> Self {
        let names = interventions.iter().map(Intervention::name).collect();
        let interventions = interventions.iter().map(Intervention::to_string).collect();
        Self { name: name.to_owned(), axes: Vec::new(), interventions, names, lens: None }
    }
}

/// A single intervention of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JobIntervention {
    /// Its name.
    pub name: String,
    /// The intervention as text.
    pub text: String,
}

impl JobIntervention {
    pub(crate) fn new(intervention: &Intervention) -> Self {
        Self { name: intervention.name(), text: intervention.to_string() }
    }
}

/// How much work is done between two writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StepSize {
    /// Windows in a step.
    pub windows: usize,
    /// Interventions in a step; all of them where it is not set, which is the least work because interventions share
    /// their first layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interventions: Option<usize>,
}

impl StepSize {
    /// Steps of some windows and all interventions.
    pub fn new(windows: usize) -> Self {
        Self { windows, interventions: None }
    }

    /// With some interventions in a step.
    pub fn with_interventions(self, interventions: usize) -> Self {
        Self { interventions: Some(interventions), ..self }
    }
}

impl Default for StepSize {
    /// Eight windows and all interventions.
    fn default() -> Self {
        Self::new(8)
    }
}
