//! The Jacobian lens: [`fit_jacobian`], with a [`JacobianConfig`].

use burn::tensor::{Device, Tensor, TensorData};
use stratigraph_core::{NoTap, ResidualModel, Site, SplitMix64, TokenWindows};
use stratigraph_probes::ProbeError;
use stratigraph_probes::lens::{FittedLens, LensError, LensKind, LensRecord, LinearMap};

use crate::{Result, TrainError};

/// The settings of a fit of the Jacobian lens.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JacobianConfig {
    /// How many units of the last residual stream are differentiated in each window, drawn at random without replacement so
    /// that all units are used equally often; all of them where it is not set.
    pub probes: Option<usize>,
    /// How many positions at the start of each window are left out, at least those that the windows
    /// [skip](TokenWindows::skip_first); the last one, which predicts nothing, is too.
    pub skip_first: usize,
    /// Units that a backward pass differentiates at once, each on a copy of the window. The operations of one block on all
    /// copies are in memory at once.
    pub units_per_pass: usize,
    /// Decides which units are drawn.
    pub seed: u64,
}

impl Default for JacobianConfig {
    /// All units in each window, without the first 16 positions, as in published lenses; 16 units in a pass.
    fn default() -> Self {
        Self { probes: None, skip_first: 16, units_per_pass: 16, seed: 0 }
    }
}

impl JacobianConfig {
    /// With this many units of the last residual stream in each window.
    pub fn with_probes(self, probes: usize) -> Self {
        Self { probes: Some(probes), ..self }
    }

    /// Without the first `n` positions of each window.
    pub fn with_skip_first(self, n: usize) -> Self {
        Self { skip_first: n, ..self }
    }

    /// With another number of units in a backward pass, each on a copy of the window.
    pub fn with_units_per_pass(self, units: usize) -> Self {
        Self { units_per_pass: units, ..self }
    }

    /// With another seed of everything that is drawn at random.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// How many positions at the start of each of these windows are left out.
    fn skipped(&self, windows: &TokenWindows) -> usize {
        self.skip_first.max(windows.scored_from())
    }

    fn check(&self, windows: &TokenWindows, d_model: usize) -> Result<()> {
        let (n, seq_len) = (windows.n_sequences(), windows.seq_len());
        let probes = self.probes.unwrap_or(d_model);
        let refuse = |reason: String| {
            Err(TrainError::from(ProbeError::from(LensError::CannotFit { lens: "Jacobian lens", reason })))
        };
        let skipped = self.skipped(windows);
        if skipped + 1 >= seq_len {
            return refuse(format!(
                "windows of {seq_len} tokens have no position after the first {skipped} but the last"
            ));
        }
        if self.units_per_pass == 0 {
            return refuse("a pass of 0 units does nothing; give at least 1".to_owned());
        }
        if probes == 0 || probes > d_model {
            return refuse(format!("{probes} units of a window cannot be probed: it has {d_model}"));
        }
        if n * probes < d_model {
            return refuse(format!(
                "{n} windows with {probes} units each do not reach all {d_model}; give {} windows, or more units",
                d_model.div_ceil(probes)
            ));
        }
        Ok(())
    }
}

/// Fits the Jacobian lens: at each residual position `l` the mean over windows and source positions `t` of
/// `sum_{t' >= t} d h_L[t'] / d h_l[t]`, where `t` and `t'` are counted positions. This is the estimator of the published
/// lenses, which have no matrix before the first layer; this one has.
///
/// Each backward pass is a vector-Jacobian product with some units of the last residual stream at all positions, and gives
/// their rows at every residual position. With fewer [`probes`](JacobianConfig::probes) than units each row is the mean over
/// some windows only. Rows are summed in f64. `progress` is called with the fraction that is done.
///
/// ```
/// use stratigraph_core::TokenWindows;
/// use stratigraph_models::Checkpoint;
/// use stratigraph_study::Backend;
/// use stratigraph_train::lens::{JacobianConfig, fit_jacobian};
///
/// let model = Checkpoint::open("../../tests/fixtures/llama-gqa")?.load(&Backend::Flex.device()?)?;
/// let windows = TokenWindows::new(&[5, 17, 3, 99, 250, 1, 42, 8], 4)?;
/// let config = JacobianConfig::default().with_skip_first(1).with_probes(12); // of 24 units in each of two windows
/// let lens = fit_jacobian(&model, &windows, &config, |_| {})?;
/// assert!(lens.map(0).is_some() && lens.map(2).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When a setting is not valid, the windows do not fit the model, or a derivative is not finite.
pub fn fit_jacobian(
    model: &dyn ResidualModel,
    windows: &TokenWindows,
    config: &JacobianConfig,
    mut progress: impl FnMut(f64),
) -> Result<FittedLens> {
    let (n_layers, d_model, n_sequences) = (model.n_layers(), model.d_model(), windows.n_sequences());
    windows.check(model)?;
    config.check(windows, d_model)?;
    let skipped = config.skipped(windows);
    let mut units = Units::new(d_model, config.seed);
    let mut sums = vec![vec![0.0; d_model * d_model]; n_layers];
    let mut counts = vec![0.0; d_model];
    for window in 0..n_sequences {
        let chosen = units.take(config.probes.unwrap_or(d_model));
        let streams = streams(model, windows, window)?;
        for units in chosen.chunks(config.units_per_pass) {
            for (&unit, rows) in units.iter().zip(rows(model, &streams, units, (window, skipped))?) {
                counts[unit] += 1.0;
                for (sums, row) in sums.iter_mut().zip(rows) {
                    let sums = &mut sums[unit * d_model..][..d_model];
                    sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(x));
                }
            }
        }
        progress((window + 1) as f64 / n_sequences as f64);
    }
    let map = |sums: &Vec<f64>| Some(map(sums, &counts, &model.device()));
    let record = LensRecord::of_windows(n_sequences, windows.seq_len());
    let record = record.with_fit("skip_first", [skipped as f64]).with_fit("windows_of_each_unit", counts.clone());
    Ok(FittedLens::new(LensKind::Jacobian, sums.iter().map(map)).with_record(record))
}

