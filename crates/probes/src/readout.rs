//! From residual streams to scores: [`Readout`], tile by tile ([`Tiles`]).

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};
use stratigraph_core::{Lanes, ResidualModel, TokenWindows, lies_in_host_memory};

use crate::device_rows::DeviceRows;
use crate::host_rows::HostRows;
use crate::reduction::{Part, Reduce, Reduced, Reduction};
use crate::tile::Tile;
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
    /// Tiles of a usual size for a model: 16 MiB on a CPU, where they lie in its cache, and 128 MiB on any other device, which
    /// every graphics adapter grants.
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
    if lies_in_host_memory(device) { 16 << 20 } else { 128 << 20 }
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

    /// Compares the residual streams `others` with the clean one, `[batch, pos, d_model]` each, which all belong to the
    /// windows `sequences` of the corpus, and hands every metric of each position to the other's scores.
    ///
    /// The clean distributions of a tile are computed once and serve all others.
    ///
    /// # Errors
    /// When a metric is not finite.
    ///
    /// # Panics
    /// When shapes or lengths do not fit each other, or the windows not the model.
    pub fn compare<S: ScoreSink>(
        &self,
        windows: &TokenWindows,
        sequences: Range<usize>,
        clean: &Tensor<3>,
        others: &[Tensor<3>],
        scores: &mut [S],
    ) -> Result<()> {
        let [batch, seq_len, d_model] = clean.dims();
        assert_eq!([batch, seq_len], [sequences.len(), windows.seq_len()], "the residual streams are of other windows");
        assert!(others.iter().all(|other| other.dims() == clean.dims()), "the residual streams are of one shape");
        assert_eq!(others.len(), scores.len(), "there are as many scores as residual streams");
        windows.check(self.model).expect("the windows are the model's");
        let flat = |resid: &Tensor<3>| resid.clone().reshape([batch * seq_len, d_model]);
        let resids: Vec<_> = std::iter::once(clean).chain(others).map(flat).collect();
        let tile = |start: usize| Tile {
            windows,
            first: sequences.start * seq_len,
            rows: start..(start + self.tiles.rows).min(batch * seq_len),
        };
        let tiles: Vec<_> = (0..batch * seq_len).step_by(self.tiles.rows).map(tile).collect();
        let work = tiles.iter().map(|tile| {
            let rows = |resid: &Tensor<2>| resid.clone().slice([tile.rows.clone()]);
            Work { resids: resids.iter().map(rows).collect(), against_first: true, tokens: tile.next_tokens() }
        });
        for (tile, mut reduced) in tiles.iter().zip(self.reduce(work)) {
            let clean = reduced.remove(0);
            for (reduced, scores) in reduced.iter().zip(scores.iter_mut()) {
                tile.score(&clean, reduced, scores)?;
            }
        }
        Ok(())
    }

    /// The most likely token of each row `[rows, d_model]` of a residual stream, the lowest id on ties.
    pub fn top1(&self, rows: Tensor<2>) -> Vec<usize> {
        let [n_rows, _] = rows.dims();
        let any_token = vec![0; n_rows];
        self.alone(&rows, None, &any_token).map(|row| row.top1).collect()
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
            Work { resids: vec![some], against_first: false, tokens: tokens[range].to_vec() }
        });
        self.reduce(work).into_iter().flat_map(|mut reduced| reduced.remove(0))
    }

    fn reduce(&self, work: impl Iterator<Item = Work>) -> Vec<Vec<Vec<Reduced>>> {
        match self.reduction {
            Reduction::Host => self.reduce_by::<HostRows>(work),
            Reduction::Device => self.reduce_by::<DeviceRows>(work),
        }
    }

    /// Reduces each residual stream of each piece of work, `[work][resid][row]`.
    fn reduce_by<R: Reduce>(&self, work: impl Iterator<Item = Work>) -> Vec<Vec<Vec<Reduced>>> {
        let d_vocab = self.model.d_vocab();
        let starts = (0..d_vocab).step_by(self.tiles.vocab);
        let ranges: Vec<_> = starts.map(|start| start..(start + self.tiles.vocab).min(d_vocab)).collect();
        let (mut pieces, mut unread) = (Vec::new(), Vec::new());
        for Work { resids, against_first, tokens } in work {
            let model = self.model;
            let mut piece = Piece { rows: vec![Vec::new(); resids.len()], tokens: tokens.clone() };
            for round in ranges.chunks(self.lanes.n_lanes()) {
                let reduce = |range: &Range<usize>| reduce_tile::<R>(model, &resids, against_first, (range, &tokens));
                let tiles = self.lanes.map(round.iter().collect(), reduce);
                if R::READ_TOGETHER {
                    unread.extend(tiles.into_iter().flatten());
                } else {
                    round.iter().zip(tiles).for_each(|(range, sums)| piece.add(range, R::read(sums)));
                }
            }
            pieces.push(piece);
        }
        if R::READ_TOGETHER {
            let mut parts = R::read(unread).into_iter();
            for piece in &mut pieces {
                ranges.iter().for_each(|range| piece.add(range, parts.by_ref().take(piece.rows.len()).collect()));
            }
        }
        pieces.into_iter().map(|piece| piece.rows).collect()
    }
}

/// What is known of a piece of work so far.
struct Piece {
    /// `[resid][row]`
    rows: Vec<Vec<Reduced>>,
    tokens: Vec<usize>,
}

impl Piece {
    /// Adds a tile of each residual stream over some tokens of the vocabulary; they come in its order.
    fn add(&mut self, range: &Range<usize>, tiles: Vec<Vec<Part>>) {
        for (rows, parts) in self.rows.iter_mut().zip(tiles) {
            let new = parts.iter().zip(&self.tokens).map(|(part, &token)| Reduced::of(part, range, token));
            if rows.is_empty() {
                rows.extend(new);
            } else {
                rows.iter_mut().zip(new).for_each(|(row, new)| *row = row.with(&new));
            }
        }
    }
}

/// Residual streams `[rows, d_model]` to read out, with a token for each row.
struct Work {
    resids: Vec<Tensor<2>>,
    /// Whether all of them are measured against the first.
    against_first: bool,
    tokens: Vec<usize>,
}

/// Reduces the logits of some tokens of the vocabulary, those of each residual stream in turn.
fn reduce_tile<R: Reduce>(
    model: &dyn ResidualModel,
    resids: &[Tensor<2>],
    against_first: bool,
    (range, tokens): (&Range<usize>, &[usize]),
) -> Vec<R::Sums> {
    let places: Vec<_> = tokens.iter().map(|token| token.clamp(&range.start, &(range.end - 1)) - range.start).collect();
    let logits = |rows: &Tensor<2>| model.unembed(model.final_norm(rows.clone()), range.clone());
    if !against_first {
        return resids.iter().map(|rows| R::reduce(logits(rows), None, &places)).collect();
    }
    let clean_logits = logits(&resids[0]);
    let first = R::reduce(clean_logits.clone(), None, &places);
    let clean = R::clean(clean_logits);
    let others = resids[1..].iter().map(|rows| R::reduce(logits(rows), Some(&clean), &places));
    std::iter::once(first).chain(others).collect()
}

fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.iter().map(|&row| i32::try_from(row).expect("a row fits 31 bits")).collect();
    let n = rows.len();
    Tensor::from_data(TensorData::new(rows, [n]), device)
}
