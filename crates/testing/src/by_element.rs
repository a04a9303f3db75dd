//! An edit written out number by number: [`ByElement`].

use burn::tensor::{Tensor, TensorData};
use stratigraph_core::{Activation, Hook, HookPoint, HookSet, Result, Site, Tap};

/// Changes each number of the activation at a point by a function of its index, `[i, j, k, l]` (`l` is 0 where there are
/// three axes), and its value.
pub struct ByElement<F> {
    /// Where.
    pub point: HookPoint,
    /// From index and value to the value in its place.
    pub change: F,
}

impl<F: Fn([usize; 4], f32) -> f32> Tap for ByElement<F> {
    fn hooks(&self) -> HookSet {
        [self.point.hook].into()
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        hook.at(site.slot) == self.point
    }

    fn visit(&mut self, _site: Site, _hook: Hook, activation: Activation) -> Result<Activation> {
        let (dims, device) = (activation.dims(), activation.device());
        let index = |flat: usize| match dims[..] {
            [_, b, c] => [flat / (b * c), flat / c % b, flat % c, 0],
            [_, b, c, d] => [flat / (b * c * d), flat / (c * d) % b, flat / d % c, flat % d],
            _ => unreachable!("an activation has three or four axes"),
        };
        let values = activation.to_vec().into_iter().enumerate();
        let values: Vec<f32> = values.map(|(flat, value)| (self.change)(index(flat), value)).collect();
        let data = TensorData::new(values, dims.clone());
        Ok(match dims.len() {
            3 => Tensor::<3>::from_data(data, &device).into(),
            _ => Tensor::<4>::from_data(data, &device).into(),
        })
    }
}
