//! Changes of activations that are written out by hand, as taps: [`Replace`], [`KeepFirst`], [`mean_of`], [`next_of`].

use burn::tensor::Tensor;
use stratigraph_core::{
    Activation, ActivationCache, Hook, HookPoint, HookSet, MeanOver, ResidualModel, Result, RunModel, Site, Tap,
    TokenWindows,
};

/// Puts values in the place of an activation, which is computed all the same.
pub struct Replace {
    pub point: HookPoint,
    pub with: Activation,
}

impl Tap for Replace {
    fn hooks(&self) -> HookSet {
        [self.point.hook].into()
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        hook.at(site.slot) == self.point
    }

    fn visit(&mut self, _site: Site, _hook: Hook, _activation: Activation) -> Result<Activation> {
        Ok(self.with.clone())
    }
}

/// Skips a slot at every position but the first `n`.
pub struct KeepFirst {
    pub slot: usize,
    pub n: usize,
    pub entered: Option<Tensor<3>>,
}

impl Tap for KeepFirst {
    fn hooks(&self) -> HookSet {
        [Hook::ResidPre, Hook::ResidPost].into()
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        site.slot == self.slot && self.hooks().contains(hook)
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> Result<Activation> {
        let resid = activation.wide(hook.at(site.slot))?;
        if hook == Hook::ResidPre {
            self.entered = Some(resid.clone());
            return Ok(resid.into());
        }
        let entered = self.entered.take().expect("a block shows what enters it first");
        let [_, pos, _] = entered.dims();
        let (first, rest) = (resid.narrow(1, 0, self.n), entered.narrow(1, self.n, pos - self.n));
        Ok(Tensor::cat(vec![first, rest], 1).into())
    }
}

/// The activation of a hook in a layer of the unchanged model, over all windows.
pub fn clean(model: &dyn ResidualModel, windows: &TokenWindows, layer: usize, hook: Hook) -> Activation {
    let cache = model.run_with_cache(windows, ActivationCache::at([hook.at(layer)])).unwrap();
    cache.activation(hook.at(layer)).unwrap().clone()
}

/// The mean of a clean activation in the place of each of its values: over windows, and over the positions of the mean (over
/// windows alone for scores and patterns).
pub fn mean_of(activation: &Activation, hook: Hook, over: MeanOver) -> Vec<f32> {
    let (dims, values) = (activation.dims(), activation.to_vec());
    let by_position = hook.is_square() || over == MeanOver::Each;
    let first = if let MeanOver::From(first) = over { first } else { 0 };
    let rest: usize = values.len() / dims[0] / if by_position { 1 } else { dims[1] };
    let mean = |place: usize| {
        let (mut sum, mut n) = (0.0, 0);
        for (index, x) in values.iter().enumerate().filter(|(index, _)| index % rest == place) {
            if by_position || index / rest % dims[1] >= first {
                (sum, n) = (sum + f64::from(*x), n + 1);
            }
        }
        (sum / f64::from(n)) as f32
    };
    let means: Vec<f32> = (0..rest).map(mean).collect();
    (0..values.len()).map(|index| means[index % rest]).collect()
}

/// A clean activation of the window after each.
pub fn next_of(activation: &Activation) -> Vec<f32> {
    let mut values = activation.to_vec();
    let of_window = values.len() / activation.dims()[0];
    values.rotate_left(of_window);
    values
}

/// The index in row-major order of a place in an activation of three or four axes.
pub fn flat([a, b, c, d]: [usize; 4], dims: &[usize]) -> usize {
    match dims {
        [_, n, width] => (a * n + b) * width + c,
        [_, n, m, width] => ((a * n + b) * m + c) * width + d,
        _ => panic!("{dims:?}"),
    }
}

#[test]
fn values_by_hand_are_what_they_say() {
    let activation: Activation =
        Tensor::<3>::from_floats([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]], &stratigraph_testing::device())
            .into();
    assert_eq!(mean_of(&activation, Hook::MlpOut, MeanOver::All), [4.0, 5.0].repeat(4));
    assert_eq!(mean_of(&activation, Hook::MlpOut, MeanOver::from(1..)), [5.0, 6.0].repeat(4));
    assert_eq!(mean_of(&activation, Hook::MlpOut, MeanOver::Each), [3.0, 4.0, 5.0, 6.0].repeat(2));
    assert_eq!(next_of(&activation), [5.0, 6.0, 7.0, 8.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(flat([1, 0, 1, 0], &[2, 2, 2]), 5);
    let square: Activation =
        Tensor::<4>::from_floats([[[[1.0, 0.0], [0.5, 0.5]]], [[[1.0, 0.0], [0.1, 0.9]]]], &activation.device()).into();
    assert_eq!(mean_of(&square, Hook::Pattern, MeanOver::All), [1.0, 0.0, 0.3, 0.7].repeat(2));
}

/// The residual stream `[batch, pos, d_model]` of one run at some positions and of another at all others.
pub fn mixed(chosen: &Tensor<3>, others: &Tensor<3>, at: impl Fn(usize) -> bool) -> Tensor<3> {
    let [_, pos, _] = chosen.dims();
    let position = |position: usize| if at(position) { chosen } else { others }.clone().narrow(1, position, 1);
    Tensor::cat((0..pos).map(position).collect(), 1)
}

/// One layer of a model on a residual stream.
pub fn block(model: &dyn ResidualModel, layer: usize, resid: Tensor<3>) -> Tensor<3> {
    model.block(Site { slot: 0, layer }, resid, &mut stratigraph_core::NoTap).unwrap()
}
