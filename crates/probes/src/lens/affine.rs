//! The affine lens, by least squares on the last residual stream: [`fit_affine`], with an [`AffineConfig`].

use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{Activation, Hook, HookSet, Observer, ResidualModel, Site, Tap, TokenWindows, observe};

use super::{FittedLens, LensError, LensKind, LensRecord, LinearMap};
use crate::linear::RidgeSums;
use crate::{ProbeError, Result};

/// The settings of a fit of the affine lens.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AffineConfig {
    /// The ridges to choose from, by the error on held-out windows; a single one is taken as it is. Inputs have unit
    /// variance, and weights are shrunk towards the identity: an infinite ridge is the logit lens after a shift of the mean.
    pub ridges: Vec<f64>,
    /// One window in this many is held out while the ridge is chosen, at least 2; then all are fitted.
    pub held_out: usize,
    /// Bytes that the sums may take; sums that do not fit take another pass over the corpus.
    pub bytes: usize,
}

impl Default for AffineConfig {
    /// Ridges from 1e-6 to 10, one window in 8 held out, 1 GB.
    fn default() -> Self {
        let ridges = (-6..=1).map(|exponent| 10f64.powi(exponent)).collect();
        Self { ridges, held_out: 8, bytes: 1_000_000_000 }
    }
}

impl AffineConfig {
    /// With these ridges to choose from.
    pub fn with_ridges(self, ridges: impl IntoIterator<Item = f64>) -> Self {
        Self { ridges: ridges.into_iter().collect(), ..self }
    }

    /// With another limit of the memory that sums may take.
    pub fn with_bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    fn check(&self, windows: &TokenWindows) -> Result<()> {
        let refuse = |reason: String| Err(cannot_fit(reason));
        if self.ridges.is_empty() {
            return refuse("there is no ridge to choose; give at least one".to_owned());
        }
        if let Some(ridge) = self.ridges.iter().find(|ridge| !(ridge.is_finite() && **ridge >= 0.0)) {
            return refuse(format!("the ridge {ridge} is not a number from 0 on"));
        }
        let (n, held_out) = (windows.n_sequences(), self.held_out);
        if self.ridges.len() > 1 && (held_out < 2 || n < held_out) {
            return refuse(format!(
                "to choose a ridge, one window in {held_out} is held out, and there are {n}; give at least {} windows, or \
                 a single ridge",
                held_out.max(2)
            ));
        }
        Ok(())
    }
}

fn cannot_fit(reason: String) -> ProbeError {
    LensError::CannotFit { lens: "affine lens", reason }.into()
}

