//! What a measurement has to do with each stage: [`EvidenceKind`], [`Expected`].

use stratigraph_profile::Stage;

use crate::Rule;

/// How often a layer of a stage shows a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// Almost always: it belongs to the definition of the stage.
    Always,
    /// In half of the layers: it often goes along with the stage.
    Often,
    /// In half of the layers, because it has nothing to do with the stage.
    Either,
    /// Almost never: it belongs to another stage.
    Rarely,
}

impl Expected {
    /// As a probability.
    pub(crate) fn probability(self, rule: &Rule) -> f64 {
        match self {
            Expected::Always => rule.always,
            Expected::Often | Expected::Either => 0.5,
            Expected::Rarely => 1.0 - rule.always,
        }
    }
}

/// A kind of evidence, such as deletion or convergence. The curves of one kind measure the same thing in several ways: they are
/// averaged and count once.
#[derive(Debug, Clone, PartialEq)]
pub struct EvidenceKind {
    pub(crate) name: String,
    pub(crate) expected: [Expected; 4],
    pub(crate) weight: f64,
    pub(crate) silent_when_flat: bool,
    pub(crate) has_floor: bool,
    pub(crate) characteristic_of: Vec<Stage>,
}

impl EvidenceKind {
    /// A kind of weight 1; `expected` says how often a layer of each stage shows it, in the order of [`Stage::ALL`].
    pub fn new(name: impl Into<String>, expected: [Expected; 4]) -> Self {
        Self {
            name: name.into(),
            expected,
            weight: 1.0,
            silent_when_flat: true,
            has_floor: false,
            characteristic_of: Vec::new(),
        }
    }

    /// Sets what part of its log likelihood counts.
    pub fn with_weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// Counts a curve in which no layer stands out as evidence that no layer is special. By default such a curve is ignored.
    pub fn informative_when_flat(mut self) -> Self {
        self.silent_when_flat = false;
        self
    }

    /// Lets a layer show it only where deleting the layer costs at least [`Rule::floor_share`] of what the model knows beyond
    /// the frequencies of tokens.
    pub fn with_floor(mut self) -> Self {
        self.has_floor = true;
        self
    }

    /// Sets the stages that are recognised by it, which list it first.
    pub fn characteristic_of(mut self, stages: impl IntoIterator<Item = Stage>) -> Self {
        self.characteristic_of = stages.into_iter().collect();
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How often a layer of each stage shows it.
    pub fn expected(&self, stage: Stage) -> Expected {
        self.expected[stage as usize]
    }
}
