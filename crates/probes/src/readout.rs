//! From residual streams to scores: [`Readout`], tile by tile ([`Tiles`]).

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};
use stratigraph_core::{Lanes, ResidualModel, TokenWindows, lies_in_host_memory};

use crate::device_rows::DeviceRows;
use crate::host_rows::HostRows;
use crate::reduction::{Reduce, Reduced, Reduction};
use crate::tile::Tile;
use crate::work::{Found, Work};
use crate::{Result, ScoreSink};

/// How much of `[row, vocabulary]` is held at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiles {
    /// Rows (positions) in a tile.
    pub rows: usize,
    /// Tokens of the vocabulary in a chunk.
    pub vocab: usize,
}

impl Tiles {
    /// Tiles of a usual size for a model: 2 MiB on a CPU, which its caches hold for every core, and 128 MiB on any other device,
    /// which every graphics adapter grants.
    pub fn usual(model: &dyn ResidualModel) -> Self {
        Self::fitting(model.d_vocab(), usual_bytes(&model.device()))
    }

    /// Tiles of at most `bytes` of logits each. Matrix products want many rows and many tokens: there are 512 rows at
    /// least where that leaves as many tokens, and more where all of the vocabulary fits beside them.
    pub fn fitting(d_vocab: usize, bytes: usize) -> Self {
        const ROWS: usize = 512;
        let elements = (bytes / size_of::<f32>()).max(1);
        let rows = (elements / d_vocab).max(ROWS.min(elements.isqrt()));
        Self { rows, vocab: (elements / rows).clamp(1, d_vocab) }
    }
}

fn usual_bytes(device: &Device) -> usize {
    if lies_in_host_memory(device) { 2 << 20 } else { 128 << 20 }
}

/// How likely a token is at a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenScore {
    /// Its log-probability, in nats.
    pub log_prob: f64,
    /// Whether it is the most likely token, the lowest id on ties.
    pub is_top1: bool,
}

/// Reads residual streams out into next-token distributions and scores them against the clean one.
///
/// ```
/// # use burn::tensor::{Device, Int, Tensor};
/// # use stratigraph_core::{ModelShape, ResidualModel, Result, RunModel, Site, Tap, TokenWindows};
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
/// #     fn unembed(&self, rows: Tensor<2>, vocab: std::ops::Range<usize>) -> Result<Tensor<2>> { Ok(rows.slice_dim(1, vocab)) }
/// # }
/// # let model = Toy(Tensor::eye(4, &Device::flex()));
/// use stratigraph_probes::{Metric, Readout, Scores};
///
/// let windows = TokenWindows::new(&[0, 1, 2, 3], 4)?;
/// let before = model.embed(windows.batch(0..1, &model.device()))?;
/// let after = model.forward(windows.batch(0..1, &model.device()), &mut stratigraph_core::NoTap)?;
/// let mut scores = [Scores::default(), Scores::default()];
/// Readout::new(&model).compare(&windows, 0..1, vec![before, after], 1, &mut scores)?;
/// assert!(scores[0].summary(Metric::Kl).mean > 0.0);
/// assert_eq!(scores[0].summary(Metric::Top1Agreement).mean, 1.0);
/// assert_eq!(scores[1].summary(Metric::Kl).mean, 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Readout<'a> {
    model: &'a dyn ResidualModel,
    tiles: Tiles,
    reduction: Reduction,
    lanes: Lanes,
}

impl<'a> Readout<'a> {
    /// A readout with tiles of a usual size, and the reduction that suits the model's device.
    pub fn new(model: &'a dyn ResidualModel) -> Self {
        let device = model.device();
        let reduction = Reduction::suited_to(&device);
        Self { model, tiles: Tiles::usual(model), reduction, lanes: Lanes::of(&device, usize::MAX) }
    }

