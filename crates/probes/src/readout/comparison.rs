//! Residual streams of a batch compared with a clean one: [`Comparison`], which does the work of [`Readout::compare`].

use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{ResidualModel, TokenWindows};

use super::batch::{ReadoutBatch, Stream};
use super::batch_rows::BatchRows;
use super::full_rows::{FullRows, LogitValues};
use super::{Clean, Readout, RowSums};
use crate::lens::{LensReading, LensRows, ReadStream};
use crate::metrics::{MetricInput, Position, RowStatistics};
use crate::scores::ScoreSink;
use crate::{ProbeError, Result};

/// Normed residual streams of some windows, and which of them is the clean one.
pub(crate) struct Comparison<'a> {
    readout: &'a Readout<'a>,
    rows: BatchRows<'a>,
    n_rows: usize,
    streams: Vec<Stream<'a>>,
    clean: usize,
    /// How many streams are scored, from the first; a clean one that is not scored comes after them.
    n_scored: usize,
    /// Whether the clean one is of another model.
    is_against: bool,
}

impl<'a> Comparison<'a> {
    /// Checks what is to be compared, and norms it.
    pub(crate) fn new(
        readout: &'a Readout<'a>,
        windows: &'a TokenWindows,
        sequences: Range<usize>,
        residuals: Vec<ReadStream>,
        clean: Clean<'a>,
    ) -> Result<Self> {
        readout.check_tiles()?;
        readout.metrics.check(readout.model.d_vocab())?;
        windows.check(readout.model)?;
        let n_sequences = windows.n_sequences();
        if sequences.start > sequences.end || sequences.end > n_sequences {
            return Err(ProbeError::NoSuchWindows { start: sequences.start, end: sequences.end, n_sequences });
        }
        check_vocabulary(readout.model, &clean)?;
        let n_scored = residuals.len();
        let unread = |stream: ReadStream| Unread { model: readout.model, resid: stream.resid, reading: stream.reading };
        let mut streams: Vec<_> = residuals.into_iter().map(unread).collect();
        let is_against = matches!(clean, Clean::Other { .. });
        let clean = with_clean(&mut streams, (clean, readout.model))?;
        for (index, Unread { model, resid, .. }) in streams.iter().enumerate() {
            let expected = [sequences.len(), windows.seq_len(), model.d_model()];
            check_shape(|| format!("residual stream {index}"), resid.dims(), expected)?;
        }
        let n_rows = sequences.len() * windows.seq_len();
        let reads = streams.iter().any(|stream| stream.reading.is_some());
        // Of another model there is no last stream of this one.
        let last = (reads && !is_against).then(|| streams[clean].rows(n_rows));
        let normed = |stream: Unread<'a>| stream.normed(n_rows, last.as_ref());
        let streams = readout.pools.map(streams, normed).into_iter().collect::<Result<_>>()?;
        let rows = BatchRows { windows, first_sequence: sequences.start };
        Ok(Self { readout, rows, n_rows, streams, clean, n_scored, is_against })
    }

    fn tiles(&self) -> impl Iterator<Item = Range<usize>> {
        let (size, n_rows) = (self.readout.tiles.rows, self.n_rows);
        (0..n_rows).step_by(size).map(move |start| start..(start + size).min(n_rows))
    }

    /// Hands the values of every metric at each position to the stream's scores.
    pub(crate) fn score<S: ScoreSink>(&self, scores: &mut [S]) -> Result<()> {
        if scores.len() != self.n_scored {
            return Err(ProbeError::ScoresMissing { n_scores: scores.len(), n_streams: self.n_scored });
        }
        let metrics = &self.readout.metrics;
        scores.iter_mut().try_for_each(|scores| scores.begin(metrics))?;
        let (statistics, of_logits) = (self.statistics()?, self.logit_values()?);
        let mut values = vec![None; metrics.len()];
        for (tile, streams) in self.tiles().zip(&statistics) {
            for (stream, scores) in scores.iter_mut().enumerate() {
                let pairs = streams[self.clean].iter().zip(&streams[stream]);
                for (row, (clean, changed)) in tile.clone().zip(pairs) {
                    let at = self.rows.position(row);
                    if at.position < self.rows.windows.scored_from() {
                        continue;
                    }
                    let statistics = RowStatistics::new(clean, changed, at);
                    let of_logits = of_logits.as_ref().map_or(&[][..], |all| all.of(row, stream));
                    self.fill(&mut values, &statistics, of_logits);
                    self.check_finite(&values, at)?;
                    scores.row(at.sequence, at.position, &values);
                }
            }
        }
        Ok(())
    }

    /// The values of a row in the order of the set.
    fn fill(&self, values: &mut [Option<f64>], statistics: &RowStatistics, of_logits: &[Option<f64>]) {
        let mut of_logits = of_logits.iter();
        for (value, entry) in values.iter_mut().zip(self.readout.metrics.entries()) {
            *value = match entry.input {
                MetricInput::Logits => of_logits.next().copied().flatten(),
                MetricInput::Statistics if entry.needs_next_token && !statistics.has_next_token() => None,
                MetricInput::Statistics => entry.metric.of_row(statistics),
            };
        }
    }

