//! How well a word's sense can be read from the residual stream, at every depth: [`wic_accuracy`].

use std::collections::BTreeMap;
use std::ops::Range;

use stratigraph_core::{
    Activation, ActivationSampler, Hook, HookPoint, HookSet, Observer, ResidualModel, Result as CoreResult,
    SamplePositions, Site, Tap, TokenWindows, observe,
};

use super::WicTokens;
use super::wic::Target;
use crate::linear::{Examples, Folds, Logistic};
use crate::statistics::Proportion;
use crate::{ProbeError, Result};

/// How probes are fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct WicOptions {
    /// Strengths of the L2 penalty, of which cross-validation on the training pairs chooses one for each residual position. By default
    /// powers of ten from 10 to 10,000: with a few thousand pairs and twice `d_model` features, weaker ones overfit.
    pub strengths: Vec<f64>,
    /// Parts of the training pairs in cross-validation, which have no word in common; where there are fewer words than parts,
    /// pairs are divided. 5 by default.
    pub folds: usize,
    /// Decides which word is in which part.
    pub seed: u64,
    /// Bytes of activations held at once; where all residual positions do not fit, the model runs over the sentences several
    /// times.
    /// 512 MiB by default.
    pub bytes: usize,
}

impl Default for WicOptions {
    fn default() -> Self {
        Self { strengths: vec![1e1, 1e2, 1e3, 1e4], folds: 5, seed: 0, bytes: 512 << 20 }
    }
}

impl WicOptions {
    /// Checks that there are enough pairs.
    ///
    /// # Errors
    /// [`ProbeError::TooFewPairs`] when there are fewer training pairs than folds, or no test pairs;
    /// [`ProbeError::BadSetting`] when there are fewer than two folds, or no strengths.
    pub fn check(&self, train: &WicTokens, test: &WicTokens) -> Result<()> {
        let bad =
            |setting, value, reason: &str| Err(ProbeError::BadSetting { setting, value, reason: reason.to_owned() });
        if self.folds < 2 {
            return bad("the number of folds", self.folds, "cross-validation takes at least 2");
        }
        if self.strengths.is_empty() {
            return bad("the number of penalty strengths", 0, "a probe is fitted with at least 1");
        }
        match train.len() < self.folds || test.is_empty() {
            true => Err(ProbeError::TooFewPairs { train: train.len(), test: test.len(), needed: self.folds }),
            false => Ok(()),
        }
    }
}

/// Pairs that probes are fitted to, and pairs that they are tested on.
#[derive(Debug, Clone, Default)]
pub struct WicSplit {
    /// The training pairs.
    pub train: WicTokens,
    /// The test pairs.
    pub test: WicTokens,
}

/// A probe at one position of the residual stream.
#[derive(Debug, Clone, PartialEq)]
pub struct WicProbe {
    /// Of each test pair, whether the probe is right.
    pub right: Vec<bool>,
    /// The strength of the penalty that was chosen.
    pub strength: f64,
}

impl WicProbe {
    /// The share of test pairs that the probe gets right.
    pub fn accuracy(&self) -> Proportion {
        self.right.iter().copied().collect()
    }
}

/// The accuracies of probes and of two baselines.
#[derive(Debug, Clone, PartialEq)]
pub struct WicAccuracy {
    /// A probe at each residual position: before each layer, and after the last.
    pub residual: Vec<WicProbe>,
    /// The same probe on the mean of each sentence's embeddings, which no layer has changed.
    pub static_embedding: WicProbe,
    /// The share of the more frequent answer among the test pairs.
    pub majority: f64,
    /// The word of each test pair, counted from 0: pairs of one word are correlated, so errors are over words.
    pub words: Vec<usize>,
}

/// Tokens that are run at once.
const BATCH_TOKENS: usize = 2048;

/// Fits a linear probe at every residual position to the training pairs, and tests it on the test pairs.
///
/// Its features are `|h_1 - h_2|` and `h_1 * h_2` of the residual stream at the word's last token in both sentences,
/// standardised on the training pairs. `done` is called with the share of the work that is done, from 0 to 1.
///
/// # Errors
/// When there are fewer training pairs than folds or no test pairs, the model does not offer its residual stream or cannot
/// run a sentence, or an activation is not finite.
pub fn wic_accuracy(
    model: &dyn ResidualModel,
    split: &WicSplit,
    options: &WicOptions,
    mut done: impl FnMut(f64),
) -> Result<WicAccuracy> {
    let WicSplit { train, test } = split;
    options.check(train, test)?;
    let sentences = Sentences::of(split);
    let d_model = model.d_model();
    let n_positions = model.n_layers() + 1;
    let bytes_each = sentences.targets.len() * d_model * size_of::<f32>();
    let at_once = (options.bytes / bytes_each.max(1)).clamp(1, n_positions);
    let fit = |vectors: &[f32], position: usize| {
        if let Some(at) = vectors.iter().position(|x| !x.is_finite()) {
            let (what, sequence) = ("the residual stream at position", at / d_model);
            return Err(ProbeError::ActivationNotFinite { what, place: position, sequence });
        }
        Ok(probe(vectors, d_model, split, options))
    };
    let (mut residual, mut static_embedding) = (Vec::new(), None);
    for first in (0..n_positions).step_by(at_once) {
        let seen = sentences.run(model, first..(first + at_once).min(n_positions))?;
        if static_embedding.is_none() {
            static_embedding = Some(fit(&seen.embeddings, 0)?);
        }
        for vectors in seen.residual {
            residual.push(fit(&vectors, residual.len())?);
            done(residual.len() as f64 / n_positions as f64);
        }
    }
    let majority = test.same.iter().filter(|same| **same).count() as f64 / test.len() as f64;
    let static_embedding = static_embedding.expect("there is a residual position");
    Ok(WicAccuracy { residual, static_embedding, majority: majority.max(1.0 - majority), words: test.words.clone() })
}

