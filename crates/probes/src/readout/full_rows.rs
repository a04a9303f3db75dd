//! The second pass, over whole rows of logits: [`FullRows`], for metrics that need more than statistics.

use std::ops::Range;

use burn::tensor::TensorData;
use rayon::prelude::*;

use super::batch::Stream;
use super::batch_rows::BatchRows;
use crate::Result;
use crate::metrics::{LogitRow, LogitRows, Metrics};

/// Rows of some streams, measured by those metrics of a set that need their logits.
pub(crate) struct FullRows<'a> {
    pub(crate) streams: &'a [Stream<'a>],
    /// The stream that all are compared with.
    pub(crate) clean: usize,
    /// How many streams are measured, from the first.
    pub(crate) n_measured: usize,
    pub(crate) metrics: &'a Metrics,
    pub(crate) rows: BatchRows<'a>,
    pub(crate) d_vocab: usize,
    /// How many logits a device holds at once.
    pub(crate) tile: usize,
}

/// Values of [`FullRows`], `[row, stream, metric]`.
pub(crate) struct LogitValues {
    values: Vec<Option<f64>>,
    n_streams: usize,
    n_metrics: usize,
}

impl LogitValues {
    /// The values of a row of a stream, in the order of the metrics that need logits.
    pub(crate) fn of(&self, row: usize, stream: usize) -> &[Option<f64>] {
        let start = (row * self.n_streams + stream) * self.n_metrics;
        &self.values[start..start + self.n_metrics]
    }

    /// Puts the values of neighbouring rows together.
    pub(crate) fn new(parts: Vec<Vec<Option<f64>>>, n_streams: usize, n_metrics: usize) -> Self {
        Self { values: parts.concat(), n_streams, n_metrics }
    }
}

impl FullRows<'_> {
    /// The values of some rows, `[row, stream, metric]`. The clean rows are unembedded once for all streams.
    pub(crate) fn measure(&self, rows: Range<usize>) -> Result<Vec<Option<f64>>> {
        let n_metrics = self.metrics.of_logits().count();
        let mut values = vec![None; rows.len() * self.n_measured * n_metrics];
        let clean_logits = self.logits(self.clean, &rows)?;
        let clean = clean_logits.par_chunks(self.d_vocab).map(|logits| LogitRow::new(logits, Vec::new()));
        let mut clean: Vec<_> = clean.collect();
        for stream in 0..self.n_measured {
            let changed = (stream != self.clean).then(|| self.logits(stream, &rows)).transpose()?;
            let changed = changed.as_ref().unwrap_or(&clean_logits);
            let of_rows = values.par_chunks_mut(self.n_measured * n_metrics).enumerate();
            let of_rows = of_rows.zip(clean.par_iter_mut()).zip(changed.par_chunks(self.d_vocab));
            of_rows.for_each_init(Vec::new, |scratch, (((index, values), clean), logits)| {
                let changed = LogitRow::new(logits, std::mem::take(scratch));
                let pair = LogitRows::new(clean, &changed, self.rows.position(rows.start + index));
                self.measure_row(&pair, &mut values[stream * n_metrics..][..n_metrics]);
                *scratch = changed.into_scratch();
            });
        }
        Ok(values)
    }

    /// Measures one row of one stream. Logits that no distribution has (NaN, infinity) make every value NaN.
    fn measure_row(&self, rows: &LogitRows, values: &mut [Option<f64>]) {
        let is_broken =
            |logits: &[f32]| logits.iter().fold(false, |found, z| found | z.is_nan() | (*z == f32::INFINITY));
        let is_broken = is_broken(rows.clean().logits()) || is_broken(rows.changed().logits());
        for (value, entry) in values.iter_mut().zip(self.metrics.of_logits()) {
            *value = match rows.next_token() {
                None if entry.needs_next_token => None,
                _ if is_broken => Some(f64::NAN),
                _ => entry.metric.of_logits(rows),
            };
        }
    }

    /// The logits of some rows of a stream over the whole vocabulary, `[row, d_vocab]`, read tile by tile.
    fn logits(&self, stream: usize, rows: &Range<usize>) -> Result<Vec<f32>> {
        let stream = self.streams[stream].rows(rows.clone());
        let width = (self.tile / rows.len()).clamp(1, self.d_vocab);
        let mut all = vec![0.0; rows.len() * self.d_vocab];
        for start in (0..self.d_vocab).step_by(width) {
            let tokens = start..(start + width).min(self.d_vocab);
            let tile = stream.logits(&tokens)?.into_data_as::<f32>();
            let rows = all.par_chunks_mut(self.d_vocab).zip(floats(&tile).par_chunks(tokens.len()));
            rows.for_each(|(all, tile)| all[tokens.clone()].copy_from_slice(tile));
        }
        Ok(all)
    }
}

/// The numbers of a tensor that was read as f32.
pub(crate) fn floats(data: &TensorData) -> &[f32] {
    data.as_slice().expect("logits are read as f32")
}
