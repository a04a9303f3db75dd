//! Whether neurons predict better together than alone: [`SuffixTask`] and [`ensembles`].

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use stratigraph_core::{
    ActivationSampler, Hook, HookPoint, HookSet, Observer, ResidualModel, Result as CoreResult, SamplePositions,
    SplitMix64, Tap, TokenWindows, WorkerPools, observe,
};

use super::Words;
use super::ensemble_neuron::{EnsembleNeuron, pick};
use crate::linear::{Examples, Logistic};
use crate::neurons::TokenClass;
use crate::readout::Readout;
use crate::statistics::Proportion;
use crate::{ProbeError, Result};

/// Windows, half of them followed by a word of one token with some suffix, the other half by one without.
#[derive(Debug, Clone)]
pub struct SuffixTask {
    class: TokenClass,
    windows: TokenWindows,
    answers: Vec<bool>,
    /// The first ones, which probes are fitted to.
    n_fitted: usize,
}

impl SuffixTask {
    /// The paper's 24 tokens of context.
    pub const CONTEXT: usize = 24;
    /// The fewest windows of each kind in each part.
    const FEWEST: usize = 5;

    /// At most `at_most` windows of `context` tokens of either kind, [BOS](Words::with_bos) included, drawn by `seed`.
    ///
    /// Probes are fitted to windows from the first part of the text and tested on windows from the rest, so that no
    /// token is in both. The text is cut where half of its words with the suffix have occurred.
    ///
    /// # Errors
    /// [`ProbeError::TooFewWords`] when a part has fewer than five words of either kind after that much context.
    pub fn find(words: &Words, suffix: &str, context: usize, at_most: usize, seed: u64) -> Result<Self> {
        let class = TokenClass::Suffix(suffix.to_owned());
        let single = || words.words().iter().filter(|word| word.tokens.len() == 1);
        if context < 3 {
            let reason = "a window has at least 3, BOS included".to_owned();
            return Err(ProbeError::BadSetting { setting: "the tokens of context", value: context, reason });
        }
        let content = words.content(context);
        let starts = |wanted: bool| -> Vec<usize> {
            let of_kind = single().filter(|word| class.contains(&word.text) == wanted);
            of_kind.filter_map(|word| word.tokens.start.checked_sub(content)).collect()
        };
        let kinds = [starts(true), starts(false)];
        let cut = kinds[0].get(kinds[0].len() / 2).copied().unwrap_or(0);
        let mut random = SplitMix64::new(seed);
        let mut draw = |part: Range<usize>| -> Result<Vec<usize>> {
            let [with, without] = kinds.each_ref().map(|starts| {
                let inside = |start: &&usize| part.start <= **start && **start + content <= part.end;
                let mut inside: Vec<usize> = starts.iter().filter(inside).copied().collect();
                random.shuffle(&mut inside);
                inside
            });
            let found = with.len().min(without.len());
            if found < Self::FEWEST {
                let of_kind = if with.len() == found { "that end" } else { "that do not end" };
                let kind = format!("of one token {of_kind} in {class}, after {content} others, in one half of it");
                return Err(ProbeError::TooFewWords { kind, found, needed: Self::FEWEST });
            }
            let n = found.min(at_most.div_ceil(2));
            Ok(with[..n].iter().zip(&without[..n]).flat_map(|(a, b)| [*a, *b]).collect())
        };
        let (fitted, asked) = (draw(0..cut)?, draw(cut..words.ids().len())?);
        let n_fitted = fitted.len();
        let starts = [fitted, asked].concat();
        let answers = [true, false].repeat(starts.len() / 2);
        let windows = words.windows(context, &starts)?;
        Ok(Self { class, windows, answers, n_fitted })
    }

    /// The windows.
    pub fn windows(&self) -> &TokenWindows {
        &self.windows
    }

    /// Whether the word after each window has the suffix.
    pub fn answers(&self) -> &[bool] {
        &self.answers
    }
}