    fn check_finite(&self, values: &[Option<f64>], at: Position) -> Result<()> {
        let broken =
            values.iter().enumerate().find_map(|(index, value)| Some((index, value.filter(|x| !x.is_finite())?)));
        let Some((index, value)) = broken else { return Ok(()) };
        let metric = self.readout.metrics.shared_names()[index].clone();
        Err(ProbeError::NotFinite { metric, value, sequence: at.sequence, position: at.position })
    }

    /// The statistics of all rows, `[tile][stream][row]`.
    fn statistics(&self) -> Result<Vec<Vec<Vec<RowSums>>>> {
        let batches = self.tiles().map(|tile| {
            Ok(ReadoutBatch {
                streams: self.streams.iter().map(|stream| stream.rows(tile.clone())).collect(),
                clean: Some(self.clean),
                tokens: self.rows.next_tokens(tile),
                common_device: self.is_against.then(|| self.readout.model.device()),
            })
        });
        self.readout.reduce(batches)
    }

    /// The values of the metrics that need both rows of logits, if there is such a metric.
    fn logit_values(&self) -> Result<Option<LogitValues>> {
        /// Rows of logits that are held for each row of a chunk: the clean and the changed ones, and the clean ones'
        /// exponentials.
        const COPIES: usize = 3;
        let Readout { metrics, tiles, pools, row_bytes, .. } = self.readout;
        let (n_metrics, d_vocab) = (metrics.of_logits().count(), self.readout.model.d_vocab());
        if n_metrics == 0 {
            return Ok(None);
        }
        let full = FullRows {
            streams: &self.streams,
            clean: self.clean,
            n_measured: self.n_scored,
            metrics,
            rows: self.rows,
            d_vocab,
            tile: tiles.rows * tiles.vocab,
        };
        let chunk = (row_bytes / pools.n_pools() / (COPIES * size_of::<f32>() * d_vocab)).max(1);
        let chunk = chunk.min(self.n_rows.div_ceil(pools.n_pools()));
        let chunks = (0..self.n_rows).step_by(chunk.max(1)).map(|start| start..(start + chunk).min(self.n_rows));
        let parts = pools.map(chunks.collect(), |rows| full.measure(rows)).into_iter().collect::<Result<_>>()?;
        Ok(Some(LogitValues::new(parts, self.n_scored, n_metrics)))
    }
}

/// A residual stream `[batch, pos, d_model]` of a model, and the lens that reads it.
struct Unread<'a> {
    model: &'a dyn ResidualModel,
    resid: Tensor<3>,
    reading: Option<LensReading>,
}

impl<'a> Unread<'a> {
    /// Its rows, `[n_rows, d_model]`.
    fn rows(&self, n_rows: usize) -> Tensor<2> {
        self.resid.clone().reshape([n_rows, self.model.d_model()])
    }

    /// Norms it, by its lens where it has one. `last` is the last residual stream of the unchanged model.
    fn normed(self, n_rows: usize, last: Option<&Tensor<2>>) -> Result<Stream<'a>> {
        let Self { model, resid, reading } = self;
        let resid = resid.reshape([n_rows, model.d_model()]);
        let normed = match reading {
            None => model.final_norm(resid)?,
            Some(reading) => {
                let rows = LensRows { last: last.cloned(), ..LensRows::new(reading.position(), resid) };
                reading.lens().normed(model, rows)?
            }
        };
        Ok(Stream { model, normed })
    }
}

/// The index of the clean stream among `streams`, to which one that is not scored is appended. Without another model it is of
/// `model`.
fn with_clean<'a>(streams: &mut Vec<Unread<'a>>, (clean, model): (Clean<'a>, &'a dyn ResidualModel)) -> Result<usize> {
    let n_streams = streams.len();
    let (model, resid) = match clean {
        Clean::Stream(stream) if stream < n_streams => return Ok(stream),
        Clean::Stream(stream) => return Err(ProbeError::NoSuchStream { stream, n_streams }),
        Clean::Unscored(resid) => (model, resid),
        Clean::Other { model, resid } => (model, resid),
    };
    streams.push(Unread { model, resid, reading: None });
    Ok(n_streams)
}

/// Refuses a clean model with another vocabulary.
fn check_vocabulary(model: &dyn ResidualModel, clean: &Clean) -> Result<()> {
    let Clean::Other { model: other, .. } = clean else { return Ok(()) };
    let (clean, changed) = (other.d_vocab(), model.d_vocab());
    if clean == changed { Ok(()) } else { Err(ProbeError::OtherVocabulary { clean, changed }) }
}

/// Refuses a tensor of another shape.
pub(crate) fn check_shape<const D: usize>(
    what: impl Fn() -> String,
    found: [usize; D],
    expected: [usize; D],
) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(ProbeError::WrongShape { what: what(), found: found.into(), expected: expected.into() })
}
