//! Lengths and directions of the residual stream, and of what blocks add to it: [`Geometry`]; lengths without the mean over
//! `d_model`: [`CentredNorms`].

mod centred;
mod rows;

use std::f64::consts::PI;
use std::ops::Range;

use burn::tensor::Tensor;
use rayon::prelude::*;
use stratigraph_core::{Activation, Hook, HookSet, Observer, Result as CoreResult, Site, Tap};

use crate::neurons::symmetric_eigenvalues;
use crate::statistics::{Moments, PerSequence};
use crate::{ProbeError, Result};

pub use centred::CentredNorms;
pub(crate) use centred::without_mean;
use rows::{by_window, numbers_at, push_positions};
pub use rows::{cosine, norm};

/// Positions of a window in the matrix entropy: the time grows with their third power.
const ENTROPY_POSITIONS: usize = 256;

/// Collects norms and cosines over a corpus, for all pairs of residual positions.
///
/// A model of `n_layers` layers has `n_layers + 1` residual positions: before each layer, and after the last. The residual
/// streams of one batch are held at a time.
#[derive(Default)]
pub struct Geometry {
    skip_first: usize,
    windows: Range<usize>,
    /// The residual streams of the run so far.
    streams: Vec<Tensor<3>>,
    /// What sublayers of the layer that runs add to: its input, and what its attention has added.
    inside: Option<Tensor<3>>,
    resid_norm: Vec<PerSequence>,
    attn_out_norm: Vec<PerSequence>,
    mlp_out_norm: Vec<PerSequence>,
    attn_write_cosine: Vec<PerSequence>,
    mlp_write_cosine: Vec<PerSequence>,
    first_position_norm: Vec<PerSequence>,
    matrix_entropy: Vec<PerSequence>,
    cosine: Vec<Vec<PerSequence>>,
    angle: Vec<Vec<Moments>>,
}

impl Geometry {
    /// Leaves out the first `skip_first` positions of each window, whose norms may be far larger than all others'.
    pub fn new(skip_first: usize) -> Self {
        Self { skip_first, ..Self::default() }
    }

    /// The mean length of the residual stream, at each residual position.
    pub fn resid_norm(&self) -> &[PerSequence] {
        &self.resid_norm
    }

    /// The mean length of what each layer's attention adds.
    pub fn attn_out_norm(&self) -> &[PerSequence] {
        &self.attn_out_norm
    }

    /// The mean length of what each layer's MLP adds.
    pub fn mlp_out_norm(&self) -> &[PerSequence] {
        &self.mlp_out_norm
    }

    /// The mean cosine of what each layer's attention adds with the residual stream before the layer, over the positions at which it
    /// adds anything.
    pub fn attn_write_cosine(&self) -> &[PerSequence] {
        &self.attn_write_cosine
    }

    /// The mean cosine of what each layer's MLP adds with the residual stream that it is added to: that before the layer and
    /// what attention has added; over the positions at which it adds anything.
    pub fn mlp_write_cosine(&self) -> &[PerSequence] {
        &self.mlp_write_cosine
    }

    /// The length of the residual stream at position 0 of each window, which counts here even if it is skipped.
    pub fn first_position_norm(&self) -> &[PerSequence] {
        &self.first_position_norm
    }

    /// The matrix entropy of each window's residual streams, at each residual position, in nats.
    ///
    /// With `X` `[pos, d_model]` the residual streams of a window's positions that count, at most the first 256 of them, and
    /// `p` the eigenvalues of `X X^T` over their sum: `- sum_i p_i ln p_i`, the von Neumann entropy. At most `ln` of the number
    /// of positions; near 0 when one direction, such as that of massive activations, has nearly all of the squared length
    /// (Skean et al., arXiv 2502.02013; arXiv 2510.06477).
    pub fn matrix_entropy(&self) -> &[PerSequence] {
        &self.matrix_entropy
    }

    /// The mean cosine of the residual stream at one residual position with that at another, `[position][position]`.
    pub fn cosine(&self) -> &[Vec<PerSequence>] {
        &self.cosine
    }

    /// `arccos(cosine) / pi` of the residual stream at each residual position with that `n` layers later, the mean over positions; 0
    /// when they have the same direction, 1 when opposite ones (Gromov et al., arXiv 2403.17887).
    pub fn angular_distance(&self, n: usize) -> Vec<f64> {
        (0..self.angle.len().saturating_sub(n)).map(|first| self.angle[first][first + n].mean).collect()
    }