/// How often a probe on several neurons together is right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnsembleAccuracy {
    /// How many neurons, the first of [`Ensembles::neurons`].
    pub n_neurons: usize,
    /// How often the probe is right, on windows it was not fitted to.
    pub accuracy: Proportion,
}

/// How well single neurons, ensembles and the model predict whether the next word has the suffix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ensembles {
    /// The selected neurons, ordered by accuracy on the windows that probes were fitted to.
    pub neurons: Vec<EnsembleNeuron>,
    /// How often a probe on the first `k` of them together is right, by `k`.
    pub together: Vec<EnsembleAccuracy>,
    /// How often the model's most likely token has the suffix exactly when the next word has it, on the same windows.
    pub model: Proportion,
    /// Windows that probes were fitted to.
    pub n_fitted: usize,
}

/// Neurons that are picked by default, as in the paper.
pub const ENSEMBLE_NEURONS: usize = 32;

/// Strengths of the penalty that cross-validation chooses from.
const STRENGTHS: [f64; 4] = [0.1, 1.0, 10.0, 100.0];
const FOLDS: usize = 5;
/// Windows that run at once, on all pools together.
const BATCH: usize = 64;
/// Batches of a pool between two calls of `done`.
const ROUND: usize = 4;

/// Picks `n_neurons` over all layers by their weights alone: of the `32 n_neurons` with the largest magnitude of association
/// those with a kurtosis over 10 by magnitude, and then, if they are too few, the others. Fits probes to their activations at the last token of
/// windows from the first part of the text, and tests them on the others. `token_texts` is the text of every token;
/// `done` is called with the number of windows that have run.
///
/// # Errors
/// When the model does not give access to its weights or MLP activations, no neuron is to be picked, no token has the
/// suffix, or an activation is not finite.
pub fn ensembles(
    model: &dyn ResidualModel,
    task: &SuffixTask,
    token_texts: &[String],
    n_neurons: usize,
    done: impl FnMut(usize),
) -> Result<Ensembles> {
    if n_neurons == 0 {
        let reason = "an ensemble has at least 1".to_owned();
        return Err(ProbeError::BadSetting { setting: "the number of neurons", value: n_neurons, reason });
    }
    let belongs: Vec<bool> = token_texts.iter().map(|text| task.class.contains(text)).collect();
    let picked = pick(model, &belongs, n_neurons)?;
    let seen = LastTokens::run(model, task, &picked, done)?;
    let half = task.n_fitted;
    let fitted = |columns: &[usize]| {
        let examples = |range: Range<usize>| {
            let mut examples = Examples::new(columns.len());
            for index in range {
                examples.push(columns.iter().map(|&column| seen.rows[index][column]), task.answers[index]);
            }
            examples
        };
        let (train, test) = (examples(0..half), examples(half..task.answers.len()));
        let probe = Logistic::cross_validated(&train, &STRENGTHS, FOLDS, 0);
        (probe.right(&train), probe.right(&test))
    };
    let alone: Vec<_> = (0..picked.len()).map(|column| fitted(&[column])).collect();
    let mut order: Vec<usize> = (0..picked.len()).collect();
    order.sort_by_key(|&column| std::cmp::Reverse(alone[column].0.some)); // stable: the stronger association first
    let sizes = std::iter::successors(Some(1), |k| Some(k * 2)).take_while(|k| *k < order.len()).chain([order.len()]);
    let neuron = |&column: &usize| EnsembleNeuron { accuracy: alone[column].1, ..picked[column].clone() };
    let belongs = |token: &u32| belongs.get(*token as usize).copied().unwrap_or(false);
    let model_right = seen.top1[half..].iter().zip(&task.answers[half..]).map(|(top1, is)| belongs(top1) == *is);
    Ok(Ensembles {
        neurons: order.iter().map(neuron).collect(),
        together: sizes.map(|k| EnsembleAccuracy { n_neurons: k, accuracy: fitted(&order[..k]).1 }).collect(),
        model: model_right.collect(),
        n_fitted: half,
    })
}

