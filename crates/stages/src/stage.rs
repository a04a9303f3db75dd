//! What a segmentation says: [`Segmentation`], made of [`StageSpan`]s with their [`Evidence`], [`Boundary`]s,
//! [`Rejected`] boundaries and [`Outlier`]s.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Measurement, Rule};

/// A stage of inference (Lad, Lee, Gurnee and Tegmark, arXiv 2406.19384), in the order of depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Tokens are put together from their neighbours; the layers cannot be removed.
    Detokenization,
    /// Features are built; layers can be removed and swapped, and the lens does not come nearer to the output.
    FeatureEngineering,
    /// Predictions are gathered; the lens turns to the output, neurons speak for tokens.
    PredictionEnsembling,
    /// The distribution is finished; neurons speak against tokens, MLPs write much, the layers cannot be removed.
    ResidualSharpening,
}

impl Stage {
    /// All, in the order of depth.
    pub const ALL: [Stage; 4] =
        [Stage::Detokenization, Stage::FeatureEngineering, Stage::PredictionEnsembling, Stage::ResidualSharpening];
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Stage::Detokenization => "detokenization",
            Stage::FeatureEngineering => "feature engineering",
            Stage::PredictionEnsembling => "prediction ensembling",
            Stage::ResidualSharpening => "residual sharpening",
        })
    }
}

/// Whether a model has stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It has: two at least.
    Stages,
    /// It has none: nothing in its curves asks for them.
    NoStageStructure,
}

/// Whether a signal speaks for a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stand {
    /// It shows what the stage should show.
    For,
    /// It shows the opposite.
    Against,
    /// It is there and shows neither, or no layer stands out in it, or it cannot be read.
    Unclear,
    /// It was not measured.
    Absent,
}

impl fmt::Display for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Stand::For => "for",
            Stand::Against => "against",
            Stand::Unclear => "unclear",
            Stand::Absent => "absent",
        })
    }
}

/// What one curve says about one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The curve.
    pub signal: String,
    /// The kind of measurement it belongs to.
    pub measurement: Measurement,
    /// Whether it speaks for the stage.
    pub stand: Stand,
    /// How plainly: from -1, against in every layer, to 1, for in every layer.
    pub strength: f64,
    /// The same in words and the curve's own numbers.
    pub text: String,
}

/// A stage and the layers it takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageSpan {
    /// Which stage.
    pub stage: Stage,
    /// Its first layer.
    pub first: usize,
    /// The layer behind its last one.
    pub end: usize,
    /// What each curve says about it: for, against, unclear, absent.
    pub evidence: Vec<Evidence>,
}

/// Where one stage ends and another begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Boundary {
    /// The stage that ends.
    pub before: Stage,
    /// The stage that begins.
    pub after: Stage,
    /// The first layer of the stage that begins.
    pub at: usize,
    /// How sure it is; none without the means of single windows.
    pub doubt: Option<Doubt>,
}

/// What drawing the windows again does to a boundary.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Doubt {
    /// The interval's lower end, a first layer like [`Boundary::at`].
    pub low: usize,
    /// Its upper end, included.
    pub high: usize,
    /// The share of the draws that have the boundary at all.
    pub support: f64,
    /// The share of the draws that have it within one layer of the estimate.
    pub within_one: f64,
}

/// A boundary that the curves ask for, and that was not drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// The stage that would end.
    pub before: Stage,
    /// The stage that would begin.
    pub after: Stage,
    /// The first layer of the stage that would begin.
    pub at: usize,
    /// Why not.
    pub reason: String,
}

/// A layer that cannot be removed and stands among layers that can; it makes no boundary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outlier {
    /// Which layer.
    pub layer: usize,
    /// The curve that shows it.
    pub signal: String,
    /// Its robust score there.
    pub z: f64,
    /// What else the layer does, in words and numbers.
    pub reason: String,
}

/// The stages of a model, with what speaks for and against them; it prints as a text and is written into `profile.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segmentation {
    /// Layers of the model.
    pub n_layers: usize,
    /// Whether it has stages.
    pub verdict: Verdict,
    /// Why it has none; or what made the rule say that it has.
    pub reason: String,
    /// The share of orders of the same layers that gain as much from stages as the true order does, which is counted among
    /// them: `(1 + k) / (1 + n)` for `k` of `n` random orders. All four stages are allowed in each, whichever are drawn.
    pub p_value: f64,
    /// The largest such share with one kind of measurement left out; 1 in a file without it.
    #[serde(default = "unknown_share")]
    pub p_value_alone: f64,
    /// What the stages bring over a single one, in units of evidence.
    pub gain: f64,
    /// The stages, in the order of depth; empty where there are none.
    pub stages: Vec<StageSpan>,
    /// Where they meet.
    pub boundaries: Vec<Boundary>,
    /// Boundaries that were not drawn, with the reason.
    pub rejected: Vec<Rejected>,
    /// Layers that stand out and make no boundary.
    pub outliers: Vec<Outlier>,
    /// Change points of all curves together, which know nothing of stages: first layers of new segments.
    pub change_points: Vec<usize>,
    /// Curves that the rule reads and the profile lacks, and `clean_nll` where the model's loss is not known.
    pub missing: Vec<String>,
    /// Curves that the rule reads and the profile has, of under three numbers or of a length that does not fit its layers.
    #[serde(default)]
    pub unreadable: Vec<String>,
    /// The rule that was used.
    pub rule: Rule,
}

/// What a file without such a share shows: nothing.
fn unknown_share() -> f64 {
    1.0
}

impl Segmentation {
    /// The stage of a layer.
    pub fn stage_of(&self, layer: usize) -> Option<Stage> {
        self.stages.iter().find(|span| (span.first..span.end).contains(&layer)).map(|span| span.stage)
    }

    /// The boundary between two stages.
    pub fn boundary(&self, before: Stage, after: Stage) -> Option<&Boundary> {
        self.boundaries.iter().find(|boundary| boundary.before == before && boundary.after == after)
    }

    /// Whether it has stages.
    pub fn has_stages(&self) -> bool {
        self.verdict == Verdict::Stages
    }

    /// How many of this one's boundaries another has too, between the same stages and within `layers` layers.
    pub fn found_again(&self, other: &Segmentation, layers: usize) -> usize {
        let again = |boundary: &&Boundary| {
            other.boundary(boundary.before, boundary.after).is_some_and(|its| its.at.abs_diff(boundary.at) <= layers)
        };
        self.boundaries.iter().filter(again).count()
    }
}