fn probe(vectors: &[f32], d_model: usize, split: &WicSplit, options: &WicOptions) -> WicProbe {
    let WicSplit { train, test } = split;
    let vector = |sentence: usize| &vectors[sentence * d_model..(sentence + 1) * d_model];
    let examples = |pairs: Range<usize>, same: &[bool]| {
        let mut examples = Examples::new(2 * d_model);
        for (pair, &same) in pairs.zip(same) {
            let both =
                || vector(2 * pair).iter().zip(vector(2 * pair + 1)).map(|(a, b)| (f64::from(*a), f64::from(*b)));
            examples.push(both().map(|(a, b)| (a - b).abs()).chain(both().map(|(a, b)| a * b)), same);
        }
        examples
    };
    let fitted = examples(0..train.len(), &train.same);
    let asked = examples(train.len()..train.len() + test.len(), &test.same);
    let (strengths, folds, seed) = (&options.strengths, options.folds, options.seed);
    let n_words = train.words.iter().max().map_or(0, |last| last + 1);
    let probe = match n_words < folds {
        true => Logistic::cross_validated(&fitted, strengths, folds, seed),
        false => Logistic::cross_validated_by_group(&fitted, &train.words, strengths, Folds { n: folds, seed }),
    };
    WicProbe { right: probe.answers(&asked), strength: probe.l2() }
}

/// All sentences, and which of them have the same length and run together, so that none has to be padded.
struct Sentences<'a> {
    targets: Vec<&'a Target>,
    by_length: BTreeMap<usize, Vec<usize>>,
}

/// Vectors of all sentences, `[sentence, d_model]` each.
struct Seen {
    residual: Vec<Vec<f32>>,
    embeddings: Vec<f32>,
}

impl<'a> Sentences<'a> {
    fn of(split: &'a WicSplit) -> Self {
        let targets: Vec<&Target> = split.train.pairs.iter().chain(&split.test.pairs).flatten().collect();
        let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        targets
            .iter()
            .enumerate()
            .for_each(|(index, target)| by_length.entry(target.ids.len()).or_default().push(index));
        Self { targets, by_length }
    }

    /// The residual stream at each sentence's word, at some residual positions, and each sentence's mean embedding.
    fn run(&self, model: &dyn ResidualModel, residual: Range<usize>) -> Result<Seen> {
        let (d_model, n_layers) = (model.d_model(), model.n_layers());
        let size = self.targets.len() * d_model;
        let mut seen = Seen { residual: vec![vec![0.0; size]; residual.len()], embeddings: vec![0.0; size] };
        for (length, sentences) in &self.by_length {
            let ids: Vec<u32> = sentences.iter().flat_map(|&index| self.targets[index].ids.iter().copied()).collect();
            let at = sentences.iter().map(|&index| vec![self.targets[index].at]).collect();
            let positions = SamplePositions::of_windows(at);
            let mut sampler = ActivationSampler::of_residual(positions, n_layers, residual.clone());
            let mut means = MeanEmbeddings(Vec::new());
            let windows = TokenWindows::new(&ids, *length)?;
            observe(model, &windows, BATCH_TOKENS / length, &mut [&mut sampler, &mut means], |_| {})?;
            scatter(&means.0, sentences, &mut seen.embeddings, d_model);
            for (position, vectors) in residual.clone().zip(&mut seen.residual) {
                scatter(sampler.values(HookPoint::of_residual(position, n_layers))?, sentences, vectors, d_model);
            }
        }
        Ok(seen)
    }
}

/// Puts the rows of some sentences where they belong among those of all.
fn scatter(rows: &[f32], sentences: &[usize], all: &mut [f32], width: usize) {
    for (row, sentence) in rows.chunks(width).zip(sentences) {
        all[sentence * width..(sentence + 1) * width].copy_from_slice(row);
    }
}

/// The mean embedding of each window, `window * d_model` numbers.
struct MeanEmbeddings(Vec<f32>);

impl Tap for MeanEmbeddings {
    fn hooks(&self) -> HookSet {
        [Hook::Embed].into()
    }

    fn visit(&mut self, _site: Site, hook: Hook, activation: Activation) -> CoreResult<Activation> {
        let [_, pos, d_model] = activation.clone().wide(hook.at(0))?.dims();
        for sentence in activation.to_vec().chunks(pos * d_model) {
            let mut mean = vec![0.0; d_model];
            for token in sentence.chunks(d_model) {
                mean.iter_mut().zip(token).for_each(|(mean, x)| *mean += x / pos as f32);
            }
            self.0.extend(mean);
        }
        Ok(activation)
    }
}

impl Observer for MeanEmbeddings {}
