//! What a profile is about: [`ModelRecord`], [`InterventionRecord`] with its [`GroupRecord`]s.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Estimate;

/// The model that was studied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelRecord {
    /// Its file, directory or name in the hub.
    pub name: String,
    /// Its number of layers.
    pub n_layers: usize,
    /// The width of its residual stream.
    pub d_model: usize,
    /// The size of its vocabulary.
    pub d_vocab: usize,
    /// How its weights were held: `f32`, as in files that do not say it, `bf16` or `f16`.
    #[serde(default = "f32_name")]
    pub precision: String,
}

fn f32_name() -> String {
    "f32".to_owned()
}

impl ModelRecord {
    /// A model of `n_layers` layers of width `d_model` with a vocabulary of `d_vocab` tokens, in f32.
    pub fn new(name: impl Into<String>, n_layers: usize, d_model: usize, d_vocab: usize) -> Self {
        Self { name: name.into(), n_layers, d_model, d_vocab, precision: f32_name() }
    }

    /// With weights held in another precision.
    pub fn with_precision(self, precision: impl Into<String>) -> Self {
        Self { precision: precision.into(), ..self }
    }
}

/// One intervention and everything measured under it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InterventionRecord {
    /// What a reader calls it: `delete 11`, or `clean` for the unchanged model.
    pub name: String,
    /// The sweep that it belongs to, such as `delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<String>,
    /// Which point of the sweep's axis it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// The intervention as text, from which it can be run again, such as `0-1-3-4`.
    pub text: String,
    /// What was measured, by metric.
    pub metrics: BTreeMap<String, Estimate>,
    /// What was measured at groups of positions, by the name of the grouping, such as `class`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Vec<GroupRecord>>,
}

/// A group of positions and everything measured there under an intervention.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GroupRecord {
    /// What it is called, such as `punctuation`.
    pub group: String,
    /// How many positions of the corpus it has.
    pub positions: usize,
    /// What was measured, by metric; a metric without a value in the group is missing.
    pub metrics: BTreeMap<String, Estimate>,
}

impl GroupRecord {
    /// A group of some positions.
    pub fn new(group: impl Into<String>, positions: usize) -> Self {
        Self { group: group.into(), positions, metrics: BTreeMap::new() }
    }

    /// Adds what a metric measured.
    pub fn with_metric(mut self, name: impl Into<String>, estimate: Estimate) -> Self {
        self.metrics.insert(name.into(), estimate);
        self
    }
}

impl InterventionRecord {
    /// The name of the unchanged model among interventions.
    pub const CLEAN: &'static str = "clean";

    /// An intervention that belongs to no sweep.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let (metrics, groups) = (BTreeMap::new(), BTreeMap::new());
        Self { name: name.into(), sweep: None, index: None, text: text.into(), metrics, groups }
    }

    /// The unchanged model.
    pub fn clean(text: impl Into<String>) -> Self {
        Self::new(Self::CLEAN, text)
    }

    /// Point `index` of a sweep; it is called after both, such as `delete 11`.
    pub fn in_sweep(sweep: impl Into<String>, index: usize, text: impl Into<String>) -> Self {
        let sweep = sweep.into();
        Self { index: Some(index), ..Self::new(format!("{sweep} {index}"), text) }.belonging_to(sweep)
    }

    fn belonging_to(mut self, sweep: String) -> Self {
        self.sweep = Some(sweep);
        self
    }

    /// Adds what a metric measured.
    pub fn with_metric(mut self, name: impl Into<String>, estimate: Estimate) -> Self {
        self.metrics.insert(name.into(), estimate);
        self
    }

    /// Adds what was measured at the groups of a grouping.
    pub fn with_groups(mut self, grouping: impl Into<String>, groups: Vec<GroupRecord>) -> Self {
        self.groups.insert(grouping.into(), groups);
        self
    }
}
