//! Residual streams that are read out together, [`ReadoutBatch`], and their statistics over a part of the vocabulary,
//! [`PartialStatistics`].

use std::ops::Range;

use burn::tensor::{Device, FloatDType, Tensor};
use stratigraph_core::ResidualModel;

use super::reduction::{Part, Reduce, RowSums};
use crate::Result;

/// A normed residual stream `[rows, d_model]`, with the model that unembeds it.
#[derive(Clone)]
pub(crate) struct Stream<'a> {
    pub(crate) model: &'a dyn ResidualModel,
    pub(crate) normed: Tensor<2>,
}

impl Stream<'_> {
    /// Some of its rows.
    pub(crate) fn rows(&self, rows: Range<usize>) -> Self {
        Self { model: self.model, normed: self.normed.clone().slice([rows]) }
    }

    /// Its logits over some tokens of the vocabulary, `[rows, tokens]`, on its model's device.
    pub(crate) fn logits(&self, tokens: &Range<usize>) -> Result<Tensor<2>> {
        Ok(self.model.unembed(self.normed.clone(), tokens.clone())?)
    }
}

/// Residual streams of the same rows to read out, with a token for each row.
pub(crate) struct ReadoutBatch<'a> {
    pub(crate) streams: Vec<Stream<'a>>,
    /// The stream that all of them are measured against, if any.
    pub(crate) clean: Option<usize>,
    pub(crate) tokens: Vec<usize>,
    /// The device to which the logits of all streams are moved, as f32, when the streams are of several models; these
    /// may run on several devices and in several precisions.
    pub(crate) common_device: Option<Device>,
}

impl ReadoutBatch<'_> {
    /// Reduces the logits of some tokens of the vocabulary, those of each stream in turn.
    pub(crate) fn reduce_tile<R: Reduce>(&self, range: &Range<usize>) -> Result<Vec<R::Sums>> {
        let within = |token: &usize| token.clamp(&range.start, &(range.end - 1)) - range.start;
        let Some(first) = self.streams.first() else { return Ok(Vec::new()) };
        let device = self.common_device.clone().unwrap_or_else(|| first.model.device());
        let places = R::places(self.tokens.iter().map(within).collect(), &device);
        let streams = 0..self.streams.len();
        let Some(clean) = self.clean else {
            return streams.map(|stream| Ok(R::reduce(self.logits(stream, range)?, None, &places))).collect();
        };
        let (distribution, sums) = R::clean(self.logits(clean, range)?, &places);
        let mut sums = Some(sums);
        let reduce = |stream: usize| match sums.take_if(|_| stream == clean) {
            Some(sums) => Ok(sums),
            None => Ok(R::reduce(self.logits(stream, range)?, Some(&distribution), &places)),
        };
        streams.map(reduce).collect()
    }

    fn logits(&self, stream: usize, range: &Range<usize>) -> Result<Tensor<2>> {
        let logits = self.streams[stream].logits(range)?;
        Ok(match &self.common_device {
            Some(device) => logits.to_device(device).cast(FloatDType::F32),
            None => logits,
        })
    }
}

/// Statistics over the vocabulary so far; at first of nothing.
#[derive(Default)]
pub(crate) struct PartialStatistics {
    /// `[stream][row]`
    pub(crate) rows: Vec<Vec<RowSums>>,
}

impl PartialStatistics {
    /// The statistics of a tile of each stream over the tokens `range` of the vocabulary; each row has a token whose
    /// logit is kept.
    pub(crate) fn of(range: &Range<usize>, tiles: Vec<Vec<Part>>, tokens: &[usize]) -> Self {
        let rows =
            |tile: Vec<Part>| tile.iter().zip(tokens).map(|(part, &token)| RowSums::of(part, range, token)).collect();
        Self { rows: tiles.into_iter().map(rows).collect() }
    }

    /// Adds the statistics of later tokens of the vocabulary.
    pub(crate) fn join(&mut self, later: PartialStatistics) {
        if self.rows.is_empty() {
            *self = later;
            return;
        }
        for (rows, later) in self.rows.iter_mut().zip(later.rows) {
            rows.iter_mut().zip(&later).for_each(|(row, later)| *row = row.with(later));
        }
    }
}
