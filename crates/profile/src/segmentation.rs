//! The stages of inference that were found in a profile: [`Segmentation`], made of [`StageSpan`]s with their [`Evidence`].
//!
//! These are plain records. `stratigraph-stages` fills them in; reports read them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Boundary, EdgeEffect, RejectedBoundary, StoryCheck};

/// A stage of inference (Lad, Lee, Gurnee and Tegmark, arXiv 2406.19384), in the order of depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Tokens are joined with their neighbours; the layers cannot be removed.
    Detokenization,
    /// Features are built; layers can be removed and swapped, and the lens does not come nearer to the output.
    FeatureEngineering,
    /// Predictions are collected; the lens comes nearer to the output, and neurons raise single tokens.
    PredictionEnsembling,
    /// The distribution is finished; neurons lower single tokens, MLPs write much, the layers cannot be removed.
    ResidualSharpening,
}

impl Stage {
    /// All, in the order of depth.
    pub const ALL: [Stage; 4] =
        [Stage::Detokenization, Stage::FeatureEngineering, Stage::PredictionEnsembling, Stage::ResidualSharpening];

    /// The letter that stands for it in charts: D, F, P or R.
    pub fn letter(self) -> char {
        match self {
            Stage::Detokenization => 'D',
            Stage::FeatureEngineering => 'F',
            Stage::PredictionEnsembling => 'P',
            Stage::ResidualSharpening => 'R',
        }
    }
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
#[non_exhaustive]
pub enum Verdict {
    /// It has two stages or more.
    Stages,
    /// No stages were found.
    NoStageStructure,
}

/// Whether a curve supports a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Support {
    /// The curve shows what the stage should show.
    For,
    /// It shows the opposite.
    Against,
    /// It shows neither, or no layer stands out in it, or it cannot be read.
    Unclear,
    /// It was not measured.
    Absent,
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Support::For => "for",
            Support::Against => "against",
            Support::Unclear => "unclear",
            Support::Absent => "absent",
        })
    }
}

/// What one curve says about one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The curve.
    pub signal: String,
    /// The kind of evidence, such as `deletion`; curves of one kind count once.
    #[serde(alias = "measurement")]
    pub kind: String,
    /// Whether the stage is recognised by this kind of evidence; other kinds it shares with other stages.
    #[serde(default)]
    pub characteristic: bool,
    /// Whether the curve supports the stage.
    #[serde(alias = "stand")]
    pub support: Support,
    /// How clearly: from -1, against in every layer, to 1, for in every layer.
    pub strength: f64,
    /// The reason in words, with the curve's own numbers.
    pub text: String,
}

/// A stage and its layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageSpan {
    /// Which stage.
    pub stage: Stage,
    /// Its first layer.
    pub first: usize,
    /// The layer after its last one.
    pub end: usize,
    /// What its layers do, in one sentence with numbers; empty in a file without it.
    #[serde(default)]
    pub headline: String,
    /// What each curve says about it.
    pub evidence: Vec<Evidence>,
}

/// The cost from which on the removal of a layer counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RemovalFloor {
    /// The floor, in nats.
    pub nats: f64,
    /// The loss of a model that knows only how frequent each token is.
    pub unigram_loss: f64,
    /// The loss of the unchanged model.
    pub clean_loss: f64,
}

impl StageSpan {
    /// The layers `first..end`, with nothing said about them.
    pub fn new(stage: Stage, first: usize, end: usize) -> Self {
        Self { stage, first, end, headline: String::new(), evidence: Vec::new() }
    }

    /// Sets what each curve says about it.
    pub fn with_evidence(mut self, evidence: Vec<Evidence>) -> Self {
        self.evidence = evidence;
        self
    }

    /// Sets what its layers do, in one sentence with numbers.
    pub fn with_headline(mut self, headline: impl Into<String>) -> Self {
        self.headline = headline.into();
        self
    }
}

/// A layer that cannot be removed among layers that can; it makes no boundary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutlierLayer {
    /// Which layer.
    pub layer: usize,
    /// The curve in which it stands out.
    pub signal: String,
    /// Its robust z score there.
    pub z: f64,
    /// What else the layer does, in words and numbers.
    pub reason: String,
    /// Whether it makes the attention sink: deleting it costs little where the first position still passes through it.
    #[serde(default)]
    pub makes_sink: bool,
}

