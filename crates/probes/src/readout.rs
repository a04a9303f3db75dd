//! From residual streams to scores: [`Readout`], tile by tile ([`Tiles`]).

use std::ops::Range;

use burn::tensor::{Int, Tensor, TensorData};
use stratigraph_core::{ResidualModel, TokenWindows};

use crate::device_rows::DeviceRows;
use crate::distributions::{Distributions, Reduction};
use crate::host_rows::HostRows;
use crate::{Metric, Result, Scores};

/// How much of `[row, vocabulary]` is held at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiles {
    /// Rows (positions) in a tile.
    pub rows: usize,
    /// Tokens of the vocabulary in a chunk.
    pub vocab: usize,
}

impl Tiles {
    /// Tiles of a usual size: chunks of at most 128 MiB.
    pub fn usual(d_vocab: usize) -> Self {
        Self::fitting(d_vocab, 128 << 20)
    }

    /// Tiles whose chunks of logits take at most `bytes` each: the whole vocabulary in a chunk where that leaves at
    /// least 16 rows, parts of it otherwise.
    pub fn fitting(d_vocab: usize, bytes: usize) -> Self {
        const FEWEST_ROWS: usize = 16;
        let elements = (bytes / size_of::<f32>()).max(1);
        let rows = (elements / d_vocab).max(FEWEST_ROWS.min(elements));
        Self { rows, vocab: (elements / rows).clamp(1, d_vocab) }
    }
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
/// # use stratigraph_core::{ResidualModel, Site, Tap, TokenWindows};
/// # struct Toy(Tensor<2>);
/// # impl ResidualModel for Toy {
/// #     fn n_layers(&self) -> usize { 1 }
/// #     fn d_model(&self) -> usize { 4 }
/// #     fn d_vocab(&self) -> usize { 4 }
/// #     fn device(&self) -> Device { self.0.device() }
/// #     fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
/// #         let [batch, pos] = tokens.dims();
/// #         self.0.clone().select(0, tokens.reshape([batch * pos])).reshape([batch, pos, 4])
/// #     }
/// #     fn block(&self, _: Site, resid: Tensor<3>, _: &mut dyn Tap) -> Tensor<3> { resid * 2.0 }
/// #     fn unembed(&self, rows: Tensor<2>, vocab: std::ops::Range<usize>) -> Tensor<2> { rows.slice_dim(1, vocab) }
/// # }
/// # let model = Toy(Tensor::eye(4, &Device::flex()));
/// use stratigraph_probes::{Metric, Readout, Scores};
///
/// let windows = TokenWindows::new(&[0, 1, 2, 3], 4)?;
/// let before = model.embed(windows.batch(0..1, &model.device()));
/// let after = stratigraph_core::forward(&model, windows.batch(0..1, &model.device()), &mut stratigraph_core::NoTap)?;
/// let mut scores = [Scores::default()];
/// Readout::new(&model).compare(&windows, 0..1, &after, &[before], &mut scores)?;
/// assert!(scores[0].summary(Metric::Kl).mean > 0.0);
/// assert_eq!(scores[0].summary(Metric::Top1Agreement).mean, 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Readout<'a> {
    model: &'a dyn ResidualModel,
    tiles: Tiles,
    reduction: Reduction,
}