/// The model's state at the last token of each window.
struct LastTokens {
    /// The activations of the picked neurons, `[window][neuron]`.
    rows: Vec<Vec<f64>>,
    /// The most likely next token of each window.
    top1: Vec<u32>,
}

impl LastTokens {
    /// Runs as many batches at once as the device has pools.
    fn run(
        model: &dyn ResidualModel,
        task: &SuffixTask,
        picked: &[EnsembleNeuron],
        mut done: impl FnMut(usize),
    ) -> Result<Self> {
        let (windows, n_windows) = (&task.windows, task.windows.n_sequences());
        let pools = WorkerPools::for_device(&model.device(), usize::MAX);
        let size = (BATCH / pools.n_pools()).max(1);
        let batches: Vec<_> = (0..n_windows).step_by(size).map(|start| start..(start + size).min(n_windows)).collect();
        let (mut rows, mut streams) = (Vec::new(), Vec::new());
        for some in batches.chunks(ROUND * pools.n_pools()) {
            for part in pools.map(some.to_vec(), |batch| last_tokens(model, &windows.select(batch), picked)) {
                let (of_neurons, stream) = part?;
                rows.extend(of_neurons);
                streams.push(stream);
            }
            done(rows.len());
        }
        let broken = |row: &Vec<f64>| row.iter().position(|x| !x.is_finite());
        if let Some((sequence, column)) = rows.iter().enumerate().find_map(|(i, row)| Some((i, broken(row)?))) {
            let (what, place) = ("a neuron of layer", picked[column].layer);
            return Err(ProbeError::ActivationNotFinite { what, place, sequence });
        }
        Ok(Self { rows, top1: Readout::new(model).top1(Tensor::cat(streams, 0))? })
    }
}

/// The activations of the picked neurons at the last token of some windows, `[window][neuron]`, and the last residual streams there,
/// `[window, d_model]`.
fn last_tokens(
    model: &dyn ResidualModel,
    windows: &TokenWindows,
    picked: &[EnsembleNeuron],
) -> Result<(Vec<Vec<f64>>, Tensor<2>)> {
    let mut columns: BTreeMap<HookPoint, Vec<usize>> = BTreeMap::new();
    for (column, neuron) in picked.iter().enumerate() {
        columns.entry(Hook::MlpPost.at(neuron.layer)).or_default().push(column);
    }
    let none: [HookPoint; 0] = [];
    let mut sampler = ActivationSampler::new(SamplePositions::last(windows, usize::MAX)?, none);
    for (point, columns) in &columns {
        sampler = sampler.with_units(*point, columns.iter().map(|&column| picked[column].neuron));
    }
    let mut last = LastStream::default();
    observe(model, windows, windows.n_sequences(), &mut [&mut sampler, &mut last], |_| ())?;
    let mut rows = vec![vec![0.0; picked.len()]; windows.n_sequences()];
    for (point, columns) in &columns {
        for (window, values) in sampler.values(*point)?.chunks(columns.len()).enumerate() {
            columns.iter().zip(values).for_each(|(&column, &value)| rows[window][column] = f64::from(value));
        }
    }
    Ok((rows, last.0.expect("the windows have run")))
}

/// Keeps the last residual stream at the last position of each window, `[window, d_model]`.
#[derive(Default)]
struct LastStream(Option<Tensor<2>>);

impl Tap for LastStream {
    fn hooks(&self) -> HookSet {
        HookSet::EMPTY
    }
}

impl Observer for LastStream {
    fn end(&mut self, resid: &Tensor<3>) -> CoreResult<()> {
        let [batch, pos, d_model] = resid.dims();
        self.0 = Some(resid.clone().narrow(1, pos - 1, 1).reshape([batch, d_model]));
        Ok(())
    }
}
