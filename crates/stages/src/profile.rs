//! The record of a study: [`Profile`], made of [`Curve`]s over layers and [`Matrix`]es, and [`Intervention`]s in full.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::Segmentation;

/// A mean and its standard error over windows; there is none for a single window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean over positions and windows; NaN, written as `null`, where there is none.
    #[serde(deserialize_with = "number")]
    pub mean: f64,
    /// Its standard error over windows.
    pub sem: Option<f64>,
}

/// What the replicates of a [`Curve`] are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Units {
    /// The windows of the corpus, the same ones in the same order for every such curve.
    #[default]
    Windows,
    /// The pairs of a Word-in-Context test.
    Pairs,
}

/// One number per layer, or per place between layers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Curve {
    /// The means, by layer; NaN, written as `null`, where there is none.
    #[serde(deserialize_with = "numbers")]
    pub mean: Vec<f64>,
    /// Their standard errors, by layer.
    pub sem: Vec<Option<f64>>,
    /// The mean of each window, or of each of other [`Units`], by layer: what a bootstrap draws from. It is not written to
    /// `profile.json`.
    #[serde(skip)]
    pub replicates: Vec<Vec<f64>>,
    /// What the replicates are of. It is not written either.
    #[serde(skip)]
    pub units: Units,
}

impl Curve {
    /// Adds the next layer's number, with the mean of each window.
    pub fn push(&mut self, estimate: Estimate, replicates: Vec<f64>) {
        self.mean.push(estimate.mean);
        self.sem.push(estimate.sem);
        self.replicates.push(replicates);
    }

    /// How many layers it has.
    pub fn len(&self) -> usize {
        self.mean.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.mean.is_empty()
    }
}

impl Curve {
    /// How many windows it has means of: two at least, and as many in every layer.
    pub fn n_windows(&self) -> Option<usize> {
        self.n_replicates().filter(|_| self.units == Units::Windows)
    }

    /// The same of whatever its replicates are of.
    pub(crate) fn n_replicates(&self) -> Option<usize> {
        let n = self.replicates.first()?.len();
        let even = self.replicates.len() == self.len() && self.replicates.iter().all(|windows| windows.len() == n);
        (n >= 2 && even).then_some(n)
    }

    /// The curve of some of its windows, of which one may be named more than once.
    ///
    /// # Panics
    ///
    /// If there is no such window.
    pub fn of_windows(&self, chosen: &[usize]) -> Self {
        let mut curve = Self { units: self.units, ..Self::default() };
        for windows in &self.replicates {
            let kept: Vec<f64> = chosen.iter().map(|&window| windows[window]).collect();
            let n = kept.len() as f64;
            let mean = kept.iter().sum::<f64>() / n;
            let variance = kept.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
            curve.push(Estimate { mean, sem: (kept.len() > 1).then(|| (variance / n).sqrt()) }, kept);
        }
        curve
    }
}

/// Numbers over two things, such as every place in the residual stream with every other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// What runs downwards.
    pub rows: Axis,
    /// What runs to the right.
    pub columns: Axis,
    /// What the numbers are, with their unit.
    pub unit: String,
    /// `values[row][column]`; NaN, written as `null`, where there is none.
    #[serde(deserialize_with = "rows_of_numbers")]
    pub values: Vec<Vec<f64>>,
}

/// One side of a [`Matrix`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// What it counts, such as `layer` or `head`.
    pub name: String,
    /// The name of each row or column.
    pub labels: Vec<String>,
}

impl Axis {
    /// An axis that counts from 0.
    pub fn counting(name: &str, n: usize) -> Self {
        Self { name: name.to_owned(), labels: (0..n).map(|index| index.to_string()).collect() }
    }
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    Ok(from_nullable(Vec::deserialize(deserializer)?))
}

fn rows_of_numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<f64>>, D::Error> {
    Ok(Vec::deserialize(deserializer)?.into_iter().map(from_nullable).collect())
}

/// JSON has no NaN: it is written as `null`.
fn from_nullable(values: Vec<Option<f64>>) -> Vec<f64> {
    values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect()
}