    /// The same of every residual position with every other, `[position][position]`; 0 with itself.
    pub fn angular_distances(&self) -> Vec<Vec<f64>> {
        let of = |a: usize, b: usize| if a == b { 0.0 } else { self.angle[a][b].mean };
        let n = self.angle.len();
        (0..n).map(|a| (0..n).map(|b| of(a, b)).collect()).collect()
    }

    /// Refuses what was measured where it is not finite.
    ///
    /// # Errors
    /// [`ProbeError::ActivationNotFinite`] when a length left the range of f32, [`ProbeError::NoDirection`] when a residual
    /// stream is zero.
    pub fn check(&self) -> Result<()> {
        let lengths = [
            ("the length of the residual stream at residual position", &self.resid_norm),
            ("the length of the attention output of layer", &self.attn_out_norm),
            ("the length of the MLP output of layer", &self.mlp_out_norm),
        ];
        for (what, lengths) in lengths {
            for (place, length) in lengths.iter().enumerate() {
                if let Some(sequence) = not_finite(length) {
                    return Err(ProbeError::ActivationNotFinite { what, place, sequence });
                }
            }
        }
        let mut with_itself =
            self.cosine.iter().enumerate().map(|(position, row)| (position, not_finite(&row[position])));
        match with_itself.find_map(|(position, sequence)| Some((position, sequence?))) {
            Some((position, sequence)) => Err(ProbeError::NoDirection { position, sequence }),
            None => Ok(()),
        }
    }

    /// Adds a number of every position that counts, `[batch, pos]`, to the one at `index`.
    fn push(&mut self, of: fn(&mut Self) -> &mut Vec<PerSequence>, index: usize, values: Tensor<2>) {
        let (first, skip) = (self.windows.start, self.skip_first);
        push_positions(of(self), index, values, first, skip);
    }

    /// Measures a residual stream, `[batch, pos, d_model]`, and keeps it.
    fn push_stream(&mut self, position: usize, x: Tensor<3>) {
        let norms = norm(x.clone());
        self.push_first(position, norms.clone());
        self.push(|all| &mut all.resid_norm, position, norms);
        self.push_entropy(position, &x);
        self.streams.push(x);
    }

    /// The cosine of what a sublayer adds with what it is added to, at the positions where it adds anything: zero has no direction.
    fn push_write(&mut self, of: fn(&mut Self) -> &mut Vec<PerSequence>, layer: usize, write: Tensor<3>) {
        let Some(before) = self.inside.take() else { return };
        let cosines = by_window(cosine(write.clone(), before.clone()), self.windows.start, self.skip_first);
        let numbers = numbers_at(of(self), layer);
        cosines.filter(|(_, cosine)| !cosine.is_nan()).for_each(|(window, cosine)| numbers.push(window, cosine));
        self.inside = Some(before + write);
    }

    /// The numbers of position 0, of `[batch, pos]`.
    fn push_first(&mut self, index: usize, values: Tensor<2>) {
        let first: Vec<f32> = values.narrow(1, 0, 1).try_into_vec_as().expect("any float");
        let numbers = numbers_at(&mut self.first_position_norm, index);
        for (window, &value) in (self.windows.start..).zip(&first) {
            numbers.push(window, f64::from(value));
        }
    }

    /// The matrix entropy of each window, of `[batch, pos, d_model]`.
    fn push_entropy(&mut self, index: usize, x: &Tensor<3>) {
        let [_, pos, _] = x.dims();
        let n = pos.saturating_sub(self.skip_first).min(ENTROPY_POSITIONS);
        if n == 0 {
            return;
        }
        let rows = x.clone().narrow(1, self.skip_first, n);
        let grams: Vec<f32> = rows.clone().matmul(rows.swap_dims(1, 2)).try_into_vec_as().expect("any float");
        let entropies: Vec<f64> = grams.par_chunks(n * n).map(|gram| entropy_of_gram(gram, n)).collect();
        let numbers = numbers_at(&mut self.matrix_entropy, index);
        (self.windows.start..).zip(entropies).for_each(|(window, entropy)| numbers.push(window, entropy));
    }

