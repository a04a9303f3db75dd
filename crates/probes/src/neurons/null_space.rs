//! Neurons that write where the unembedding reads almost nothing: its [`NullSpace`].

use burn::tensor::{Tensor, TensorData};
use stratigraph_core::ResidualModel;

use super::eigen::symmetric_eigen;
use super::gram::Gram;
use super::unit_rows;
use crate::{ProbeError, Result};

/// The directions of the residual stream that change the logits least.
///
/// A neuron that writes there hardly changes any logit directly. It increases the norm of the residual stream, so the final
/// norm scales all logits down: it lowers the model's confidence. Such entropy neurons are described by Gurnee et al.
/// (arXiv 2401.12181) and Stolfo et al. (arXiv 2406.16254).
pub struct NullSpace {
    /// Orthonormal columns `[d_model, n]`.
    basis: Tensor<2>,
    subtracts_mean: bool,
    singular_values: Vec<f64>,
}

impl NullSpace {
    /// The share of `d_model` that counts as the null space: GPT-2's spectrum falls steeply over its last 12 of 768 directions.
    pub const SHARE: f64 = 12.0 / 768.0;

    /// The `n` directions of `model` with the smallest singular values of its unembedding, into which the final norm's
    /// gain is folded and which is centred over the vocabulary (a shift that all tokens share changes no probability).
    /// For models whose norm subtracts the mean over `d_model`, that direction is not among them, since the norm
    /// removes it.
    ///
    /// # Errors
    /// [`ProbeError::WeightsMissing`] when the model does not give access to its weights, [`ProbeError::BadSetting`] when
    /// `n` is 0 or leaves no other direction.
    pub fn new(model: &dyn ResidualModel, n: usize) -> Result<Self> {
        Self::of_gram(&Gram::new(model)?, n, model)
    }

    /// The same from the products of the unembedding, where they are there already.
    pub(super) fn of_gram(gram: &Gram, n: usize, model: &dyn ResidualModel) -> Result<Self> {
        let &Gram { d_model, subtracts_mean, .. } = gram;
        if n == 0 || n + usize::from(subtracts_mean) >= d_model {
            let reason = format!("the null space of {d_model} directions has at least 1 and leaves at least 1");
            return Err(ProbeError::BadSetting { setting: "the size of the null space", value: n, reason });
        }
        let mut entries = gram.entries.clone();
        if subtracts_mean {
            // The direction that the norm removes gets the largest eigenvalue, where it is not counted.
            let trace: f64 = entries.iter().step_by(d_model + 1).sum();
            entries.iter_mut().for_each(|entry| *entry += trace / d_model as f64);
        }
        let (values, vectors) = symmetric_eigen(entries, d_model);
        let rows: Vec<f32> = vectors[..n].iter().flatten().map(|x| *x as f32).collect();
        let basis = Tensor::<2>::from_data(TensorData::new(rows, [n, d_model]), &model.device()).transpose();
        let kept = d_model - usize::from(subtracts_mean);
        let singular_values = values[..kept].iter().map(|value| value.max(0.0).sqrt()).collect();
        Ok(Self { basis, subtracts_mean, singular_values })
    }

    /// The default number of directions for a model: [`SHARE`](NullSpace::SHARE) of its width, at least one.
    pub fn default_size(model: &dyn ResidualModel) -> usize {
        ((model.d_model() as f64 * Self::SHARE).round() as usize).max(1)
    }

    /// All singular values of the unembedding, the smallest first.
    pub fn singular_values(&self) -> &[f64] {
        &self.singular_values
    }

