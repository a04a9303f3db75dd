//! From residual streams to next-token distributions, tile by tile: [`Readout`], compared with a [`Clean`] one.

mod batch;
mod batch_rows;
mod clean;
mod comparison;
mod device_rows;
mod full_rows;
mod host_rows;
#[cfg(feature = "wgpu")]
mod kernel;
mod reduction;
mod tiles;
mod tokens;
mod top_k;

use std::ops::Range;

use stratigraph_core::{ResidualModel, TokenWindows, WorkerPools};

use batch::{PartialStatistics, ReadoutBatch};
use comparison::Comparison;
pub(crate) use comparison::check_shape;
use device_rows::DeviceRows;
pub(crate) use device_rows::begun;
use host_rows::HostRows;
#[cfg(feature = "wgpu")]
use kernel::KernelRows;
use reduction::Reduce;
use tiles::usual_bytes;

pub use clean::Clean;
pub use reduction::Reduction;
pub(crate) use reduction::RowSums;
pub use tiles::Tiles;
pub(crate) use tokens::indices;
pub use tokens::{TokenScore, TopToken};
pub(crate) use top_k::TopK;

use crate::lens::ReadStream;
use crate::metrics::Metrics;
use crate::scores::ScoreSink;
use crate::{ProbeError, Result};

/// Reads residual streams out into next-token distributions and scores them against the clean one.
///
/// ```
/// # use std::ops::Range;
/// # use burn::tensor::{Device, Int, Tensor};
/// # use stratigraph_core::{ModelShape, ResidualModel, Result, RunModel, Site, Tap, TokenWindows, NoTap};
/// # struct Toy(Tensor<2>);
/// # impl ResidualModel for Toy {
/// #     fn shape(&self) -> ModelShape { ModelShape::new(1, 4, 4) }
/// #     fn device(&self) -> Device { self.0.device() }
/// #     fn embed(&self, tokens: Tensor<2, Int>) -> Result<Tensor<3>> {
/// #         let [batch, pos] = tokens.dims();
/// #         Ok(self.0.clone().select(0, tokens.reshape([batch * pos])).reshape([batch, pos, 4]))
/// #     }
/// #     fn block(&self, _: Site, resid: Tensor<3>, _: &mut dyn Tap) -> Result<Tensor<3>> { Ok(resid * 2.0) }
/// #     fn final_norm(&self, rows: Tensor<2>) -> Result<Tensor<2>> { Ok(rows) }
/// #     fn unembed(&self, rows: Tensor<2>, vocab: Range<usize>) -> Result<Tensor<2>> { Ok(rows.slice_dim(1, vocab)) }
/// # }
/// # let model = Toy(Tensor::eye(4, &Device::flex()));
/// use stratigraph_probes::readout::Readout;
/// use stratigraph_probes::scores::Scores;
///
/// let windows = TokenWindows::new(&[0, 1, 2, 3], 4)?;
/// let before = model.embed(windows.batch(0..1, &model.device()))?;
/// let after = model.forward(windows.batch(0..1, &model.device()), &mut NoTap)?;
/// let mut scores = [Scores::default(), Scores::default()];
/// Readout::new(&model).compare(&windows, 0..1, vec![before, after], 1, &mut scores)?;
/// assert!(scores[0].summary("kl")?.mean > 0.0);
/// assert_eq!(scores[0].summary("top1_agreement")?.mean, 1.0);
/// assert_eq!(scores[1].summary("kl")?.mean, 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Readout<'a> {
    model: &'a dyn ResidualModel,
    metrics: Metrics,
    tiles: Tiles,
    reduction: Reduction,
    pools: WorkerPools,
    /// How much the second pass, over whole rows of logits, may hold.
    row_bytes: usize,
}

impl<'a> Readout<'a> {
    /// A readout of the default metrics, with tiles of a usual size and the reduction that suits the model's device.
    pub fn new(model: &'a dyn ResidualModel) -> Self {
        const ROW_BYTES: usize = 256 << 20;
        let device = model.device();
        Self {
            model,
            metrics: Metrics::default(),
            tiles: Tiles::usual(model),
            reduction: Reduction::suited_to(&device),
            pools: WorkerPools::for_device(&device, usize::MAX),
            row_bytes: ROW_BYTES,
        }
    }

