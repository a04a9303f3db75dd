//! Some rows of activations over a corpus, as sets of vectors: [`ActivationSampler`].

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::{
    Activation, CacheFilter, CoreError, Hook, HookPoint, HookSet, Observer, Result, SamplePositions, Site, Tap,
};

/// Keeps rows of activations over a corpus: those of some positions, at some hook points.
///
/// The row of a position is the activation's last axis; with an axis of heads, that of all heads side by side
/// (`n_heads * d_head` numbers, or `n_heads * key` of scores and patterns). Rows are in the order in which windows run, and
/// in host memory.
///
/// ```
/// # use burn::tensor::{Device, Tensor};
/// use stratigraph_core::{ActivationSampler, Hook, ResidualModel, Result, SamplePositions, TokenWindows, observe};
///
/// /// The residual stream entering layer 5 at the last position of each window, `[window, d_model]`.
/// fn last(model: &dyn ResidualModel, windows: &TokenWindows) -> Result<Tensor<2>> {
///     let positions = SamplePositions::last(windows, usize::MAX)?;
///     let mut sampler = ActivationSampler::new(positions, [Hook::ResidPre.at(5)]);
///     observe(model, windows, 8, &mut [&mut sampler], |_| {})?;
///     sampler.tensor(Hook::ResidPre.at(5), &model.device())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct ActivationSampler {
    positions: SamplePositions,
    everywhere: HookSet,
    /// Each point with the units that are kept; `None` for all.
    points: BTreeMap<HookPoint, Option<Vec<usize>>>,
    windows: Range<usize>,
    rows: BTreeMap<HookPoint, Rows>,
}

#[derive(Debug, Clone, Default)]
struct Rows {
    width: usize,
    values: Vec<f32>,
}

impl ActivationSampler {
    /// Keeps rows of these hooks, each in every slot or at one point.
    pub fn new<F: Into<CacheFilter>>(positions: SamplePositions, filters: impl IntoIterator<Item = F>) -> Self {
        let mut sampler = Self {
            positions,
            everywhere: HookSet::EMPTY,
            points: BTreeMap::new(),
            windows: 0..0,
            rows: BTreeMap::new(),
        };
        for filter in filters {
            match filter.into() {
                CacheFilter::Hook(hook) => sampler.everywhere = sampler.everywhere.with(hook),
                CacheFilter::Point(point) => drop(sampler.points.insert(point, None)),
            }
        }
        sampler
    }

    /// Keeps rows of the residual stream at the given positions of the residual stream of a model of `n_layers` layers: 0
    /// is before the first layer, `n_layers` after the last.
    pub fn of_residual(positions: SamplePositions, n_layers: usize, residual: Range<usize>) -> Self {
        Self::new(positions, residual.map(|position| HookPoint::of_residual(position, n_layers)))
    }

    /// With another hook point, of which only some units of the row are kept, in this order.
    pub fn with_units(mut self, point: HookPoint, units: impl IntoIterator<Item = usize>) -> Self {
        self.points.insert(point, Some(units.into_iter().collect()));
        self
    }

    /// The hook points that rows were kept at, in order.
    pub fn points(&self) -> impl Iterator<Item = HookPoint> {
        self.rows.keys().copied()
    }

    /// The rows of a hook point one after the other, `row * width` numbers.
    ///
    /// # Errors
    /// [`CoreError::NotCached`] when it was not asked for, or no block ran in that slot.
    pub fn values(&self, point: HookPoint) -> Result<&[f32]> {
        Ok(&self.rows(point)?.values)
    }

    /// The rows of a hook point, `[row, width]`.
    ///
    /// # Errors
    /// As [`values`](ActivationSampler::values).
    pub fn tensor(&self, point: HookPoint, device: &Device) -> Result<Tensor<2>> {
        let Rows { width, values } = self.rows(point)?;
        Ok(Tensor::from_data(TensorData::new(values.clone(), [values.len() / width, *width]), device))
    }

    fn rows(&self, point: HookPoint) -> Result<&Rows> {
        self.rows.get(&point).ok_or(CoreError::NotCached { point })
    }

    /// The rows to keep of a batch, counted through all its positions.
    fn chosen(&self, batch: usize, seq_len: usize) -> Result<Vec<i32>> {
        let mut chosen = Vec::new();
        for row in 0..batch {
            let window = self.windows.start + row;
            for position in self.positions.of_window(window, seq_len) {
                if position >= seq_len {
                    return Err(CoreError::PositionOutOfRange { position, window, seq_len });
                }
                chosen.push((row * seq_len + position) as i32);
            }
        }
        Ok(chosen)
    }
}

impl Tap for ActivationSampler {
    fn hooks(&self) -> HookSet {
        self.points.keys().fold(self.everywhere, |hooks, point| hooks.with(point.hook))
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        self.everywhere.contains(hook) || self.points.contains_key(&hook.at(site.slot))
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> Result<Activation> {
        let point = hook.at(site.slot);
        let rows = all_rows(hook, &activation);
        let ([n_rows, width], device) = (rows.dims(), rows.device());
        let batch = activation.dims()[0];
        let chosen = self.chosen(batch, n_rows / batch)?;
        let units = self.points.get(&point).cloned().flatten();
        if let Some(&unit) = units.iter().flatten().find(|unit| **unit >= width) {
            return Err(CoreError::UnitOutOfRange { point, unit, width });
        }
        let kept = self.rows.entry(point).or_default();
        kept.width = units.as_ref().map_or(width, Vec::len);
        if chosen.is_empty() {
            return Ok(activation);
        }
        let mut rows = rows.select(0, indices(chosen, &device));
        if let Some(units) = units {
            rows = rows.select(1, indices(units.into_iter().map(|unit| unit as i32).collect(), &device));
        }
        let values: Vec<f32> = rows.try_into_vec_as().expect("an activation has floats");
        kept.values.extend(values);
        Ok(activation)
    }

    fn finish(&mut self) -> Result<()> {
        match self.points.keys().find(|point| !self.rows.contains_key(point)) {
            Some(&point) => Err(CoreError::NotCached { point }),
            None => Ok(()),
        }
    }
}

impl Observer for ActivationSampler {
    fn begin(&mut self, windows: Range<usize>) {
        self.windows = windows;
    }
}

/// The rows of all positions of a batch, `[batch * pos, width]`.
fn all_rows(hook: Hook, activation: &Activation) -> Tensor<2> {
    match activation {
        Activation::Wide(x) => {
            let [batch, pos, width] = x.dims();
            x.clone().reshape([batch * pos, width])
        }
        Activation::Heads(x) => {
            // Scores and patterns have the axis of queries, which are the positions, after the heads.
            let x = if hook.is_square() { x.clone().swap_dims(1, 2) } else { x.clone() };
            let [batch, pos, heads, width] = x.dims();
            x.reshape([batch * pos, heads * width])
        }
    }
}

fn indices(indices: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let n = indices.len();
    Tensor::from_data(TensorData::new(indices, [n]), device)
}
