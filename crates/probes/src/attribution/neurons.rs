//! What the neurons of a layer write along a direction, [`NeuronWrites`], where their output weights account for what the MLP writes.

use burn::tensor::Tensor;

use super::heads::MOST_MISSING;

/// What the neurons of a layer write in one prompt.
pub(super) struct NeuronWrites {
    /// Their sum at each position, `[pos, d_model]`.
    sum: Tensor<2>,
    /// The component of each along the direction at each position, `[pos, d_mlp]`.
    along: Tensor<2>,
}

impl NeuronWrites {
    /// From output weights `[d_mlp, d_model]`, activations `[1, pos, d_mlp]` and a direction `[1, d_model]`.
    pub(super) fn new(w_out: Tensor<2>, post: &Tensor<3>, direction: &Tensor<2>) -> Self {
        let [_, pos, d_mlp] = post.dims();
        let post = post.clone().narrow(0, 0, 1).reshape([pos, d_mlp]);
        let along = post.clone() * direction.clone().matmul(w_out.clone().transpose());
        Self { sum: post.matmul(w_out), along }
    }

    /// The component of each neuron along the direction at a position, given what the MLP writes, `[1, pos, d_model]`. None where the
    /// neurons do not account for it.
    ///
    /// What the MLP writes is the neurons' sum and a bias that is the same at all positions, or the neurons' sum divided by a norm
    /// after the MLP, which has a scale for each position.
    pub(super) fn explaining(self, out: &Tensor<3>, position: usize) -> Option<Vec<f64>> {
        let Self { sum, along } = self;
        let [_, pos, d_model] = out.dims();
        let out: Vec<f32> = floats(out.clone().narrow(0, 0, 1).reshape([pos, d_model]));
        let sum = floats(sum);
        let row = |values: &[f32], at: usize| -> Vec<f64> {
            values[at * d_model..][..d_model].iter().map(|&x| f64::from(x)).collect()
        };
        let rest =
            |at: usize| -> Vec<f64> { row(&out, at).iter().zip(row(&sum, at)).map(|(out, sum)| out - sum).collect() };
        let here = row(&out, position);
        let most = MOST_MISSING * MOST_MISSING * square(&here);
        let other = if position == 0 { pos - 1 } else { position - 1 };
        let has_one_bias = square(&difference(&rest(position), &rest(other))) <= most;
        let factor = match scale_of(&row(&sum, position), &here, most) {
            // A norm leaves one rest too where both rows are alike; a scale near 1 may be that of a small bias.
            Some(scale) if !has_one_bias || (scale - 1.0).abs() > MOST_MISSING => scale,
            _ if has_one_bias => 1.0,
            _ => return None,
        };
        let [_, d_mlp] = along.dims();
        Some(floats(along)[position * d_mlp..][..d_mlp].iter().map(|&x| f64::from(x) * factor).collect())
    }
}

/// What a norm after the MLP multiplies `sum` by; none where `out` is no multiple of it.
fn scale_of(sum: &[f64], out: &[f64], most: f64) -> Option<f64> {
    let along: f64 = sum.iter().zip(out).map(|(a, b)| a * b).sum();
    let factor = along / square(sum);
    let missing: Vec<f64> = sum.iter().zip(out).map(|(sum, out)| out - factor * sum).collect();
    (square(&missing) <= most).then_some(factor)
}

fn square(row: &[f64]) -> f64 {
    row.iter().map(|x| x * x).sum()
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn floats(tensor: Tensor<2>) -> Vec<f32> {
    tensor.try_into_vec_as().expect("any float")
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// The neurons at the second of two positions, each of which writes its activation along one axis.
    fn explained(post: [[f32; 2]; 2], out: [[f32; 2]; 2]) -> Option<Vec<f64>> {
        let device = Device::flex();
        let tensor = |rows: [[f32; 2]; 2]| Tensor::<3>::from_data([rows], &device);
        let writes = NeuronWrites::new(Tensor::eye(2, &device), &tensor(post), &Tensor::ones([1, 2], &device));
        writes.explaining(&tensor(out), 1)
    }

    #[test]
    fn a_norm_scales_neurons_though_two_rows_are_alike() {
        for post in [[[3.0, 4.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]]] {
            let found = explained(post, post.map(|row| row.map(|x| x / 5.0))).unwrap();
            assert!((found[0] - 0.6).abs() < 1e-6 && (found[1] - 0.8).abs() < 1e-6, "{found:?}");
        }
    }

    #[test]
    fn a_bias_leaves_neurons_as_they_are() {
        let post = [[1.0, 2.0], [3.0, 4.0]];
        for bias in [0.0, 0.01, 10.0] {
            let out = post.map(|[x, y]| [x + bias, y - bias]);
            assert_eq!(explained(post, out), Some(vec![3.0, 4.0]), "a bias of {bias}");
        }
        assert_eq!(explained(post, [[2.0, 1.0], [4.0, -3.0]]), None);
    }
}