    /// With another reduction; scores do not depend on it beyond rounding.
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// With other tiles; scores do not depend on them beyond rounding.
    ///
    /// # Panics
    /// When a tile is empty.
    pub fn with_tiles(mut self, tiles: Tiles) -> Self {
        assert!(tiles.rows > 0 && tiles.vocab > 0, "a tile holds something");
        self.tiles = tiles;
        self
    }

    /// With tiles, on as many lanes, as stay within so many bytes together; scores do not depend on it beyond rounding.
    pub fn with_bytes(self, bytes: usize) -> Self {
        /// Logits that are worth a lane of their own.
        const LEAST: usize = 1 << 20;
        /// A tile's logits, the clean logits and their exponentials.
        const TILES: usize = 3;
        let device = self.model.device();
        let lanes = Lanes::of(&device, (bytes / (TILES * LEAST)).max(1));
        let each = (bytes / (TILES * lanes.n_lanes())).min(usual_bytes(&device));
        let tiles = Tiles::fitting(self.model.d_vocab(), each);
        Self { lanes, ..self }.with_tiles(tiles)
    }

    /// Compares residual streams `[batch, pos, d_model]` of the windows `sequences` of the corpus with the one of them that is
    /// `clean`, and hands every metric of each position to the stream's scores. They are taken, since each is normed in its place.
    ///
    /// The clean distributions of a tile are computed once and serve all others.
    ///
    /// # Errors
    /// When a metric is not finite.
    ///
    /// # Panics
    /// When shapes or lengths do not fit each other, the windows not the model, or there is no stream `clean`.
    pub fn compare<S: ScoreSink>(
        &self,
        windows: &TokenWindows,
        sequences: Range<usize>,
        residuals: Vec<Tensor<3>>,
        clean: usize,
        scores: &mut [S],
    ) -> Result<()> {
        let [batch, seq_len, d_model] = residuals[clean].dims();
        assert_eq!([batch, seq_len], [sequences.len(), windows.seq_len()], "the residual streams are of other windows");
        let alike = |resid: &Tensor<3>| resid.dims() == [batch, seq_len, d_model];
        assert!(residuals.iter().all(alike), "the residual streams are of one shape");
        assert_eq!(residuals.len(), scores.len(), "there are as many scores as residual streams");
        windows.check(self.model).expect("the windows are the model's");
        let normed =
            |resid: Tensor<3>| self.model.final_norm(resid.reshape([batch * seq_len, d_model])).expect("temporary");
        let normed = self.lanes.map(residuals, normed);
        let tile = |start: usize| Tile {
            windows,
            first: sequences.start * seq_len,
            rows: start..(start + self.tiles.rows).min(batch * seq_len),
        };
        let tiles: Vec<_> = (0..batch * seq_len).step_by(self.tiles.rows).map(tile).collect();
        let work = tiles.iter().map(|tile| {
            let rows = |normed: &Tensor<2>| normed.clone().slice([tile.rows.clone()]);
            Work { normed: normed.iter().map(rows).collect(), clean: Some(clean), tokens: tile.next_tokens() }
        });
        for (tile, reduced) in tiles.iter().zip(self.reduce(work)) {
            for (other, scores) in reduced.iter().zip(scores.iter_mut()) {
                tile.score(&reduced[clean], other, scores)?;
            }
        }
        Ok(())
    }

    /// The most likely token of each row `[rows, d_model]` of a residual stream, the lowest id on ties.
    /// # Errors
    /// When the model fails.
    pub fn top1(&self, rows: Tensor<2>) -> Result<Vec<u32>> {
        let [n_rows, _] = rows.dims();
        let any_token = vec![0; n_rows];
        Ok(self.alone(&rows, None, &any_token).map(|row| row.top1 as u32).collect())
    }

