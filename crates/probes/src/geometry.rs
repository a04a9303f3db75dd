//! Lengths and directions of the residual stream, and of what blocks add to it: [`Geometry`].

use std::f64::consts::PI;
use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{Hook, Site, Tap};

use crate::{Moments, Observer, PerSequence};

/// The cosine of each row of `a` with the same row of `b`: `[batch, pos, d_model]` twice to `[batch, pos]`.
pub fn cosine(a: Tensor<3>, b: Tensor<3>) -> Tensor<2> {
    let dot = (a.clone() * b.clone()).sum_dim(2).squeeze_dim::<2>(2);
    dot / (norm(a) * norm(b))
}

/// The length of each row: `[batch, pos, d_model]` to `[batch, pos]`.
pub fn norm(x: Tensor<3>) -> Tensor<2> {
    x.square().sum_dim(2).sqrt().squeeze_dim::<2>(2)
}

/// Collects norms and cosines over a corpus, for all pairs of places in the residual stream.
///
/// The residual stream has `n_layers + 1` places: before each layer, and after the last. One batch's are held at a time.
pub struct Geometry {
    skip_first: usize,
    sequences: Range<usize>,
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
        let (cosine, angle) = (Vec::new(), Vec::new());
        let (resid_norm, attn_out_norm, mlp_out_norm) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            skip_first,
            sequences: 0..0,
            streams: Vec::new(),
            resid_norm,
            attn_out_norm,
            mlp_out_norm,
            cosine,
            angle,
        }
    }

    /// The mean length of the residual stream, at each place.
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

    /// The mean cosine of the residual stream at one place with that at another, `[place][place]`.
    pub fn cosine(&self) -> &[Vec<PerSequence>] {
        &self.cosine
    }

    /// `arccos(cosine) / pi` of the residual stream at each place with that `n` layers later, the mean over positions; 0
    /// when they have one direction, 1 when opposite ones (Gromov et al., arXiv 2403.17887).
    pub fn angular_distance(&self, n: usize) -> Vec<f64> {
        (0..self.angle.len().saturating_sub(n)).map(|place| self.angle[place][place + n].mean).collect()
    }

    /// Adds a number of every position that counts, `[batch, pos]`, to the one at `index`.
    fn push(&mut self, of: fn(&mut Self) -> &mut Vec<PerSequence>, index: usize, values: Tensor<2>) {
        let (first, skip) = (self.sequences.start, self.skip_first);
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

    /// The cosines of every place with every other, from the directions `[batch * pos, place, d_model]`.
    fn push_cosines(&mut self, batch: usize, pos: usize) {
        let n_places = self.streams.len();
        let directions = |stream: Tensor<3>| {
            let norms = norm(stream.clone()).unsqueeze_dim::<3>(2);
            let [.., d_model] = stream.dims();
            (stream / norms).reshape([batch * pos, 1, d_model])
        };
        let directions = Tensor::cat(std::mem::take(&mut self.streams).into_iter().map(directions).collect(), 1);
        let cosines = directions.clone().matmul(directions.swap_dims(1, 2)); // [batch * pos, place, place]
        let cosines: Vec<f32> = cosines.try_into_vec_as().expect("any float");
        if self.cosine.is_empty() {
            self.cosine = vec![vec![PerSequence::default(); n_places]; n_places];
            self.angle = vec![vec![Moments::default(); n_places]; n_places];
        }
        for (row, of_row) in cosines.chunks(n_places * n_places).enumerate() {
            if row % pos < self.skip_first {
                continue;
            }
            for (pair, &cosine) in of_row.iter().enumerate() {
                let (a, b, cosine) = (pair / n_places, pair % n_places, f64::from(cosine));
                self.cosine[a][b].push(self.sequences.start + row / pos, cosine);
                self.angle[a][b].push(cosine.clamp(-1.0, 1.0).acos() / PI);
            }
        }
    }
}

impl Tap for Geometry {
    fn hooks(&self) -> Vec<Hook> {
        vec![Hook::ResidPre, Hook::AttnOut, Hook::MlpOut]
    }

    fn wants(&self, _site: Site, hook: Hook) -> bool {
        matches!(hook, Hook::ResidPre | Hook::AttnOut | Hook::MlpOut)
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Tensor<3>) -> Tensor<3> {
        match hook {
            Hook::AttnOut => self.push(|all| &mut all.attn_out_norm, site.layer, norm(activation.clone())),
            Hook::MlpOut => self.push(|all| &mut all.mlp_out_norm, site.layer, norm(activation.clone())),
            _ => {
                self.push(|all| &mut all.resid_norm, site.slot, norm(activation.clone()));
                self.streams.push(activation.clone());
            }
        }
        activation
    }
}

impl Observer for Geometry {
    fn begin(&mut self, sequences: Range<usize>) {
        self.sequences = sequences;
        self.streams.clear();
    }

    fn end(&mut self, resid: &Tensor<3>) {
        let [batch, pos, _] = resid.dims();
        self.push(|all| &mut all.resid_norm, self.streams.len(), norm(resid.clone()));
        self.streams.push(resid.clone());
        self.push_cosines(batch, pos);
    }
}
