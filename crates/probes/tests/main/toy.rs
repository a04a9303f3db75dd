//! A model whose residual stream is its logits, and scores of rows of logits against others.

use burn::tensor::{Device, Int, Tensor, TensorData};
use stratigraph_core::{ModelShape, ResidualModel, Result, Site, Tap, TokenWindows};
use stratigraph_probes::metrics::Metrics;
use stratigraph_probes::readout::Readout;
use stratigraph_probes::scores::Scores;

/// A model whose residual stream holds its logits, each repeated `d_model / d_vocab` times.
pub struct Toy {
    pub d_model: usize,
    pub d_vocab: usize,
    pub device: Device,
}

impl Toy {
    /// A model of `d_vocab` tokens whose residual stream is as wide.
    pub fn new(d_vocab: usize) -> Self {
        Self::on(d_vocab, &Device::flex())
    }

    /// The same on another device.
    pub fn on(d_vocab: usize, device: &Device) -> Self {
        Self { d_model: d_vocab, d_vocab, device: device.clone() }
    }

    /// The residual stream of one window, `[1, pos, d_model]`, that gives these logits.
    pub fn resid(&self, logits: &[Vec<f32>]) -> Tensor<3> {
        let rows = self.rows(logits);
        let [pos, width] = rows.dims();
        rows.reshape([1, pos, width])
    }

    /// The rows of a residual stream, `[rows, d_model]`, that give these logits.
    pub fn rows(&self, logits: &[Vec<f32>]) -> Tensor<2> {
        let times = self.d_model / self.d_vocab;
        let values: Vec<f32> = logits.iter().flatten().flat_map(|&x| std::iter::repeat_n(x, times)).collect();
        Tensor::from_data(TensorData::new(values, [logits.len(), self.d_model]), &self.device)
    }
}

impl ResidualModel for Toy {
    fn shape(&self) -> ModelShape {
        ModelShape::new(0, self.d_model, self.d_vocab)
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> Result<Tensor<3>> {
        let [batch, pos] = tokens.dims();
        Ok(Tensor::zeros([batch, pos, self.d_model], &self.device))
    }

    fn block(&self, _: Site, resid: Tensor<3>, _: &mut dyn Tap) -> Result<Tensor<3>> {
        Ok(resid)
    }

    fn final_norm(&self, rows: Tensor<2>) -> Result<Tensor<2>> {
        Ok(rows)
    }

    fn unembed(&self, rows: Tensor<2>, vocab: std::ops::Range<usize>) -> Result<Tensor<2>> {
        let times = self.d_model / self.d_vocab;
        let [n_rows, _] = rows.dims();
        let logits = rows.reshape([n_rows, self.d_vocab, times]).narrow(2, 0, 1).reshape([n_rows, self.d_vocab]);
        Ok(logits.slice_dim(1, vocab))
    }
}

/// One window of `d_vocab` tokens in which position `t` is followed by `next[t]`.
pub fn window(next: &[u32]) -> TokenWindows {
    let ids: Vec<u32> = std::iter::once(0).chain(next.iter().copied()).collect();
    TokenWindows::new(&ids, ids.len()).unwrap()
}

/// The scores of the logits `q` against `p`, by every metric of `metrics`; position `t` is followed by `next[t]`.
pub fn score(metrics: &Metrics, p: &[Vec<f32>], q: &[Vec<f32>], next: &[u32]) -> Scores {
    let toy = Toy::new(p[0].len());
    score_by(&Readout::new(&toy).with_metrics(metrics.clone()), p, q, next)
}

/// The same by a readout of a [`Toy`] of these logits.
pub fn score_by(readout: &Readout, p: &[Vec<f32>], q: &[Vec<f32>], next: &[u32]) -> Scores {
    let toy = Toy::new(p[0].len());
    let mut scores = [Scores::default(), Scores::default()];
    readout.compare(&window(next), 0..1, vec![toy.resid(q), toy.resid(p)], 1, &mut scores).unwrap();
    let [scores, _] = scores;
    scores
}

pub fn mean(scores: &Scores, metric: &str) -> f64 {
    scores.summary(metric).unwrap().mean
}

/// `n` rows of logits that look random, whole numbers where `coarse`, so that some tie.
pub fn rows(n: usize, d_vocab: usize, seed: f32, coarse: bool) -> Vec<Vec<f32>> {
    let logit = |row: usize, token: usize| {
        let x = ((row * d_vocab + token) as f32 * seed).sin() * 5.0;
        if coarse { x.round() } else { x }
    };
    (0..n).map(|row| (0..d_vocab).map(|token| logit(row, token)).collect()).collect()
}