impl OutlierLayer {
    /// A layer that stands out in a curve by a robust z score.
    pub fn new(layer: usize, signal: impl Into<String>, z: f64, reason: impl Into<String>) -> Self {
        Self { layer, signal: signal.into(), z, reason: reason.into(), makes_sink: false }
    }

    /// Says that it makes the attention sink.
    pub fn as_sink(mut self) -> Self {
        self.makes_sink = true;
        self
    }

    /// It in words.
    pub fn in_words(&self) -> String {
        let Self { layer, signal, z, reason, makes_sink } = self;
        let does = if *makes_sink { "makes the attention sink".to_owned() } else { format!("stands out in {signal}") };
        format!("layer {layer} {does} (robust z {z:+.1}): {reason}")
    }
}

/// The stages of a model, with the evidence for and against each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Segmentation {
    /// Layers of the model.
    pub n_layers: usize,
    /// Whether it has stages.
    pub verdict: Verdict,
    /// The test that decided the verdict, in words.
    pub reason: String,
    /// The fraction of orders of the same layers that gain as much from stages as the true order, which is counted among
    /// them: `(1 + k) / (1 + n)` for `k` of `n` random orders. All four stages are allowed in each order.
    pub p_value: f64,
    /// The largest such fraction with one group of signals left out; 1 in a file without it.
    #[serde(default = "one")]
    pub p_value_alone: f64,
    /// How much the stages gain over a single one, in nats of evidence.
    pub gain: f64,
    /// The stages, in the order of depth; empty where there are none.
    pub stages: Vec<StageSpan>,
    /// Where they meet.
    pub boundaries: Vec<Boundary>,
    /// Boundaries that a test rejected.
    pub rejected: Vec<RejectedBoundary>,
    /// A first or last layer that is special and no stage.
    #[serde(default)]
    pub edges: Vec<EdgeEffect>,
    /// Layers that stand out and make no boundary.
    pub outliers: Vec<OutlierLayer>,
    /// Change points of all curves together, found without reference to stages: first layers of new segments.
    pub change_points: Vec<usize>,
    /// Curves that the rule reads and the profile lacks, and `clean_nll` where the model's loss is not known.
    pub missing: Vec<String>,
    /// Curves that the rule reads and the profile has, but with fewer than three numbers or of the wrong length.
    #[serde(default)]
    pub unreadable: Vec<String>,
    /// From what a layer's removal costs something; none where the loss of a unigram model is not known.
    #[serde(default)]
    pub floor: Option<RemovalFloor>,
    /// What experiments say about the stories of the stages that were found.
    #[serde(default)]
    pub stories: Vec<StoryCheck>,
    /// How the rule read what could be read in several ways, in sentences: which lens, which deletion, what was resampled.
    #[serde(default)]
    pub readings: Vec<String>,
    /// The settings of the rule that was used, by name.
    #[serde(default)]
    pub rule: serde_json::Value,
}

fn one() -> f64 {
    1.0
}

impl Segmentation {
    /// A segmentation with a verdict and its reason, and nothing else.
    pub fn new(n_layers: usize, verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            n_layers,
            verdict,
            reason: reason.into(),
            p_value: 1.0,
            p_value_alone: 1.0,
            gain: 0.0,
            stages: Vec::new(),
            boundaries: Vec::new(),
            rejected: Vec::new(),
            edges: Vec::new(),
            outliers: Vec::new(),
            change_points: Vec::new(),
            missing: Vec::new(),
            unreadable: Vec::new(),
            floor: None,
            stories: Vec::new(),
            readings: Vec::new(),
            rule: serde_json::Value::Null,
        }
    }

    /// The stage of a layer.
    pub fn stage_of(&self, layer: usize) -> Option<Stage> {
        self.stages.iter().find(|span| (span.first..span.end).contains(&layer)).map(|span| span.stage)
    }

    /// The boundary between two stages.
    pub fn boundary(&self, before: Stage, after: Stage) -> Option<&Boundary> {
        self.boundaries.iter().find(|boundary| boundary.before == before && boundary.after == after)
    }

    /// Whether the model has stages.
    pub fn has_stages(&self) -> bool {
        self.verdict == Verdict::Stages
    }

    /// How many of these boundaries another segmentation has too, between the same stages and within `layers` layers.
    pub fn n_shared_boundaries(&self, other: &Segmentation, layers: usize) -> usize {
        let shared = |boundary: &&Boundary| {
            other.boundary(boundary.before, boundary.after).is_some_and(|its| its.at.abs_diff(boundary.at) <= layers)
        };
        self.boundaries.iter().filter(shared).count()
    }
}