    /// The share of the squared length of each row of `w_out` `[neuron, d_model]` that lies in the null space, from 0 to 1; a
    /// random row has `n / d_model` of it there.
    pub fn shares(&self, w_out: Tensor<2>) -> Vec<f64> {
        let within = unit_rows(w_out, self.subtracts_mean).matmul(self.basis.clone());
        let shares: Vec<f32> = within.square().sum_dim(1).try_into_vec_as().expect("any float");
        shares.into_iter().map(f64::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use burn::tensor::{Device, Int};
    use stratigraph_core::{ModelShape, ModelWeights, Result as CoreResult, Site, SplitMix64, Tap};

    use super::*;

    /// A head of `[d_model, d_vocab]` and nothing else.
    struct HeadOnly {
        unembedding: Tensor<2>,
        layer_norm: bool,
    }

    impl ResidualModel for HeadOnly {
        fn shape(&self) -> ModelShape {
            let [d_model, d_vocab] = self.unembedding.dims();
            ModelShape::new(0, d_model, d_vocab)
        }

        fn device(&self) -> Device {
            self.unembedding.device()
        }

        fn embed(&self, _tokens: Tensor<2, Int>) -> CoreResult<Tensor<3>> {
            unreachable!("only weights are read")
        }

        fn block(&self, _site: Site, resid: Tensor<3>, _tap: &mut dyn Tap) -> CoreResult<Tensor<3>> {
            Ok(resid)
        }

        fn final_norm(&self, rows: Tensor<2>) -> CoreResult<Tensor<2>> {
            Ok(rows)
        }

        fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> CoreResult<Tensor<2>> {
            Ok(normed.matmul(self.w_u(vocab)?))
        }

        fn weights(&self) -> Option<&dyn ModelWeights> {
            Some(self)
        }
    }

    impl ModelWeights for HeadOnly {
        fn w_out(&self, _layer: usize) -> CoreResult<Tensor<2>> {
            unreachable!("there are no layers")
        }

        fn w_u(&self, vocab: Range<usize>) -> CoreResult<Tensor<2>> {
            Ok(self.unembedding.clone().slice_dim(1, vocab))
        }

        fn final_norm_is_centered(&self) -> bool {
            self.layer_norm
        }
    }

    /// Tokens whose last but one coordinate is all the same and whose last one is tiny.
    fn model(layer_norm: bool) -> HeadOnly {
        let (d_model, d_vocab) = (6, 40);
        let mut random = SplitMix64::new(3);
        let mut entry = |row: usize| match row {
            4 => 2.5,
            5 => 1e-3 * random.normal(),
            _ => random.normal(),
        };
        let values: Vec<f32> = (0..d_model * d_vocab).map(|i| entry(i / d_vocab) as f32).collect();
        let unembedding = Tensor::from_data(TensorData::new(values, [d_model, d_vocab]), &Device::flex());
        HeadOnly { unembedding, layer_norm }
    }

    fn shares(space: &NullSpace, rows: [[f32; 6]; 3]) -> Vec<f64> {
        space.shares(Tensor::from_data(rows, &Device::flex()))
    }

    #[test]
    fn what_no_token_reads_and_what_all_read_alike_is_the_null_space() {
        let space = NullSpace::new(&model(false), 2).unwrap();
        let found = shares(&space, [[0., 0., 0., 0., 0., 3.], [0., 0., 0., 0., 1., 0.], [1., 0., 0., 0., 1., 0.]]);
        for (found, expected) in found.into_iter().zip([1.0, 1.0, 0.5]) {
            assert!((found - expected).abs() < 1e-3, "{found} {expected}");
        }
        assert_eq!(space.singular_values().len(), 6);
        assert!(space.singular_values()[0] < 1e-5 && space.singular_values()[2] > 1.0);
    }

    #[test]
    fn sizes_that_leave_nothing_are_refused() {
        for (layer_norm, n) in [(false, 0), (false, 6), (true, 5)] {
            let refused = NullSpace::new(&model(layer_norm), n).err();
            assert!(matches!(refused, Some(ProbeError::BadSetting { value, .. }) if value == n), "{refused:?}");
        }
    }

    #[test]
    fn singular_values_squared_add_up_to_the_length_of_the_centred_head() {
        let model = model(false);
        let centred = model.unembedding.clone() - model.unembedding.clone().mean_dim(1);
        let length = f64::from(centred.square().sum().into_scalar::<f32>());
        let space = NullSpace::new(&model, 1).unwrap();
        let sum: f64 = space.singular_values().iter().map(|s| s * s).sum();
        assert!((sum - length).abs() < 1e-4 * length, "{sum} {length}");
    }

    #[test]
    fn the_direction_that_layer_norm_takes_away_is_not_counted() {
        let space = NullSpace::new(&model(true), 1).unwrap();
        assert_eq!(space.singular_values().len(), 5);
        let ones = [1.0f32; 6];
        // LayerNorm removes equal weights; if one differs, only the difference counts.
        let found = shares(&space, [[2., 1., 1., 1., 1., 1.], [0., 0., 0., 0., 1., -1.], ones.map(|x| x * 0.5)]);
        assert!(found[0] < 0.5 && found[1] > 0.1, "{found:?}");
        assert!(found[2].is_nan(), "{found:?}");
    }
}
