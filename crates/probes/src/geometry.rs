//! Lengths and directions of the residual stream, and of what blocks add to it: [`Geometry`].

use std::f64::consts::PI;
use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{Activation, Hook, HookSet, Observer, Result as CoreResult, Site, Tap};

use crate::statistics::{Moments, PerSequence};
use crate::{ProbeError, Result};

/// The cosine of each row of `a` with the same row of `b`: `[batch, pos, d_model]` twice to `[batch, pos]`.
pub fn cosine(a: Tensor<3>, b: Tensor<3>) -> Tensor<2> {
    let dot = (a.clone() * b.clone()).sum_dim(2).squeeze_dim::<2>(2);
    dot / (norm(a) * norm(b))
}

/// The length of each row: `[batch, pos, d_model]` to `[batch, pos]`.
pub fn norm(x: Tensor<3>) -> Tensor<2> {
    x.square().sum_dim(2).sqrt().squeeze_dim::<2>(2)
}

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
    resid_norm: Vec<PerSequence>,
    attn_out_norm: Vec<PerSequence>,
    mlp_out_norm: Vec<PerSequence>,
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

    /// The mean cosine of the residual stream at one residual position with that at another, `[position][position]`.
    pub fn cosine(&self) -> &[Vec<PerSequence>] {
        &self.cosine
    }

    /// `arccos(cosine) / pi` of the residual stream at each residual position with that `n` layers later, the mean over positions; 0
    /// when they have one direction, 1 when opposite ones (Gromov et al., arXiv 2403.17887).
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
        let [_, pos] = values.dims();
        let values: Vec<f32> = values.try_into_vec_as().expect("any float");
        let collected = of(self);
        if collected.len() <= index {
            collected.resize_with(index + 1, PerSequence::default);
        }
        for (row, &value) in values.iter().enumerate().filter(|(row, _)| row % pos >= skip) {
            collected[index].push(first + row / pos, f64::from(value));
        }
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
            Hook::AttnOut => self.push(|all| &mut all.attn_out_norm, site.layer, norm(x)),
            Hook::MlpOut => self.push(|all| &mut all.mlp_out_norm, site.layer, norm(x)),
            _ => {
                self.push(|all| &mut all.resid_norm, site.slot, norm(x.clone()));
                self.streams.push(x);
            }
        }
        Ok(activation)
    }
}

impl Observer for Geometry {
    fn begin(&mut self, windows: Range<usize>) {
        self.windows = windows;
        self.streams.clear();
    }

    fn end(&mut self, resid: &Tensor<3>) -> CoreResult<()> {
        let [batch, pos, _] = resid.dims();
        self.push(|all| &mut all.resid_norm, self.streams.len(), norm(resid.clone()));
        self.streams.push(resid.clone());
        self.push_cosines(batch, pos);
        Ok(())
    }
}