    /// Scores one token at each of some rows of the residual stream `[batch, pos, d_model]`, counted through all its
    /// positions; only these rows are read out. What is not a number stays one.
    ///
    /// # Panics
    /// When there is no such row or token, or not a token for each row.
    pub fn of_tokens(&self, resid: &Tensor<3>, rows: &[usize], tokens: &[usize]) -> Vec<TokenScore> {
        assert_eq!(rows.len(), tokens.len(), "there is a token for each row");
        let d_vocab = self.model.d_vocab();
        assert!(tokens.iter().all(|&token| token < d_vocab), "a token of a vocabulary of {d_vocab}");
        let [batch, pos, d_model] = resid.dims();
        let all = resid.clone().reshape([batch * pos, d_model]);
        let reduced = self.alone(&all, Some(rows), tokens);
        let score =
            |(row, &token): (Reduced, &usize)| TokenScore { log_prob: row.log_prob(), is_top1: row.top1 == token };
        reduced.zip(tokens).map(score).collect()
    }

    /// Reduces some rows of a residual stream, or all of them, with a token each.
    fn alone(&self, resid: &Tensor<2>, rows: Option<&[usize]>, tokens: &[usize]) -> impl Iterator<Item = Reduced> {
        let work = (0..tokens.len()).step_by(self.tiles.rows).map(|start| {
            let range = start..(start + self.tiles.rows).min(tokens.len());
            let some = match rows {
                Some(rows) => resid.clone().select(0, indices(&rows[range.clone()], &resid.device())),
                None => resid.clone().slice([range.clone()]),
            };
            Work {
                normed: vec![self.model.final_norm(some).expect("temporary")],
                clean: None,
                tokens: tokens[range].to_vec(),
            }
        });
        self.reduce(work).into_iter().flat_map(|mut reduced| reduced.remove(0))
    }

    fn reduce(&self, work: impl Iterator<Item = Work>) -> Vec<Vec<Vec<Reduced>>> {
        match self.reduction {
            Reduction::Host => self.reduce_by::<HostRows>(work),
            Reduction::Device => self.reduce_by::<DeviceRows>(work),
        }
    }

    /// Reduces each residual stream of each piece of work, `[work][stream][row]`.
    fn reduce_by<R: Reduce>(&self, work: impl Iterator<Item = Work>) -> Vec<Vec<Vec<Reduced>>> {
        /// Parts of the vocabulary for each lane, so that none waits long for the others.
        const PARTS_EACH: usize = 4;
        let d_vocab = self.model.d_vocab();
        let starts = (0..d_vocab).step_by(self.tiles.vocab);
        let ranges: Vec<_> = starts.map(|start| start..(start + self.tiles.vocab).min(d_vocab)).collect();
        let part = ranges.len().div_ceil(PARTS_EACH * self.lanes.n_lanes());
        let (mut found, mut unread) = (Vec::new(), Vec::new());
        for work in work {
            let reduce = |part: &[Range<usize>]| {
                let (mut found, mut unread) = (Found::default(), Vec::new());
                for range in part {
                    let sums = work.reduce_tile::<R>(self.model, range);
                    if R::READ_TOGETHER {
                        unread.extend(sums);
                    } else {
                        found.join(Found::of(range, R::read(sums), &work.tokens));
                    }
                }
                (found, unread)
            };
            let mut all = Found::default();
            for (part, sums) in self.lanes.map(ranges.chunks(part).collect(), reduce) {
                all.join(part);
                unread.extend(sums);
            }
            found.push((all, work.normed.len(), work.tokens));
        }
        if R::READ_TOGETHER {
            let mut parts = R::read(unread).into_iter();
            for (all, n_streams, tokens) in &mut found {
                for range in &ranges {
                    all.join(Found::of(range, parts.by_ref().take(*n_streams).collect(), tokens));
                }
            }
        }
        found.into_iter().map(|(all, ..)| all.rows).collect()
    }
}

fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.iter().map(|&row| i32::try_from(row).expect("a row fits 31 bits")).collect();
    let n = rows.len();
    Tensor::from_data(TensorData::new(rows, [n]), device)
}