/// Fits the affine lens: at each residual position `l`, the ridge regression `h_L = h_l W + b` over the positions of all
/// windows whose predictions [count](TokenWindows::scored_from), in closed form. Sums are accumulated in f64.
///
/// The record of the lens has the `ridge` of each residual position and the `held_out_error`, the mean of
/// `|h_L - h_l W - b|^2` over the held-out windows by which it was chosen. `progress` is called with the fraction that is done.
///
/// # Errors
/// When a setting is not valid, the windows do not fit the model, it does not offer [`Hook::ResidPre`], a residual stream is
/// not finite, or there are too few positions for every ridge.
pub fn fit_affine(
    model: &dyn ResidualModel,
    windows: &TokenWindows,
    config: &AffineConfig,
    mut progress: impl FnMut(f64),
) -> Result<FittedLens> {
    config.check(windows)?;
    let (n_layers, d_model) = (model.n_layers(), model.d_model());
    let at_once = (config.bytes / (2 * RidgeSums::bytes(d_model))).clamp(1, n_layers.max(1));
    let (mut maps, mut ridges, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for start in (0..n_layers).step_by(at_once) {
        let group = start..(start + at_once).min(n_layers);
        let mut sums = Sums::new(group.clone(), windows.scored_from(), d_model, config);
        let batch = batch(windows, group.len() * d_model);
        let part = |done: f64| (start as f64 + done * group.len() as f64) / n_layers as f64;
        observe(model, windows, batch, &mut [&mut sums], |n| {
            progress(part(0.5 * n as f64 / windows.n_sequences() as f64));
        })?;
        sums.check_finite()?;
        for (index, pair) in sums.pairs.into_iter().enumerate() {
            let Chosen { map, ridge, error } = pair.choose(&config.ridges, start + index)?;
            let to_map = |values: &[f64]| values.iter().map(|value| *value as f32).collect::<Vec<_>>();
            let weight = super::linear_map::transposed(&to_map(&map.weights), d_model);
            maps.push(Some(LinearMap::from_values(weight, Some(to_map(&map.bias)), &model.device())));
            ridges.push(ridge);
            errors.push(error);
            progress(part(0.5 + 0.5 * (index + 1) as f64 / group.len() as f64));
        }
    }
    let record = LensRecord::of_windows(windows.n_sequences(), windows.seq_len()).with_fit("ridge", ridges);
    let record = if config.ridges.len() > 1 { record.with_fit("held_out_error", errors) } else { record };
    Ok(FittedLens::new(LensKind::Affine, maps).with_record(record))
}

/// Windows of a batch whose streams, `width` numbers a token, are kept.
fn batch(windows: &TokenWindows, width: usize) -> usize {
    const BYTES: usize = 128 << 20;
    const TOKENS: usize = 1024;
    let tokens = (BYTES / (width * size_of::<f32>()).max(1)).min(TOKENS);
    (tokens / windows.seq_len()).max(1)
}

/// The sums of a residual position, of the windows that are fitted and of those that are held out.
struct Pair {
    fitted: RidgeSums,
    held_out: RidgeSums,
}

/// A map with the ridge that was chosen.
struct Chosen {
    map: crate::linear::RidgeFit,
    ridge: f64,
    /// The error on held-out windows.
    error: f64,
}

impl Pair {
    /// Chooses the ridge by the error on the held-out windows, and fits all windows with it.
    fn choose(self, ridges: &[f64], position: usize) -> Result<Chosen> {
        let none = || {
            cannot_fit(format!(
                "the {} positions before layer {position} do not determine the weights; give more windows, or a larger ridge",
                self.fitted.n_rows() + self.held_out.n_rows()
            ))
        };
        let (mut ridge, mut error) = (ridges[0], f64::NAN);
        if ridges.len() > 1 {
            let errors =
                ridges.iter().filter_map(|&ridge| Some((ridge, self.held_out.error(&self.fitted.fit(ridge)?))));
            (ridge, error) = errors.min_by(|a, b| a.1.total_cmp(&b.1)).ok_or_else(none)?;
        }
        let map = self.fitted.clone().with(&self.held_out).fit(ridge).ok_or_else(none)?;
        Ok(Chosen { map, ridge, error })
    }
}

/// Adds up streams at some residual positions, with the last one.
struct Sums {
    positions: Range<usize>,
    pairs: Vec<Pair>,
    /// The rows of the batch at each position.
    streams: Vec<Vec<f32>>,
    windows: Range<usize>,
    /// None where all windows are fitted.
    held_out: Option<usize>,
    skip_first: usize,
    /// A position, or the number of layers, and a window whose stream is not finite.
    broken: Option<Broken>,
}

/// Where a stream is not finite.
struct Broken {
    position: usize,
    sequence: usize,
}

impl Sums {
    fn new(positions: Range<usize>, skip_first: usize, d_model: usize, config: &AffineConfig) -> Self {
        let sums = || RidgeSums::new(d_model);
        Self {
            pairs: positions.clone().map(|_| Pair { fitted: sums(), held_out: sums() }).collect(),
            streams: vec![Vec::new(); positions.len()],
            positions,
            windows: 0..0,
            held_out: (config.ridges.len() > 1).then_some(config.held_out),
            skip_first,
            broken: None,
        }
    }

    /// The rows of all counted positions, window by window.
    fn rows(&mut self, position: usize, resid: Tensor<3>) -> Vec<f32> {
        let [_, pos, width] = resid.dims();
        let counted = resid.narrow(1, self.skip_first, pos - self.skip_first);
        let rows: Vec<f32> = counted.try_into_vec_as().expect("any float");
        if let Some(at) = rows.iter().position(|x| !x.is_finite()) {
            let sequence = self.windows.start + at / ((pos - self.skip_first) * width);
            self.broken.get_or_insert(Broken { position, sequence });
        }
        rows
    }

    fn check_finite(&self) -> Result<()> {
        match &self.broken {
            None => Ok(()),
            Some(Broken { position, sequence }) => Err(ProbeError::ActivationNotFinite {
                what: "the residual stream at position",
                place: *position,
                sequence: *sequence,
            }),
        }
    }
}

impl Tap for Sums {
    fn hooks(&self) -> HookSet {
        [Hook::ResidPre].into()
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        hook == Hook::ResidPre && self.positions.contains(&site.slot)
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> stratigraph_core::Result<Activation> {
        let resid = activation.clone().wide(hook.at(site.slot))?;
        self.streams[site.slot - self.positions.start] = self.rows(site.slot, resid);
        Ok(activation)
    }
}

impl Observer for Sums {
    fn begin(&mut self, windows: Range<usize>) {
        self.windows = windows;
    }

    fn end(&mut self, resid: &Tensor<3>) -> stratigraph_core::Result<()> {
        let last = self.rows(self.positions.end, resid.clone());
        if self.broken.is_some() {
            return Ok(());
        }
        let of_window = last.len() / self.windows.len();
        let is_held_out = |window: usize| self.held_out.is_some_and(|n| window % n == n - 1);
        // Neighbouring windows of the same kind are added at once.
        let windows: Vec<_> = self.windows.clone().collect();
        for run in windows.chunk_by(|a, b| is_held_out(*a) == is_held_out(*b)) {
            let first = run[0] - self.windows.start;
            let rows = first * of_window..(first + run.len()) * of_window;
            for (pair, stream) in self.pairs.iter_mut().zip(&self.streams) {
                let sums = if is_held_out(run[0]) { &mut pair.held_out } else { &mut pair.fitted };
                sums.add(&stream[rows.clone()], &last[rows.clone()]);
            }
        }
        Ok(())
    }
}
