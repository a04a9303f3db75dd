//! Linear maps of positions: [`Linear`], [`linear`], and [`by_columns`] for the few rows of generation.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, module};
use stratigraph_core::is_host_device;

use super::half_weights::HalfWeights;
use super::host;

/// Up to this many rows a product takes the time of reading its matrix, and burn runs it on one thread.
const FEW_ROWS: usize = 8;

/// Numbers of a matrix that are worth a thread.
const WORTH_A_THREAD: usize = 1 << 16;

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
        let bias = self.bias.as_ref().map(Param::val);
        let half = match self.weights() {
            Weights::Full(weight) => return module::linear(x, weight.val(), bias),
            Weights::Half(half) => half,
        };
        let (mut dims, [d_in, d_out]) = (x.dims(), half.dims());
        let n_rows = dims[..D - 1].iter().product();
        let y = half.product(x.reshape([n_rows, d_in]), 0..d_out);
        let y = match bias {
            Some(bias) => y + bias.unsqueeze(),
            None => y,
        };
        dims[D - 1] = d_out;
        y.reshape(dims)
    }
}

/// A linear map of every position. On a CPU all positions are rows of one product: as one product for each window, which burn
/// chooses for some lengths, the weights would be packed anew for each.
pub(super) fn linear(map: &Linear, x: Tensor<3>) -> Tensor<3> {
    let weight = match map.weights() {
        Weights::Full(weight) if is_host_device(&x.device()) => weight,
        _ => return map.forward(x),
    };
    let [batch, pos, width] = x.dims();
    let rows = x.reshape([batch * pos, width]);
    let y = match threads_for(&rows, weight.dims()) {
        1 => map.forward(rows),
        n_parts => {
            let y = by_columns(rows, weight.val(), n_parts);
            match &map.bias {
                Some(bias) => y + bias.val().unsqueeze(),
                None => y,
            }
        }
    };
    let [_, width] = y.dims();
    y.reshape([batch, pos, width])
}

/// How many threads the product of rows and a matrix is divided among here; more than burn's own product uses where
/// there are few rows.
pub(super) fn threads_for(rows: &Tensor<2>, [d_in, d_out]: [usize; 2]) -> usize {
    let [n_rows, _] = rows.dims();
    if n_rows > FEW_ROWS || !host::on_host(&rows.device()) {
        return 1;
    }
    rayon::current_num_threads().min(d_in * d_out / WORTH_A_THREAD).max(1)
}

/// The product of rows `[rows, d_in]` and a matrix `[d_in, d_out]`, some columns of the matrix on each thread; they are read
/// where they lie.
pub(super) fn by_columns(rows: Tensor<2>, matrix: Tensor<2>, n_parts: usize) -> Tensor<2> {
    let [_, d_out] = matrix.dims();
    let part = |index: usize| {
        let columns = index * d_out / n_parts..(index + 1) * d_out / n_parts;
        rows.clone().matmul(matrix.clone().narrow(1, columns.start, columns.len()))
    };
    // The first part is computed here, where a thread of the pool would have to be woken for it.
    let mut others = vec![None; n_parts - 1];
    let first = rayon::in_place_scope(|scope| {
        for (index, other) in (1..).zip(&mut others) {
            let part = &part;
            scope.spawn(move |_| *other = Some(part(index)));
        }
        part(0)
    });
    Tensor::cat(std::iter::once(first).chain(others.into_iter().flatten()).collect(), 1)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    #[test]
    fn columns_on_several_threads_are_those_of_one_product() {
        let device = Device::flex();
        let matrix = Tensor::<2>::random([300, 701], Distribution::Default, &device);
        for n_rows in [1, 2, FEW_ROWS] {
            let rows = Tensor::<2>::random([n_rows, 300], Distribution::Default, &device);
            let expected: Vec<f32> = rows.clone().matmul(matrix.clone()).try_into_vec_as().unwrap();
            for n_parts in [2, 3, 16] {
                let found: Vec<f32> = by_columns(rows.clone(), matrix.clone(), n_parts).try_into_vec_as().unwrap();
                stratigraph_testing::assert_each_close(&found, &expected, 1e-5, "columns");
            }
        }
    }

    #[test]
    fn few_positions_are_as_among_many() {
        let device = Device::flex();
        let random = |shape| Param::from_tensor(Tensor::random(shape, Distribution::Default, &device));
        let bias = Param::from_tensor(Tensor::random([640], Distribution::Default, &device));
        let map = Linear::full(random([512, 640]), Some(bias));
        let x = Tensor::<3>::random([1, 2 * FEW_ROWS, 512], Distribution::Default, &device);
        let all: Vec<f32> = linear(&map, x.clone()).try_into_vec_as().unwrap();
        let one: Vec<f32> = linear(&map, x.narrow(1, 3, 1)).try_into_vec_as().unwrap();
        stratigraph_testing::assert_each_close(&one, &all[3 * 640..4 * 640], 1e-5, "position 3");
    }
}
