//! The tuned lens: [`fit_tuned`], with a [`TunedConfig`].

use std::sync::Arc;

use burn::grad_clipping::GradientClippingConfig;
use burn::module::{Module, Param};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use stratigraph_core::{ResidualModel, SplitMix64, TokenWindows};
use stratigraph_probes::ProbeError;
use stratigraph_probes::lens::{FittedLens, Lens, LensError, LensKind, LensRecord, LinearMap};

use super::tuned_data::{Scales, Streams, held_out_kl, scales};
use crate::{Result, TrainError};

/// The settings of a fit of the tuned lens.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TunedConfig {
    /// Steps of Adam, each on [`windows_per_step`](TunedConfig::windows_per_step) windows.
    pub n_steps: usize,
    /// Windows of a step, drawn at random.
    pub windows_per_step: usize,
    /// The first learning rate; it falls to 0 along a straight line. Streams have unit variance.
    pub learning_rate: f64,
    /// One window in this many is held out, at least 2. A position whose map is not better there after training keeps the one
    /// that it began with.
    pub held_out: usize,
    /// Decides which windows are drawn.
    pub seed: u64,
}

impl Default for TunedConfig {
    /// 64 steps on two windows, at a learning rate of 3e-4; one window in 8 held out.
    fn default() -> Self {
        Self { n_steps: 64, windows_per_step: 2, learning_rate: 3e-4, held_out: 8, seed: 0 }
    }
}

impl TunedConfig {
    /// With another number of steps.
    pub fn with_steps(self, n_steps: usize) -> Self {
        Self { n_steps, ..self }
    }

    /// With another number of windows in a step.
    pub fn with_windows_per_step(self, windows_per_step: usize) -> Self {
        Self { windows_per_step, ..self }
    }

    /// With another first learning rate.
    pub fn with_learning_rate(self, learning_rate: f64) -> Self {
        Self { learning_rate, ..self }
    }

    /// With another seed of what is drawn at random.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The windows of `windows` that are not held out. A lens to start from has to be fitted on these alone, or it has seen
    /// what it is compared on.
    ///
    /// # Errors
    /// When a setting is not valid, or there are too few windows for a held-out part.
    pub fn trained(&self, windows: &TokenWindows) -> Result<TokenWindows> {
        self.check(windows.n_sequences())?;
        Ok(windows.select((0..windows.n_sequences()).filter(|&window| !self.is_held_out(window))))
    }

    fn is_held_out(&self, window: usize) -> bool {
        window % self.held_out == self.held_out - 1
    }

    fn check(&self, n_sequences: usize) -> Result<()> {
        let reason = if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            format!("the learning rate {} is not a number above 0", self.learning_rate)
        } else if self.windows_per_step == 0 {
            "a step of 0 windows does nothing; give at least 1".to_owned()
        } else if self.held_out < 2 || n_sequences < self.held_out {
            let least = self.held_out.max(2);
            format!("one window in {least} is held out, and there are {n_sequences}; give at least {least}")
        } else {
            return Ok(());
        };
        Err(ProbeError::from(LensError::CannotFit { lens: "tuned lens", reason }).into())
    }
}

/// Fits the tuned lens: the map of each residual position is trained from that of `start`, such as the affine lens, to
/// minimise the mean KL divergence of the lens's prediction from the model's, over the positions whose predictions
/// [count](TokenWindows::scored_from).
///
/// Belrose et al., *Eliciting Latent Predictions from Transformers with the Tuned Lens* (2023); this one is trained by Adam on
/// streams of unit variance. The record has the KL divergence on held-out windows, `held_out_kl`, and what it was before,
/// `start_kl`; `progress` is called with the fraction that is done.
///
/// # Errors
/// When a setting is not valid, `start` is of another model, the windows do not fit the model, it does not offer
/// `hook_resid_pre`, or the loss is not finite.
pub fn fit_tuned(
    model: &dyn ResidualModel,
    windows: &TokenWindows,
    start: &FittedLens,
    config: &TunedConfig,
    mut progress: impl FnMut(f64),
) -> Result<FittedLens> {
    let n_sequences = windows.n_sequences();
    windows.check(model)?;
    start.check(&model.shape())?;
    config.check(n_sequences)?;
    let (held_out, trained): (Vec<_>, Vec<_>) = (0..n_sequences).partition(|&sequence| config.is_held_out(sequence));
    let scales = scales(model, windows, trained.iter().copied())?;
    let mut translators = translators(model, start, &scales);
    let mut random = SplitMix64::new(config.seed);
    for step in 0..config.n_steps {
        let drawn = (0..config.windows_per_step).map(|_| trained[random.below(trained.len())]);
        let batch = drawn.map(|sequence| Streams::of(model, windows, sequence..sequence + 1));
        let batch = Batch::new(model, batch.collect::<Result<Vec<_>>>()?)?;
        let learning_rate = config.learning_rate * (1.0 - step as f64 / config.n_steps as f64);
        translators
            .par_iter_mut()
            .map(|it| it.step(model, &batch, (step, learning_rate)))
            .collect::<Result<Vec<_>>>()?;
        progress(0.95 * (step + 1) as f64 / config.n_steps as f64);
    }
    let maps = translators.iter().map(|it| Some(it.folded(&model.device())));
    let tuned = Arc::new(FittedLens::new(LensKind::Tuned, maps));
    let started = Arc::new(start.clone());
    let [before, after] = held_out_kl(model, windows, &held_out, [&started, &tuned])?;
    progress(1.0);
    let better = |position: usize| after[position] < before[position];
    let best = |position: usize| if better(position) { tuned.map(position) } else { start.map(position) };
    let maps = (0..model.n_layers()).map(|position| best(position).cloned());
    let kl = before.iter().zip(&after).map(|(before, after)| before.min(*after));
    let record = LensRecord::of_windows(n_sequences, windows.seq_len()).with_fit("held_out_kl", kl);
    Ok(FittedLens::new(LensKind::Tuned, maps).with_record(record.with_fit("start_kl", before)))
}

