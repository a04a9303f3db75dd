//! What the fit of a tuned lens reads: residual streams of windows, [`Streams`], their [`Scales`], and KL divergences of two
//! lenses on held-out windows, [`held_out_kl`].

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use stratigraph_core::{ActivationCache, Hook, ResidualModel, RunModel, TokenWindows};
use stratigraph_probes::lens::{FittedLens, Lens, LensReading, ReadStream};
use stratigraph_probes::metrics::{Kl, Metrics};
use stratigraph_probes::readout::Readout;
use stratigraph_probes::scores::Scores;

use crate::Result;

/// The residual streams of some windows, before each layer and after the last.
pub(super) struct Streams {
    /// `[batch, pos, d_model]` each.
    all: Vec<Tensor<3>>,
    /// The first position whose prediction counts.
    scored_from: usize,
}

impl Streams {
    pub(super) fn of(model: &dyn ResidualModel, windows: &TokenWindows, sequences: Range<usize>) -> Result<Self> {
        let mut cache = ActivationCache::at([Hook::ResidPre]);
        let last = model.forward(windows.batch(sequences, &model.device()), &mut cache)?;
        let before = (0..model.n_layers()).map(|layer| cache.tensor(Hook::ResidPre.at(layer)));
        let all = before.chain([Ok(last)]).collect::<stratigraph_core::Result<_>>()?;
        Ok(Self { all, scored_from: windows.scored_from() })
    }

    /// The rows at a residual position whose predictions count, `[rows, d_model]`.
    pub(super) fn rows(&self, position: usize) -> Tensor<2> {
        let [batch, pos, width] = self.all[position].dims();
        let n = pos - self.scored_from;
        self.all[position].clone().narrow(1, self.scored_from, n).reshape([batch * n, width])
    }
}

/// The mean and the standard deviation of each unit of the residual stream, `[d_model]` each.
#[derive(Clone)]
pub(super) struct Scales {
    pub(super) mean: Vec<f64>,
    pub(super) deviation: Vec<f64>,
}

/// The scales at each residual position, over some windows one after the other.
pub(super) fn scales(
    model: &dyn ResidualModel,
    windows: &TokenWindows,
    sequences: impl Iterator<Item = usize>,
) -> Result<Vec<Scales>> {
    let width = model.d_model();
    let mut sums = vec![[vec![0.0; width], vec![0.0; width]]; model.n_layers() + 1];
    let mut n = 0.0;
    for sequence in sequences {
        let streams = Streams::of(model, windows, sequence..sequence + 1)?;
        n += (windows.seq_len() - windows.scored_from()) as f64;
        for (position, [sum, squares]) in sums.iter_mut().enumerate() {
            let rows: Vec<f32> = streams.rows(position).try_into_vec_as().expect("any float");
            for (at, x) in rows.into_iter().map(f64::from).enumerate() {
                sum[at % width] += x;
                squares[at % width] += x * x;
            }
        }
    }
    let scale = |[sum, squares]: [Vec<f64>; 2]| {
        let mean: Vec<f64> = sum.iter().map(|sum| sum / n).collect();
        let variance = squares.iter().zip(&mean).map(|(squares, mean)| squares / n - mean * mean);
        // A unit that hardly changes has no scale of its own.
        let deviation = variance.map(|variance| variance.max(0.0).sqrt().max(1e-6)).collect();
        Scales { mean, deviation }
    };
    Ok(sums.into_iter().map(scale).collect())
}

/// The mean KL divergence of two lenses at each residual position before the last, over some windows.
pub(super) fn held_out_kl(
    model: &dyn ResidualModel,
    windows: &TokenWindows,
    sequences: &[usize],
    lenses: [&Arc<FittedLens>; 2],
) -> Result<[Vec<f64>; 2]> {
    let n_layers = model.n_layers();
    let readout = Readout::new(model).with_metrics(Metrics::new().with(Kl)?);
    let mut scores = vec![Scores::default(); 2 * n_layers + 1];
    for &sequence in sequences {
        let streams = Streams::of(model, windows, sequence..sequence + 1)?;
        let read = |lens: &Arc<FittedLens>, position: usize| {
            let lens: Arc<dyn Lens> = lens.clone();
            ReadStream::new(streams.all[position].clone(), Some(LensReading::new(lens, position)))
        };
        let read = lenses.iter().flat_map(|lens| (0..n_layers).map(move |position| read(lens, position)));
        let all: Vec<_> = read.chain([ReadStream::from(streams.all[n_layers].clone())]).collect();
        readout.compare(windows, sequence..sequence + 1, all, 2 * n_layers, &mut scores)?;
    }
    let of = |lens: usize| -> Result<Vec<f64>> {
        scores[lens * n_layers..][..n_layers].iter().map(|scores| Ok(scores.summary("kl")?.mean)).collect()
    };
    Ok([of(0)?, of(1)?])
}
