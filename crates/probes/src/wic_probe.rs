//! What the residual stream knows of a word's sense, at every depth: [`wic_accuracy`].

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{Hook, ResidualModel, Site, Tap, TokenWindows};

use crate::wic::Target;
use crate::{Examples, Logistic, Observer, ProbeError, Proportion, Result, WicTokens, observe};

/// How probes are fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct WicOptions {
    /// Strengths of the L2 penalty, of which cross-validation on the training pairs chooses one for each place. By default
    /// powers of ten from 10 to 10,000: with a few thousand pairs and twice `d_model` features, weaker ones overfit.
    pub strengths: Vec<f64>,
    /// Parts of the training pairs in cross-validation. 5 by default.
    pub folds: usize,
    /// Decides which pair is in which part.
    pub seed: u64,
    /// Bytes of activations held at once; where all places do not fit, the model runs over the sentences several times.
    /// 512 MiB by default.
    pub bytes: usize,
}

impl Default for WicOptions {
    fn default() -> Self {
        Self { strengths: vec![1e1, 1e2, 1e3, 1e4], folds: 5, seed: 0, bytes: 512 << 20 }
    }
}

impl WicOptions {
    /// Checks that there are pairs enough.
    ///
    /// # Errors
    /// [`ProbeError::TooFewPairs`] when there are fewer to fit to than folds, or none to ask about.
    pub fn check(&self, train: &WicTokens, test: &WicTokens) -> Result<()> {
        match train.len() < self.folds || test.is_empty() {
            true => Err(ProbeError::TooFewPairs { train: train.len(), test: test.len(), needed: self.folds }),
            false => Ok(()),
        }
    }
}

/// A probe at one place in the residual stream.
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

/// What probes find, beside what needs no model.
#[derive(Debug, Clone, PartialEq)]
pub struct WicAccuracy {
    /// Before each layer, and after the last.
    pub places: Vec<WicProbe>,
    /// The same probe on what is known without any layer: the mean of each sentence's embeddings.
    pub static_embedding: WicProbe,
    /// The share of the commoner answer among the test pairs.
    pub majority: f64,
}

/// Tokens that are run at once.
const BATCH_TOKENS: usize = 2048;

/// Fits a linear probe at every place in the residual stream to the training pairs, and asks it about the test pairs.
///
/// Its features are `|h_1 - h_2|` and `h_1 * h_2` of the residual stream at the word's last token in both sentences,
/// standardised on the training pairs. `done` hears of work from 0 to 1.
///
/// # Errors
/// When there are fewer training pairs than folds or no test pairs, the model does not show its residual stream or cannot
/// run a sentence, or an activation is not finite.
pub fn wic_accuracy(
    model: &dyn ResidualModel,
    (train, test): (&WicTokens, &WicTokens),
    options: &WicOptions,
    mut done: impl FnMut(f64),
) -> Result<WicAccuracy> {
    options.check(train, test)?;
    let sentences: Vec<&Target> = train.pairs.iter().chain(&test.pairs).flatten().collect();
    let n_places = model.n_layers() + 1;
    let of_place = sentences.len() * model.d_model() * size_of::<f32>();
    let at_once = (options.bytes / of_place.max(1)).clamp(1, n_places);
    let (mut places, mut static_embedding) = (Vec::new(), None);
    for first in (0..n_places).step_by(at_once) {
        let wanted = first..(first + at_once).min(n_places);
        let seen = look(model, &sentences, wanted.clone())?;
        let fit = |vectors: &[f32], place: usize| {
            if let Some(at) = vectors.iter().position(|x| !x.is_finite()) {
                let (what, sequence) = ("the residual stream at place", at / model.d_model());
                return Err(ProbeError::ActivationNotFinite { what, place, sequence });
            }
            Ok(probe(vectors, model.d_model(), (train, test), options))
        };
        if static_embedding.is_none() {
            static_embedding = Some(fit(&seen.embeddings, 0)?);
        }
        for vectors in seen.places {
            places.push(fit(&vectors, places.len())?);
            done(places.len() as f64 / n_places as f64);
        }
    }
    let majority = test.same.iter().filter(|same| **same).count() as f64 / test.len() as f64;
    let static_embedding = static_embedding.expect("there is a place before the first layer");
    Ok(WicAccuracy { places, static_embedding, majority: majority.max(1.0 - majority) })
}