impl<'a> Readout<'a> {
    /// A readout with tiles of a usual size, and the reduction that suits the model's device.
    pub fn new(model: &'a dyn ResidualModel) -> Self {
        let reduction = Reduction::suited_to(&model.device());
        Self { model, tiles: Tiles::usual(model.d_vocab()), reduction }
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

    /// Compares the residual streams `others` with the clean one, `[batch, pos, d_model]` each, which all belong to the
    /// windows `sequences` of the corpus, and adds every metric of each position to the other's scores.
    ///
    /// The clean distributions of a tile are computed once and serve all others.
    ///
    /// # Errors
    /// When a metric is not finite.
    ///
    /// # Panics
    /// When shapes or lengths do not fit each other, or the windows not the model.
    pub fn compare(
        &self,
        windows: &TokenWindows,
        sequences: Range<usize>,
        clean: &Tensor<3>,
        others: &[Tensor<3>],
        scores: &mut [Scores],
    ) -> Result<()> {
        assert_eq!(
            clean.dims()[..2],
            [sequences.len(), windows.seq_len()],
            "the residual streams are of other windows"
        );
        assert!(others.iter().all(|other| other.dims() == clean.dims()), "the residual streams are of one shape");
        assert_eq!(others.len(), scores.len(), "there are as many scores as residual streams");
        windows.check(self.model).expect("the windows are the model's");
        let rows = sequences.start * windows.seq_len()..sequences.end * windows.seq_len();
        let corpus = Tile { windows, rows };
        match self.reduction {
            Reduction::Host => self.compare_tiles::<HostRows>(&corpus, clean, others, scores),
            Reduction::Device => self.compare_tiles::<DeviceRows>(&corpus, clean, others, scores),
        }
    }

    /// The most likely token of each row `[rows, d_model]` of a residual stream, the lowest id on ties.
    pub fn top1(&self, rows: Tensor<2>) -> Vec<usize> {
        let [n_rows, _] = rows.dims();
        let tile = |start: usize| {
            let range = start..(start + self.tiles.rows).min(n_rows);
            let tile = rows.clone().slice([range]);
            match self.reduction {
                Reduction::Host => HostRows::read(self.model, tile, self.tiles.vocab).top1(),
                Reduction::Device => DeviceRows::read(self.model, tile, self.tiles.vocab).top1(),
            }
        };
        (0..n_rows).step_by(self.tiles.rows).flat_map(tile).collect()
    }

    /// Scores one token at each of some rows of the residual stream `[batch, pos, d_model]`, counted through all its
    /// positions; only these rows are read out. What is not a number stays one.
    ///
    /// # Panics
    /// When there is no such row or token, or not a token for each row.
    pub fn of_tokens(&self, resid: &Tensor<3>, rows: &[usize], tokens: &[usize]) -> Vec<TokenScore> {
        assert_eq!(rows.len(), tokens.len(), "there is a token for each row");
        match self.reduction {
            Reduction::Host => self.tokens_in_tiles::<HostRows>(resid, rows, tokens),
            Reduction::Device => self.tokens_in_tiles::<DeviceRows>(resid, rows, tokens),
        }
    }

    fn tokens_in_tiles<D: Distributions>(
        &self,
        resid: &Tensor<3>,
        rows: &[usize],
        tokens: &[usize],
    ) -> Vec<TokenScore> {
        let [batch, pos, d_model] = resid.dims();
        let all = resid.clone().reshape([batch * pos, d_model]);
        let mut scores = Vec::with_capacity(rows.len());
        for (rows, tokens) in rows.chunks(self.tiles.rows).zip(tokens.chunks(self.tiles.rows)) {
            let index: Vec<i32> = rows.iter().map(|&row| i32::try_from(row).expect("a row fits 31 bits")).collect();
            let index = Tensor::<1, Int>::from_data(TensorData::new(index, [rows.len()]), &resid.device());
            let q = D::read(self.model, all.clone().select(0, index), self.tiles.vocab);
            let found = q.of_tokens(tokens).into_iter().zip(q.top1()).zip(tokens);
            scores.extend(found.map(|((log_prob, top1), &token)| TokenScore { log_prob, is_top1: top1 == token }));
        }
        scores
    }

    fn compare_tiles<D: Distributions>(
        &self,
        corpus: &Tile,
        clean: &Tensor<3>,
        others: &[Tensor<3>],
        scores: &mut [Scores],
    ) -> Result<()> {
        let n_rows = corpus.rows.len();
        for start in (0..n_rows).step_by(self.tiles.rows) {
            let rows = start..(start + self.tiles.rows).min(n_rows);
            let p: D = self.read(clean, &rows);
            let first = corpus.rows.start;
            let tile = Tile { windows: corpus.windows, rows: first + rows.start..first + rows.end };
            for (other, scores) in others.iter().zip(scores.iter_mut()) {
                tile.score(&p, &self.read(other, &rows), scores)?;
            }
        }
        Ok(())
    }

    /// The distributions of some rows of a residual stream `[batch, pos, d_model]`.
    fn read<D: Distributions>(&self, resid: &Tensor<3>, rows: &Range<usize>) -> D {
        let [batch, pos, d_model] = resid.dims();
        let rows = resid.clone().reshape([batch * pos, d_model]).slice([rows.clone()]);
        D::read(self.model, rows, self.tiles.vocab)
    }
}

/// Rows of a corpus, counted through all its windows.
struct Tile<'a> {
    windows: &'a TokenWindows,
    rows: Range<usize>,
}

impl Tile<'_> {
    /// Adds every metric of each row.
    fn score<D: Distributions>(&self, p: &D, q: &D, scores: &mut Scores) -> Result<()> {
        let next = self.next_tokens();
        let (p_top1, q_top1) = (p.top1(), q.top1());
        let fraction = |yes: bool| f64::from(u8::from(yes));
        for metric in Metric::ALL {
            let values: Vec<f64> = match metric {
                Metric::Kl => p.kl(q),
                Metric::EntropyBits => q.entropy_bits(),
                Metric::Nll => q.of_tokens(&next).into_iter().map(|log_prob| -log_prob).collect(),
                Metric::Top1Agreement => p_top1.iter().zip(&q_top1).map(|(p, q)| fraction(p == q)).collect(),
                Metric::Accuracy => next.iter().zip(&q_top1).map(|(next, top1)| fraction(next == top1)).collect(),
            };
            for (row, value) in self.rows.clone().zip(values) {
                let (sequence, position) = (row / self.windows.seq_len(), row % self.windows.seq_len());
                if !(metric.needs_next_token() && self.is_last(row)) {
                    scores.push(metric, sequence, position, value)?;
                }
            }
        }
        Ok(())
    }

    /// The token after each row; any token after the last of a window.
    fn next_tokens(&self) -> Vec<usize> {
        let ids = self.windows.ids();
        self.rows.clone().map(|row| if self.is_last(row) { 0 } else { ids[row + 1] as usize }).collect()
    }

    fn is_last(&self, row: usize) -> bool {
        (row + 1).is_multiple_of(self.windows.seq_len())
    }
}
