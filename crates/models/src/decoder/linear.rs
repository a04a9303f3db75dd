//! Linear maps of positions: [`Linear`], and [`linear`] and [`linear_each`] for windows.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, module};
use stratigraph_core::is_host_device;

use super::few_rows;
use super::half_weights::HalfWeights;

/// A linear map `[d_in, d_out]`, and the vector that is added after it.
#[derive(Module, Debug)]
pub(super) struct Linear {
    /// None where the weights are held in 16 bit.
    weight: Option<Param<Tensor<2>>>,
    pub(super) bias: Option<Param<Tensor<1>>>,
    /// The weights in 16 bit; none where they are held in f32.
    #[module(skip)]
    half: Option<HalfWeights>,
}

/// The weights of a map, as they are held.
enum Weights<'a> {
    Full(&'a Param<Tensor<2>>),
    Half(&'a HalfWeights),
}

impl Linear {
    /// With weights `[d_in, d_out]` in f32.
    pub(super) fn full(weight: Param<Tensor<2>>, bias: Option<Param<Tensor<1>>>) -> Self {
        Self { weight: Some(weight), bias, half: None }
    }

    /// With weights in 16 bit.
    pub(super) fn half(weights: HalfWeights, bias: Option<Param<Tensor<1>>>) -> Self {
        Self { weight: None, bias, half: Some(weights) }
    }

    fn weights(&self) -> Weights<'_> {
        match (&self.weight, &self.half) {
            (Some(weight), _) => Weights::Full(weight),
            (None, half) => Weights::Half(half.as_ref().expect("a map has weights")),
        }
    }

    /// `[d_in, d_out]`
    pub(super) fn dims(&self) -> [usize; 2] {
        match self.weights() {
            Weights::Full(weight) => weight.dims(),
            Weights::Half(half) => half.dims(),
        }
    }

    /// The weights as f32, `[d_in, d_out]`.
    pub(super) fn matrix(&self) -> Tensor<2> {
        match self.weights() {
            Weights::Full(weight) => weight.val(),
            Weights::Half(half) => half.matrix(),
        }
    }

    /// Bytes of the weights in 16 bit.
    pub(super) fn n_half_bytes(&self) -> usize {
        self.half.as_ref().map_or(0, HalfWeights::n_bytes)
    }

    /// Rows `[..., d_in]` to `[..., d_out]`.
    pub(super) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let half = match self.weights() {
            Weights::Full(weight) => return module::linear(x, weight.val(), self.bias.as_ref().map(Param::val)),
            Weights::Half(half) => half,
        };
        let (mut dims, [d_in, d_out]) = (x.dims(), half.dims());
        let n_rows = dims[..D - 1].iter().product();
        let y = self.with_bias(half.product(x.reshape([n_rows, d_in]), 0..d_out));
        dims[D - 1] = d_out;
        y.reshape(dims)
    }

    /// Rows `[rows, d_out]` with the bias added.
    fn with_bias(&self, y: Tensor<2>) -> Tensor<2> {
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        }
    }
}

/// A linear map of every position, `[batch, pos, d_in]` to `[batch, pos, d_out]`.
pub(super) fn linear(map: &Linear, x: Tensor<3>) -> Tensor<3> {
    let [y] = linear_each([map], x);
    y
}

/// Several linear maps of every position. On a CPU all positions are rows of one product: as one product for each window,
/// which burn chooses for some lengths, the weights would be packed again for each.
pub(super) fn linear_each<const N: usize>(maps: [&Linear; N], x: Tensor<3>) -> [Tensor<3>; N] {
    if !is_host_device(&x.device()) || maps.iter().any(|map| map.half.is_some()) {
        return maps.map(|map| map.forward(x.clone()));
    }
    let [batch, pos, width] = x.dims();
    let rows = x.reshape([batch * pos, width]);
    let ys = if few_rows::are_few(&rows) {
        let mut products = few_rows::products(&rows, maps.map(Linear::matrix)).into_iter();
        maps.map(|map| map.with_bias(products.next().expect("one for each map")))
    } else {
        maps.map(|map| map.forward(rows.clone()))
    };
    ys.map(|y| {
        let [_, width] = y.dims();
        y.reshape([batch, pos, width])
    })
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    #[test]
    fn few_positions_are_as_among_many() {
        let device = Device::flex();
        let random = |shape| Param::from_tensor(Tensor::random(shape, Distribution::Default, &device));
        let bias = Param::from_tensor(Tensor::random([640], Distribution::Default, &device));
        let map = Linear::full(random([512, 640]), Some(bias));
        let x = Tensor::<3>::random([1, 16, 512], Distribution::Default, &device);
        let all: Vec<f32> = linear(&map, x.clone()).try_into_vec_as().unwrap();
        let one: Vec<f32> = linear(&map, x.narrow(1, 3, 1)).try_into_vec_as().unwrap();
        stratigraph_testing::assert_each_close(&one, &all[3 * 640..4 * 640], 1e-5, "position 3");
    }
}