fn probe(vectors: &[f32], d_model: usize, (train, test): (&WicTokens, &WicTokens), options: &WicOptions) -> WicProbe {
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
    let (fitted, asked) =
        (examples(0..train.len(), &train.same), examples(train.len()..train.len() + test.len(), &test.same));
    let (probe, strength) = Logistic::cross_validated(&fitted, &options.strengths, options.folds, options.seed);
    WicProbe { right: probe.answers(&asked), strength }
}

/// Vectors of all sentences, `[sentence, d_model]` each.
struct Seen {
    places: Vec<Vec<f32>>,
    embeddings: Vec<f32>,
}

/// Runs sentences of one length together, so that none has to be filled up.
fn look(model: &dyn ResidualModel, sentences: &[&Target], wanted: Range<usize>) -> Result<Seen> {
    let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    sentences.iter().enumerate().for_each(|(index, target)| by_length.entry(target.ids.len()).or_default().push(index));
    let size = sentences.len() * model.d_model();
    let seen = Seen { places: vec![vec![0.0; size]; wanted.len()], embeddings: vec![0.0; size] };
    let n_layers = model.n_layers();
    let mut tap = TargetRows { sentences, indices: &[], wanted, n_layers, first: 0, count: 0, seen };
    for (length, indices) in &by_length {
        let ids: Vec<u32> = indices.iter().flat_map(|&index| sentences[index].ids.iter().copied()).collect();
        tap.indices = indices;
        observe(model, &TokenWindows::new(&ids, *length)?, BATCH_TOKENS / length, &mut [&mut tap], |_| {})?;
    }
    Ok(tap.seen)
}

/// Keeps the residual stream at one token of each sentence.
struct TargetRows<'a> {
    sentences: &'a [&'a Target],
    /// The sentences that run now.
    indices: &'a [usize],
    /// Places in the residual stream that are kept.
    wanted: Range<usize>,
    n_layers: usize,
    /// The first sentence of the batch, among those that run now.
    first: usize,
    /// The batch's sentences.
    count: usize,
    seen: Seen,
}

impl TargetRows<'_> {
    fn keep(&mut self, place: usize, resid: &Tensor<3>) {
        let embedding = place == 0;
        if !self.wanted.contains(&place) && !embedding {
            return;
        }
        let [_, pos, d_model] = resid.dims();
        let values: Vec<f32> = resid.clone().try_into_vec_as().expect("any float");
        let batch = &self.indices[self.first..self.first + self.count];
        for (&index, sentence) in batch.iter().zip(values.chunks(pos * d_model)) {
            let row = index * d_model..(index + 1) * d_model;
            if self.wanted.contains(&place) {
                let at = self.sentences[index].at * d_model;
                let kept = &mut self.seen.places[place - self.wanted.start][row.clone()];
                kept.copy_from_slice(&sentence[at..at + d_model]);
            }
            if embedding {
                let mean = &mut self.seen.embeddings[row];
                mean.fill(0.0);
                for token in sentence.chunks(d_model) {
                    mean.iter_mut().zip(token).for_each(|(mean, x)| *mean += x / pos as f32);
                }
            }
        }
    }
}

impl Tap for TargetRows<'_> {
    fn hooks(&self) -> Vec<Hook> {
        vec![Hook::ResidPre]
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        hook == Hook::ResidPre && (site.slot == 0 || self.wanted.contains(&site.slot))
    }

    fn visit(&mut self, site: Site, _hook: Hook, activation: Tensor<3>) -> Tensor<3> {
        self.keep(site.slot, &activation);
        activation
    }
}

impl Observer for TargetRows<'_> {
    fn begin(&mut self, sequences: Range<usize>) {
        (self.first, self.count) = (sequences.start, sequences.len());
    }

    fn end(&mut self, resid: &Tensor<3>) {
        self.keep(self.n_layers, resid);
    }
}