    /// The cosines of every residual position with every other, from the directions `[batch * pos, position, d_model]`.
    fn push_cosines(&mut self, batch: usize, pos: usize) {
        let n_streams = self.streams.len();
        let directions = |stream: Tensor<3>| {
            let norms = norm(stream.clone()).unsqueeze_dim::<3>(2);
            let [.., d_model] = stream.dims();
            (stream / norms).reshape([batch * pos, 1, d_model])
        };
        let directions = Tensor::cat(std::mem::take(&mut self.streams).into_iter().map(directions).collect(), 1);
        let cosines = directions.clone().matmul(directions.swap_dims(1, 2)); // [batch * pos, stream, stream]
        let cosines: Vec<f32> = cosines.try_into_vec_as().expect("any float");
        if self.cosine.is_empty() {
            self.cosine = vec![vec![PerSequence::default(); n_streams]; n_streams];
            self.angle = vec![vec![Moments::default(); n_streams]; n_streams];
        }
        for (row, of_row) in cosines.chunks(n_streams * n_streams).enumerate() {
            if row % pos < self.skip_first {
                continue;
            }
            for (pair, &cosine) in of_row.iter().enumerate() {
                let (a, b, cosine) = (pair / n_streams, pair % n_streams, f64::from(cosine));
                self.cosine[a][b].push(self.windows.start + row / pos, cosine);
                self.angle[a][b].push(cosine.clamp(-1.0, 1.0).acos() / PI);
            }
        }
    }
}

/// `- sum p ln p` of the eigenvalues of a Gram matrix `[n, n]` over their sum; NaN where an entry is not finite or the matrix is
/// zero.
fn entropy_of_gram(gram: &[f32], n: usize) -> f64 {
    if gram.iter().any(|entry| !entry.is_finite()) {
        return f64::NAN;
    }
    let values = symmetric_eigenvalues(gram.iter().copied().map(f64::from).collect(), n);
    let positive = || values.iter().copied().filter(|value| *value > 0.0); // what rounding leaves below zero is zero
    let sum: f64 = positive().sum();
    if sum > 0.0 { positive().map(|value| -value / sum * (value / sum).ln()).sum() } else { f64::NAN }
}

/// The first window in which a number is not finite.
fn not_finite(measured: &PerSequence) -> Option<usize> {
    let broken = measured.counts().zip(measured.means()).find(|(_, mean)| !mean.is_finite());
    broken.map(|(count, _)| count.sequence)
}

impl Tap for Geometry {
    fn hooks(&self) -> HookSet {
        [Hook::ResidPre, Hook::AttnOut, Hook::MlpOut].into()
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> CoreResult<Activation> {
        let x = activation.clone().wide(hook.at(site.slot))?;
        match hook {
            Hook::AttnOut => {
                self.push(|all| &mut all.attn_out_norm, site.layer, norm(x.clone()));
                self.push_write(|all| &mut all.attn_write_cosine, site.layer, x);
            }
            Hook::MlpOut => {
                self.push(|all| &mut all.mlp_out_norm, site.layer, norm(x.clone()));
                self.push_write(|all| &mut all.mlp_write_cosine, site.layer, x);
            }
            _ => {
                self.inside = Some(x.clone());
                self.push_stream(site.slot, x);
            }
        }
        Ok(activation)
    }
}

impl Observer for Geometry {
    fn begin(&mut self, windows: Range<usize>) {
        self.windows = windows;
        self.streams.clear();
        self.inside = None;
    }

    fn end(&mut self, resid: &Tensor<3>) -> CoreResult<()> {
        let [batch, pos, _] = resid.dims();
        self.push_stream(self.streams.len(), resid.clone());
        self.push_cosines(batch, pos);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrix_entropy_is_that_of_known_spectra() {
        // Orthogonal rows of squared lengths 1, 2 and 5: p = 1/8, 1/4, 5/8.
        let gram = [1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 5.0];
        let expected: f64 = [0.125, 0.25, 0.625].iter().map(|p: &f64| -p * p.ln()).sum();
        assert!((entropy_of_gram(&gram, 3) - expected).abs() < 1e-12);
        assert!((entropy_of_gram(&[2.0, 0.0, 0.0, 2.0], 2) - 2f64.ln()).abs() < 1e-12, "equal lengths");
        assert!(entropy_of_gram(&[1.0, 2.0, 2.0, 4.0], 2).abs() < 1e-6, "one direction");
        assert!(entropy_of_gram(&[0.0; 4], 2).is_nan() && entropy_of_gram(&[f32::INFINITY; 4], 2).is_nan());
    }
}
