//! One prompt, layer by layer: [`PromptReading`], with a [`LensGrid`] for each lens, and what else was found about it.

mod attention;
mod attribution;
mod file;
mod lens;
mod texts;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use attention::AttentionPatterns;
pub use attribution::{DifferenceAttribution, LayerAttribution, NeuronAttribution};
pub use lens::{LensCell, LensGrid, LikelyToken};
pub use texts::TokenTexts;

use crate::{Matrix, ModelRecord};
use file::Format;

/// What was found about one prompt. Everything except the tokens is there only if it was asked for and the model allows it;
/// [`remarks`](Self::remarks) say what is missing and why.
///
/// ```
/// use stratigraph_profile::ModelRecord;
/// use stratigraph_profile::prompt::{LensCell, LensGrid, LikelyToken, PromptReading};
///
/// let cell = LensCell::new(vec![LikelyToken::new(7, 0.5)]).with_entropy_bits(1.5).with_kl(0.25);
/// let rows = vec![vec![cell.clone(), cell.clone()], vec![cell.clone(), cell]];
/// let reading = PromptReading::new(ModelRecord::new("my-model", 1, 4, 8), vec![3, 5])
///     .with_text(7, " Paris")
///     .with_lens(LensGrid::new("lens", "logit lens", rows));
/// assert_eq!(reading.lenses[0].rows.len(), 2); // residual positions 0 and 1
/// assert_eq!(reading.texts.of(7), " Paris");
/// assert_eq!(PromptReading::from_json(&reading.to_json())?, reading);
/// # Ok::<(), stratigraph_profile::ProfileError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PromptReading {
    pub(crate) format: Format,
    /// The model.
    pub model: ModelRecord,
    /// The device that it ran on.
    pub device: String,
    /// The versions of Stratigraph and burn.
    pub versions: BTreeMap<String, String>,
    /// The command that made it, word by word; empty where a library did.
    pub command: Vec<String>,
    /// The token ids of the prompt, BOS included.
    pub tokens: Vec<u32>,
    /// Whether the first token is a BOS that is not of the text.
    pub has_bos: bool,
    /// Where the prompt is from, if it is a window of a corpus: `window 3 of text.txt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The text of every token that is mentioned.
    pub texts: TokenTexts,
    /// What each lens reads.
    pub lenses: Vec<LensGrid>,
    /// What the deletion of each layer does to the prediction after each token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<DeletionGrid>,
    /// Where each head looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<AttentionPatterns>,
    /// What raises the logit of one token over another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribution: Option<DifferenceAttribution>,
    /// Which activations of this prompt restore its answer in the run of another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patching: Option<PatchingMaps>,
    /// What is missing, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// What the deletion of each layer does to the prediction after each token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeletionGrid {
    /// The KL divergence from the unchanged model's prediction in nats, `[layer][position]`.
    pub kl: Vec<Vec<f64>>,
    /// How much the loss of the next token rises in nats, `[layer][position]`; the last position has no next token.
    pub loss_change: Vec<Vec<f64>>,
}

impl DeletionGrid {
    /// Of these divergences and rises of the loss, `[layer][position]`.
    pub fn new(kl: Vec<Vec<f64>>, loss_change: Vec<Vec<f64>>) -> Self {
        Self { kl, loss_change }
    }
}

/// Maps of activation patching from this prompt into another one of the same length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PatchingMaps {
    /// The token ids of the other prompt.
    pub corrupted: Vec<u32>,
    /// The two answers, whose logit difference is 1 after this prompt and 0 after the other one.
    pub answers: [u32; 2],
    /// The logit difference after this prompt.
    pub clean_difference: f64,
    /// The logit difference after the other prompt.
    pub corrupted_difference: f64,
    /// By the name of the curve catalogue, such as `patch_resid_pre_denoise`: layers by positions or by heads.
    pub maps: BTreeMap<String, Matrix>,
}

impl PatchingMaps {
    /// Between these prompts and answers, without maps yet. `differences` are the logit differences after this prompt and after
    /// the other one.
    pub fn new(corrupted: Vec<u32>, answers: [u32; 2], differences: [f64; 2]) -> Self {
        let [clean_difference, corrupted_difference] = differences;
        Self { corrupted, answers, clean_difference, corrupted_difference, maps: BTreeMap::new() }
    }

    /// Adds a map.
    pub fn with_map(mut self, name: impl Into<String>, map: Matrix) -> Self {
        self.maps.insert(name.into(), map);
        self
    }
}

impl PromptReading {
    /// Of the tokens of a prompt, without anything found yet.
    pub fn new(model: ModelRecord, tokens: Vec<u32>) -> Self {
        Self {
            format: Format,
            model,
            device: String::new(),
            versions: BTreeMap::new(),
            command: Vec::new(),
            tokens,
            has_bos: false,
            source: None,
            texts: TokenTexts::default(),
            lenses: Vec::new(),
            deletion: None,
            attention: None,
            attribution: None,
            patching: None,
            remarks: Vec::new(),
        }
    }

    /// Says that the first token is a BOS that is not of the text.
    pub fn beginning_with_bos(self, has_bos: bool) -> Self {
        Self { has_bos, ..self }
    }

    /// With the text of a token.
    pub fn with_text(mut self, id: u32, text: impl Into<String>) -> Self {
        self.texts.insert(id, text);
        self
    }

    /// With what one more lens reads.
    pub fn with_lens(mut self, grid: LensGrid) -> Self {
        self.lenses.push(grid);
        self
    }

    /// With the device, and the command word by word.
    pub fn with_record(self, device: impl Into<String>, command: Vec<String>) -> Self {
        Self { device: device.into(), command, ..self }
    }

    /// Where the prompt is from, if it is a window of a corpus.
    pub fn with_source(self, source: impl Into<String>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// The text of the prompt, without its BOS.
    pub fn prompt(&self) -> String {
        self.tokens.iter().skip(usize::from(self.has_bos)).map(|&id| self.texts.of(id)).collect()
    }

    /// Every token that is mentioned, in order.
    pub fn mentioned(&self) -> Vec<u32> {
        let cells = self.lenses.iter().flat_map(|grid| grid.rows.iter().flatten());
        let likely = cells.flat_map(|cell| cell.top.iter().map(|token| token.id));
        let answers = self.attribution.iter().flat_map(|it| it.tokens);
        let patched = self.patching.iter().flat_map(|it| it.corrupted.iter().copied().chain(it.answers));
        let all = self.tokens.iter().copied().chain(likely).chain(answers).chain(patched);
        all.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }
}