/// What was done to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterventionKind {
    /// Nothing: the unchanged model.
    None,
    /// A layer was left out.
    Delete,
    /// A layer and the next were run in the other order.
    Swap,
    /// A block of so many layers had every layer run twice in a row.
    Repeat(usize),
    /// A layer ran without its attention.
    DeleteAttention,
    /// A layer ran without its MLP.
    DeleteMlp,
    /// What a layer's attention writes was replaced by its mean.
    MeanAttention,
    /// What a layer's MLP writes was replaced by its mean.
    MeanMlp,
    /// What a layer's attention writes was replaced by what it writes for another window.
    ResampleAttention,
    /// What a layer's MLP writes was replaced by what it writes for another window.
    ResampleMlp,
    /// A plan of the user's own was run.
    Plan,
}

impl fmt::Display for InterventionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InterventionKind::Repeat(n_blocks) => return write!(f, "repeat_{n_blocks}"),
            InterventionKind::None => "none",
            InterventionKind::Delete => "delete",
            InterventionKind::Swap => "swap",
            InterventionKind::DeleteAttention => "delete_attention",
            InterventionKind::DeleteMlp => "delete_mlp",
            InterventionKind::MeanAttention => "mean_attention",
            InterventionKind::MeanMlp => "mean_mlp",
            InterventionKind::ResampleAttention => "resample_attention",
            InterventionKind::ResampleMlp => "resample_mlp",
            InterventionKind::Plan => "plan",
        })
    }
}

/// One change to the model and everything measured under it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intervention {
    /// The kind of change.
    pub kind: InterventionKind,
    /// The layer it names, where it names one; a swap or a repeated block names its first.
    pub layer: Option<usize>,
    /// The layers that ran, such as `0-1-3-2-4`.
    pub plan: String,
    /// What was measured, by metric.
    pub metrics: BTreeMap<String, Estimate>,
}

/// The model that was studied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Its file or directory.
    pub name: String,
    /// Its number of layers.
    pub n_layers: usize,
    /// The width of its residual stream.
    pub d_model: usize,
    /// The size of its vocabulary.
    pub d_vocab: usize,
}

/// The text it was studied on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CorpusRecord {
    /// Its file.
    pub name: String,
    /// Windows.
    pub n_sequences: usize,
    /// Tokens in a window.
    pub seq_len: usize,
    /// Whether the tokenizer's special tokens were added.
    pub special_tokens: bool,
}

/// Everything a study found that can be drawn over layers; the content of `profile.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The model.
    pub model: ModelRecord,
    /// The text.
    pub corpus: CorpusRecord,
    /// The backend that computed it.
    pub device: String,
    /// Versions of what computed it, by name.
    pub versions: BTreeMap<String, String>,
    /// The command that computed it, word by word.
    #[serde(default)]
    pub command: Vec<String>,
    /// The seed of everything that is drawn.
    #[serde(default)]
    pub seed: u64,
    /// Single numbers, by name: `clean_nll` is the loss of the unchanged model.
    #[serde(default)]
    pub values: BTreeMap<String, Estimate>,
    /// Matrices, by name: `cka` compares every place in the residual stream with every other.
    #[serde(default)]
    pub matrices: BTreeMap<String, Matrix>,
    /// The curves, by name; `delete_kl` at layer 3 is the KL divergence after deleting layer 3.
    pub curves: BTreeMap<String, Curve>,
    /// The stages of inference found in the curves, where they were looked for.
    #[serde(default)]
    pub stages: Option<Segmentation>,
}

impl Profile {
    /// The profile that some of the windows give, to see whether what it shows stays put. Curves without the means of the
    /// corpus's windows (of weights, CKA, Word-in-Context) are of no window and stay as they are, and so do single numbers.
    ///
    /// # Panics
    ///
    /// If there is no such window.
    pub fn of_windows(&self, chosen: &[usize]) -> Self {
        let mut profile = self.clone();
        profile.corpus.n_sequences = chosen.len();
        profile.stages = None;
        for curve in profile.curves.values_mut().filter(|curve| curve.n_windows() == Some(self.corpus.n_sequences)) {
            *curve = curve.of_windows(chosen);
        }
        profile
    }
}
