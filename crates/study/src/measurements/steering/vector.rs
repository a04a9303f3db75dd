//! Directions to steer along: [`SteeringVector`].

use stratigraph_core::{
    ActivationCache, CoreError, EditValues, Hook, HookPoint, ModelShape, ResidualModel, RunModel, TokenWindows,
};
use stratigraph_surgery::Budget;

use super::{batches, cannot};
use crate::Result;

/// A vector that is added to the activation at a hook point.
///
/// ```
/// use stratigraph_core::Hook;
/// use stratigraph_study::measurements::SteeringVector;
///
/// let vector = SteeringVector::new(Hook::ResidPre.at(6), [3.0, 0.0, 4.0]);
/// assert_eq!(vector.norm(), 5.0);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SteeringVector {
    point: HookPoint,
    values: Vec<f32>,
}

impl SteeringVector {
    /// A vector `[width]` of the activation at a point of the model in its own order of layers, such as one that was read from
    /// a file.
    pub fn new(point: HookPoint, values: impl Into<Vec<f32>>) -> Self {
        Self { point, values: values.into() }
    }

    /// The mean activation at the last position of some prompts minus that of others, `[width]`. The windows of `toward` and of
    /// `away` are prompts; prompts of different lengths are in different [`TokenWindows`]. Prompts of one length run together as far
    /// as the default [`Budget`] allows.
    ///
    /// Turner et al., *Activation Addition: Steering Language Models Without Optimization* (2023), for a pair of prompts;
    /// Rimsky et al., *Steering Llama 2 via Contrastive Activation Addition* (2023), for means.
    ///
    /// # Errors
    /// When there are no prompts of either kind, both have the same mean, a prompt does not fit the model, the model does not have the layer or the
    /// hook, its activation has heads, or an activation is not finite.
    pub fn between(
        model: &dyn ResidualModel,
        point: HookPoint,
        toward: &[TokenWindows],
        away: &[TokenWindows],
    ) -> Result<Self> {
        check_point(&model.shape(), point)?;
        let (toward, away) = (mean(model, point, toward, "toward")?, mean(model, point, away, "away from")?);
        let values: Vec<f32> = toward.into_iter().zip(away).map(|(toward, away)| (toward - away) as f32).collect();
        if values.iter().all(|value| *value == 0.0) {
            return Err(cannot(format!(
                "both sets of prompts have the same mean activation at `{point}`: give others"
            )));
        }
        Ok(Self { point, values })
    }

    /// Where it is added.
    pub fn point(&self) -> HookPoint {
        self.point
    }

    /// Its numbers, `[width]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Its Euclidean length.
    pub fn norm(&self) -> f64 {
        self.values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
    }

    /// The vector as the values of an edit, times `strength`.
    pub(super) fn scaled(&self, strength: f64) -> EditValues {
        EditValues::from(&self.values[..]).scaled(strength)
    }

    /// Refuses a model that it cannot be added to.
    pub(super) fn check(&self, shape: &ModelShape) -> Result<()> {
        check_point(shape, self.point)?;
        let (found, point) = (self.values.len(), self.point);
        if let Some(width) = shape.width_at(point.hook).filter(|width| *width != found) {
            let reason = format!("the vector has {found} numbers, and `{point}` of the model is {width} wide");
            return Err(cannot(reason));
        }
        match self.values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(cannot(format!("number {index} of the vector is {}", self.values[index]))),
            None => Ok(()),
        }
    }
}

/// Refuses a point that the model does not have, or whose activation is not a vector for each position.
fn check_point(shape: &ModelShape, point: HookPoint) -> Result<()> {
    let HookPoint { slot: layer, hook } = point;
    let n_layers = shape.n_layers;
    if layer >= n_layers {
        return Err(CoreError::LayerOutOfRange { layer, n_layers }.into());
    }
    if hook != Hook::Embed && !shape.hooks.contains(hook) {
        return Err(CoreError::HookMissing { hook }.into());
    }
    if hook.has_heads() {
        return Err(cannot(format!(
            "the activation at `{point}` has heads; steer the residual stream, hook_resid_pre"
        )));
    }
    Ok(())
}

/// The mean activation at the last position of prompts.
fn mean(model: &dyn ResidualModel, point: HookPoint, prompts: &[TokenWindows], which: &str) -> Result<Vec<f64>> {
    let (mut sum, mut n) = (Vec::new(), 0);
    for windows in prompts {
        windows.check(model)?;
        for batch in batches(model, windows, Budget::default())? {
            let mut cache = ActivationCache::at([point]);
            model.forward(windows.batch(batch, &model.device()), &mut cache)?;
            let activation = cache.tensor(point)?;
            let [batch, pos, width] = activation.dims();
            let last: Vec<f32> = activation.narrow(1, pos - 1, 1).try_into_vec_as().expect("any float");
            if let Some(at) = last.iter().position(|value| !value.is_finite()) {
                let text = format!("the activation at `{point}` is {} in a prompt to steer {which}", last[at]);
                return Err(cannot(text));
            }
            sum.resize(width, 0.0);
            for row in last.chunks(width) {
                sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
            }
            n += batch;
        }
    }
    if n == 0 {
        return Err(cannot(format!("there are no prompts to steer {which}")));
    }
    sum.iter_mut().for_each(|sum| *sum /= n as f64);
    Ok(sum)
}