/// The rows of some windows and what the model predicts there.
struct Batch {
    /// `[rows, d_model]` at each residual position.
    rows: Vec<Tensor<2>>,
    /// The model's probabilities, `[rows, d_vocab]`.
    probabilities: Tensor<2>,
}

impl Batch {
    fn new(model: &dyn ResidualModel, windows: Vec<Streams>) -> Result<Self> {
        let rows = |position: usize| Tensor::cat(windows.iter().map(|it| it.rows(position)).collect(), 0);
        let rows: Vec<Tensor<2>> = (0..=model.n_layers()).map(rows).collect();
        let normed = model.final_norm(rows[model.n_layers()].clone())?;
        let probabilities = log_softmax(model.unembed(normed, 0..model.d_vocab())?, 1).exp();
        Ok(Self { rows, probabilities })
    }
}

/// What is learned: `x A + c`, where `x` is the stream with mean 0 and unit variance.
#[derive(Module, Debug)]
struct Learned {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

/// The map of a residual position on its way: `h W + b + (x A + c) * s`, where `s` is the deviation of the last stream.
struct Translator {
    position: usize,
    start: LinearMap,
    scales: Scales,
    last: Scales,
    learned: Learned,
    optimizer: ModuleOptimizer,
}

/// A translator for each residual position before the last.
fn translators(model: &dyn ResidualModel, start: &FittedLens, scales: &[Scales]) -> Vec<Translator> {
    let (device, width) = (model.device(), model.d_model());
    let clip = GradientClippingConfig::Norm(1.0).init();
    let translator = |position: usize| Translator {
        position,
        start: start.map(position).cloned().unwrap_or_else(|| LinearMap::new(Tensor::eye(width, &device))),
        scales: scales[position].clone(),
        last: scales[model.n_layers()].clone(),
        learned: Learned {
            weight: Param::from_tensor(Tensor::zeros([width, width], &device.clone().autodiff())),
            bias: Param::from_tensor(Tensor::zeros([width], &device.clone().autodiff())),
        },
        optimizer: AdamConfig::new().with_beta_2(0.99).init().with_grad_clipping(clip.clone()),
    };
    (0..model.n_layers()).map(translator).collect()
}

impl Translator {
    /// One step of Adam on the mean KL divergence of a batch.
    fn step(&mut self, model: &dyn ResidualModel, batch: &Batch, (step, learning_rate): (usize, f64)) -> Result<()> {
        let rows = batch.rows[self.position].clone();
        let ([n, _], device) = (rows.dims(), rows.device());
        let base = self.start.apply(rows.clone())?;
        let inputs = (rows - row(&self.scales.mean, &device)) / row(&self.scales.deviation, &device);
        let learned = inputs.autodiff().matmul(self.learned.weight.val()) + self.learned.bias.val().unsqueeze();
        let stream = base.autodiff() + learned * row(&self.last.deviation, &device).autodiff();
        let logits = model.unembed(model.final_norm(stream)?, 0..model.d_vocab())?;
        // The KL divergence up to the entropy of the model, which is constant.
        let loss = (log_softmax(logits, 1) * batch.probabilities.clone().autodiff()).sum().neg() / n as f64;
        let gradients = GradientsParams::from_grads(loss.backward(), &self.learned);
        let loss = loss.into_scalar::<f64>();
        if !loss.is_finite() {
            return Err(TrainError::Diverged { loss, step });
        }
        self.learned = self.optimizer.step(learning_rate, self.learned.clone(), gradients);
        Ok(())
    }

    /// The whole of it as one map.
    fn folded(&self, device: &Device) -> LinearMap {
        let learned = self.learned.clone();
        let (weight, bias) = (learned.weight.val().inner(), learned.bias.val().inner().unsqueeze::<2>());
        let by_input = row(&self.scales.deviation, device).recip().transpose();
        let last = row(&self.last.deviation, device);
        let added = weight * by_input * last.clone();
        let shift = bias * last - row(&self.scales.mean, device).matmul(added.clone());
        let start = self.start.bias().map_or_else(|| shift.zeros_like(), |bias| bias.unsqueeze());
        LinearMap::new(self.start.weight() + added).with_bias((start + shift).squeeze_dim(0))
    }
}

/// Numbers as one row, `[1, n]`.
fn row(values: &[f64], device: &Device) -> Tensor<2> {
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [1, n]), device)
}