    /// With other metrics.
    pub fn with_metrics(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// With another reduction; scores do not depend on it beyond rounding.
    pub fn with_reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// With other tiles; scores do not depend on them beyond rounding. Reading out refuses tiles without rows or tokens.
    pub fn with_tiles(self, tiles: Tiles) -> Self {
        Self { tiles, ..self }
    }

    /// With tiles and worker pools that stay within `bytes` together; scores do not depend on it beyond rounding.
    ///
    /// Metrics that need whole rows of logits hold one row for each pool at least.
    pub fn with_bytes(self, bytes: usize) -> Self {
        /// The fewest logits for which another pool pays off.
        const LEAST: usize = 1 << 20;
        /// A tile's logits, the clean logits and their exponentials.
        const TILES: usize = 3;
        let device = self.model.device();
        let pools = WorkerPools::for_device(&device, (bytes / (TILES * LEAST)).max(1));
        let each = (bytes / (TILES * pools.n_pools())).min(usual_bytes(&device));
        let tiles = Tiles::fitting(self.model.d_vocab(), each);
        Self { pools, tiles, row_bytes: bytes, ..self }
    }

    /// The model whose residual streams it reads.
    pub fn model(&self) -> &'a dyn ResidualModel {
        self.model
    }

    /// What it measures.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Compares residual streams `[batch, pos, d_model]` of the windows `sequences` of the corpus with a clean one, and
    /// hands the values of every metric at each position that [counts](TokenWindows::scored_from) to the stream's scores. The streams are consumed, since each
    /// is normed in place. The clean one is among them, given by its index, or comes from another model
    /// ([`Clean::other`]). A [`ReadStream`] may be read by a lens.
    ///
    /// The clean distributions of a tile are computed once and serve all others.
    ///
    /// # Errors
    /// When windows, streams and scores do not fit each other or the model, there is no such clean stream, the other model
    /// has another vocabulary, a metric is not defined on the vocabulary, the scores are of other metrics, or a value is
    /// not finite.
    pub fn compare<'c, S: ScoreSink>(
        &'c self,
        windows: &'c TokenWindows,
        sequences: Range<usize>,
        residuals: Vec<impl Into<ReadStream>>,
        clean: impl Into<Clean<'c>>,
        scores: &mut [S],
    ) -> Result<()> {
        let residuals = residuals.into_iter().map(Into::into).collect();
        Comparison::new(self, windows, sequences, residuals, clean.into())?.score(scores)
    }

    /// Refuses tiles that hold nothing.
    fn check_tiles(&self) -> Result<()> {
        let Tiles { rows, vocab } = self.tiles;
        if rows > 0 && vocab > 0 { Ok(()) } else { Err(ProbeError::EmptyTiles { rows, vocab }) }
    }

    pub(crate) fn reduce<'b>(
        &self,
        batches: impl Iterator<Item = Result<ReadoutBatch<'b>>>,
    ) -> Result<Vec<Vec<Vec<RowSums>>>> {
        match self.reduction {
            Reduction::Host => self.reduce_by::<HostRows>(batches),
            #[cfg(feature = "wgpu")]
            Reduction::Device if kernel::runs_on(&self.model.device()) => self.reduce_by::<KernelRows>(batches),
            Reduction::Device => self.reduce_by::<DeviceRows>(batches),
        }
    }

    /// Reduces each residual stream of each batch, `[batch][stream][row]`.
    fn reduce_by<'b, R: Reduce>(
        &self,
        batches: impl Iterator<Item = Result<ReadoutBatch<'b>>>,
    ) -> Result<Vec<Vec<Vec<RowSums>>>> {
        /// Parts of the vocabulary for each pool, so that no pool waits long for the others.
        const PARTS_EACH: usize = 4;
        let d_vocab = self.model.d_vocab();
        let starts = (0..d_vocab).step_by(self.tiles.vocab);
        let ranges: Vec<_> = starts.map(|start| start..(start + self.tiles.vocab).min(d_vocab)).collect();
        let part = ranges.len().div_ceil(PARTS_EACH * self.pools.n_pools());
        let (mut found, mut unread) = (Vec::new(), Vec::new());
        for batch in batches {
            let batch = batch?;
            let reduce = |part: &[Range<usize>]| {
                let (mut found, mut unread) = (PartialStatistics::default(), Vec::new());
                for range in part {
                    let sums = batch.reduce_tile::<R>(range)?;
                    if R::READ_TOGETHER {
                        unread.extend(sums);
                    } else {
                        found.join(PartialStatistics::of(range, R::read(sums), &batch.tokens));
                    }
                }
                Ok::<_, ProbeError>((found, unread))
            };
            let mut all = PartialStatistics::default();
            for reduced in self.pools.map(ranges.chunks(part).collect(), reduce) {
                let (part, sums) = reduced?;
                all.join(part);
                unread.extend(sums);
            }
            found.push((all, batch.streams.len(), batch.tokens));
        }
        if R::READ_TOGETHER {
            let mut parts = R::read(unread).into_iter();
            for (all, n_streams, tokens) in &mut found {
                for range in &ranges {
                    all.join(PartialStatistics::of(range, parts.by_ref().take(*n_streams).collect(), tokens));
                }
            }
        }
        Ok(found.into_iter().map(|(all, ..)| all.rows).collect())
    }
}