/// The map of sums of rows, `[output, input]`, each over some windows.
fn map(sums: &[f64], counts: &[f64], device: &Device) -> LinearMap {
    let d_model = counts.len();
    let mean = |at: usize| (sums[at % d_model * d_model + at / d_model] / counts[at % d_model]) as f32;
    let weight: Vec<f32> = (0..sums.len()).map(mean).collect();
    LinearMap::new(Tensor::from_data(TensorData::new(weight, [d_model, d_model]), device))
}

/// Units in random order, over and over, in a new order each time.
struct Units {
    random: SplitMix64,
    n: usize,
    left: Vec<usize>,
}

impl Units {
    fn new(n: usize, seed: u64) -> Self {
        Self { random: SplitMix64::new(seed), n, left: Vec::new() }
    }

    /// The next `count` units, all different; at most `n`.
    fn take(&mut self, count: usize) -> Vec<usize> {
        let mut taken: Vec<usize> = Vec::with_capacity(count);
        while taken.len() < count {
            if self.left.is_empty() {
                self.left = (0..self.n).collect();
                self.random.shuffle(&mut self.left);
            }
            let next =
                self.left.iter().rposition(|unit| !taken.contains(unit)).expect("fewer are taken than there are");
            taken.push(self.left.remove(next));
        }
        taken
    }
}

/// The residual stream of one window before each layer, each `[1, position, unit]`.
fn streams(model: &dyn ResidualModel, windows: &TokenWindows, window: usize) -> Result<Vec<Tensor<3>>> {
    let mut streams = vec![model.embed(windows.batch(window..window + 1, &model.device()))?];
    for layer in 0..model.n_layers().saturating_sub(1) {
        let before = streams[layer].clone();
        streams.push(model.block(Site { slot: layer, layer }, before, &mut NoTap)?);
    }
    Ok(streams)
}

/// The rows of some units of one window's Jacobians, `[unit][residual position][input]`: the mean over source positions. The
/// gradient goes back a block at a time, so only the operations of one block are kept.
fn rows(
    model: &dyn ResidualModel,
    streams: &[Tensor<3>],
    units: &[usize],
    (window, skip_first): (usize, usize),
) -> Result<Vec<Vec<Vec<f32>>>> {
    let (device, d_model) = (model.device(), model.d_model());
    let (n, seq_len) = (units.len(), streams[0].dims()[1]);
    let counted = (0..seq_len).map(|t| f32::from(u8::from(t >= skip_first && t + 1 < seq_len))).collect::<Vec<_>>();
    let n_counted = counted.iter().sum::<f32>();
    let counted = Tensor::<3>::from_data(TensorData::new(counted, [1, seq_len, 1]), &device);
    let chosen = (0..n * d_model).map(|at| f32::from(u8::from(units[at / d_model] == at % d_model)));
    let chosen = Tensor::<3>::from_data(TensorData::new(chosen.collect::<Vec<_>>(), [n, 1, d_model]), &device);
    let mut gradient = chosen * counted.clone();
    let mut rows = vec![vec![Vec::new(); streams.len()]; n];
    for (layer, stream) in streams.iter().enumerate().rev() {
        let stream = stream.clone().repeat(&[n, 1, 1]).autodiff().require_grad();
        let written = model.block(Site { slot: layer, layer }, stream.clone(), &mut NoTap)?;
        let gradients = (written * gradient.autodiff()).sum().backward();
        gradient = stream.grad(&gradients).expect("a block reads its stream");
        let mean = (gradient.clone() * counted.clone()).sum_dim(1) / n_counted;
        let values: Vec<f32> = mean.try_into_vec_as().expect("any float");
        if values.iter().any(|x| !x.is_finite()) {
            let what = "the derivative by the residual stream at position";
            return Err(ProbeError::ActivationNotFinite { what, place: layer, sequence: window }.into());
        }
        rows.iter_mut().zip(values.chunks(d_model)).for_each(|(rows, row)| rows[layer] = row.to_vec());
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_units_have_their_turn() {
        let mut units = Units::new(7, 1);
        let mut counts = [0; 7];
        for _ in 0..14 {
            let taken = units.take(3);
            assert!(taken.iter().enumerate().all(|(at, unit)| !taken[..at].contains(unit)), "{taken:?}");
            taken.into_iter().for_each(|unit| counts[unit] += 1);
        }
        assert_eq!(counts, [6; 7]);
        assert_ne!(Units::new(30, 1).take(30), Units::new(30, 2).take(30));
    }
}
