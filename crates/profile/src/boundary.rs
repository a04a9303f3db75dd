//! Where one stage ends and the next begins: [`Boundary`], with its [`Transition`], bands, test and [`BoundaryVerdict`].

use serde::{Deserialize, Serialize};

use crate::Stage;

/// Whether the curves change between two layers or over several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shape {
    /// A step: it predicts left-out layers better than a smooth curve, and stands out among the changes from layer to layer.
    Sharp,
    /// A gradient: a smooth curve predicts left-out layers better, and the change takes several layers.
    Gradual,
    /// Neither clearly: predictions and width disagree, or a step does not stand out or has a single layer on one side.
    Unresolved,
}

/// How well a boundary is established.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BoundaryVerdict {
    /// It passed every test.
    Supported,
    /// The best division has it, but it failed a test.
    Weak,
    /// The best division does not have it, or it was rejected.
    Absent,
}

/// Where one stage ends and the next begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Boundary {
    /// The stage that ends.
    pub before: Stage,
    /// The stage that begins.
    pub after: Stage,
    /// The first layer of the stage that begins.
    pub at: usize,
    /// The band of sampling: resampled windows or documents, and the noise of the layers. None without replicates.
    #[serde(alias = "doubt")]
    pub interval: Option<BoundaryInterval>,
    /// The band of the choice of the rule. None in a file without it.
    #[serde(default)]
    pub rules: Option<RuleBand>,
    /// How wide the change is. None in a file without it.
    #[serde(default)]
    pub transition: Option<Transition>,
    /// The test of this boundary alone. None in a file without it.
    #[serde(default)]
    pub test: Option<BoundaryTest>,
    /// The groups of signals that it rests on; two at least where it is drawn.
    #[serde(default)]
    pub groups: Vec<String>,
    /// How well it is established. None in a file without it.
    #[serde(default)]
    pub verdict: Option<BoundaryVerdict>,
    /// The most telling numbers in words, three at most, and why it is not better established.
    #[serde(default)]
    pub telling: Vec<String>,
}

impl Boundary {
    /// A boundary about which nothing else is known: `at` is the first layer of the stage that begins.
    pub fn new(before: Stage, after: Stage, at: usize) -> Self {
        let (interval, rules, transition, test, verdict) = (None, None, None, None, None);
        let (groups, telling) = (Vec::new(), Vec::new());
        Self { before, after, at, interval, rules, transition, test, groups, verdict, telling }
    }

    /// Sets the band of sampling.
    pub fn with_interval(mut self, interval: Option<BoundaryInterval>) -> Self {
        self.interval = interval;
        self
    }

    /// Sets the band of the choice of the rule.
    pub fn with_rules(mut self, rules: Option<RuleBand>) -> Self {
        self.rules = rules;
        self
    }

    /// Sets how wide the change is.
    pub fn with_transition(mut self, transition: Option<Transition>) -> Self {
        self.transition = transition;
        self
    }

    /// Whether it is known to be sharp.
    pub fn is_sharp(&self) -> bool {
        self.transition.is_some_and(|it| it.shape == Shape::Sharp)
    }

    /// Whether it passed every test.
    pub fn is_supported(&self) -> bool {
        self.verdict == Some(BoundaryVerdict::Supported)
    }
}

/// Where a boundary lies in resamples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BoundaryInterval {
    /// The lower end of the interval, a first layer like [`Boundary::at`]. It is 0 where the earlier stage may have no layer.
    pub low: usize,
    /// Its upper end, included. It is the number of layers where the later stage may have no layer.
    pub high: usize,
    /// The fraction of the resamples that have the boundary: between the same two stages.
    #[serde(alias = "support")]
    pub frequency: f64,
    /// The fraction of the resamples that have it within one layer of the estimate.
    pub within_one: f64,
}

/// Where a boundary lies by other rules: every one of a grid of settings of the rule, one notch each way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RuleBand {
    /// The first layer at which the later stage begins by any rule that has the boundary.
    pub low: usize,
    /// The last such layer.
    pub high: usize,
    /// The fraction of the rules that have the boundary.
    pub frequency: f64,
    /// How many rules there are.
    pub n_rules: usize,
}

/// How the curves of a boundary change, by a fit of one centre and one width to all of its groups of signals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Whether it is a step or a gradient.
    pub shape: Shape,
    /// The middle of the change, on the scale of [`Boundary::at`]: 3 is between layers 2 and 3.
    pub centre: f64,
    /// Over how many layers the curves go from 10 to 90 % of the change; 0 for a step between two layers.
    pub width: f64,
    /// The lower end of its 95 % interval.
    pub width_low: f64,
    /// The upper end.
    pub width_high: f64,
    /// How much worse a step predicts left-out layers than a smooth curve does, in nats of log likelihood for all layers
    /// together; below 0 it predicts them better.
    pub step_loss: f64,
    /// The chance that the largest change from layer to layer is as large as the one here, where changes of all layers are of
    /// one kind, as in a random walk.
    pub jump_p_value: f64,
}

/// The test of one boundary.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BoundaryTest {
    /// The fraction of orders of the layers of the two stages that divide as well.
    pub p_value: f64,
    /// The same, corrected for the number of boundaries (Holm).
    pub adjusted: f64,
}

/// A boundary that the curves suggest and that a test rejected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RejectedBoundary {
    /// The stage that would end.
    pub before: Stage,
    /// The stage that would begin.
    pub after: Stage,
    /// The first layer of the stage that would begin.
    pub at: usize,
    /// Why it was rejected.
    pub reason: String,
}

/// A first or last layer that is special without being a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeEffect {
    /// The layer.
    pub layer: usize,
    /// The stage that it would be.
    pub stage: Stage,
    /// Why it is none.
    pub reason: String,
}
