//! Residual streams that are read out together, [`Work`], and what is known of them so far, [`Found`].

use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::ResidualModel;

use crate::reduction::{Part, Reduce, Reduced};

/// Normed residual streams `[rows, d_model]` to read out, with a token for each row.
pub(crate) struct Work {
    pub(crate) normed: Vec<Tensor<2>>,
    /// The one that all of them are measured against, if any.
    pub(crate) clean: Option<usize>,
    pub(crate) tokens: Vec<usize>,
}

impl Work {
    /// Reduces the logits of some tokens of the vocabulary, those of each stream in turn.
    pub(crate) fn reduce_tile<R: Reduce>(&self, model: &dyn ResidualModel, range: &Range<usize>) -> Vec<R::Sums> {
        let within = |token: &usize| token.clamp(&range.start, &(range.end - 1)) - range.start;
        let places: Vec<_> = self.tokens.iter().map(within).collect();
        let logits = |stream: usize| model.unembed(self.normed[stream].clone(), range.clone()).expect("temporary");
        let streams = 0..self.normed.len();
        let Some(clean) = self.clean else {
            return streams.map(|stream| R::reduce(logits(stream), None, &places)).collect();
        };
        let (distribution, sums) = R::clean(logits(clean), &places);
        let mut sums = Some(sums);
        let reduce = |stream: usize| match sums.take_if(|_| stream == clean) {
            Some(sums) => sums,
            None => R::reduce(logits(stream), Some(&distribution), &places),
        };
        streams.map(reduce).collect()
    }
}

/// What the vocabulary so far gave; at first nothing.
#[derive(Default)]
pub(crate) struct Found {
    /// `[stream][row]`
    pub(crate) rows: Vec<Vec<Reduced>>,
}

impl Found {
    /// What a tile of each stream gave over the tokens `range` of the vocabulary; each row has a token whose logit counts.
    pub(crate) fn of(range: &Range<usize>, tiles: Vec<Vec<Part>>, tokens: &[usize]) -> Self {
        let rows =
            |tile: Vec<Part>| tile.iter().zip(tokens).map(|(part, &token)| Reduced::of(part, range, token)).collect();
        Self { rows: tiles.into_iter().map(rows).collect() }
    }

    /// Adds what later tokens of the vocabulary gave.
    pub(crate) fn join(&mut self, later: Found) {
        if self.rows.is_empty() {
            *self = later;
            return;
        }
        for (rows, later) in self.rows.iter_mut().zip(later.rows) {
            rows.iter_mut().zip(&later).for_each(|(row, later)| *row = row.with(later));
        }
    }
}
