//! How far attention looks back: [`AttentionMeasure`] of patterns, collected over a corpus by [`AttentionHeads`].

use std::fmt;
use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use stratigraph_core::{Activation, Hook, HookSet, Observer, Result as CoreResult, Site, Tap};

use crate::statistics::PerSequence;
use crate::{ProbeError, Result};

/// A number of one head's pattern `[query, key]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttentionMeasure {
    /// The mean attention to the token at this distance before the query, over the queries that have one.
    AtDistance(usize),
    /// The mean of all entries at distances 1 to 5: the sub-diagonals 1 to 5 (as in the paper's code).
    Prev5,
    /// The attention of a query to the five tokens before it, summed; the mean over all queries (as the paper's figure
    /// 1 has it).
    Prev5Mass,
    /// The same without the first token, over all queries but the first: what an attention sink there adds to the queries next to
    /// it does not count.
    Prev5MassAfterFirst,
    /// The attention of a query to the first token of the window; the mean over all queries but the first. An attention
    /// sink there lowers the attention to all other tokens.
    FirstToken,
}

impl AttentionMeasure {
    /// The default ones: distances 1, 2, 4, 8 and 16, the previous five in all three ways, and the first token.
    pub const DEFAULT: [AttentionMeasure; 9] = [
        AttentionMeasure::AtDistance(1),
        AttentionMeasure::AtDistance(2),
        AttentionMeasure::AtDistance(4),
        AttentionMeasure::AtDistance(8),
        AttentionMeasure::AtDistance(16),
        AttentionMeasure::Prev5,
        AttentionMeasure::Prev5Mass,
        AttentionMeasure::Prev5MassAfterFirst,
        AttentionMeasure::FirstToken,
    ];

    /// Whether windows of `seq_len` tokens are long enough for it.
    pub fn fits(self, seq_len: usize) -> bool {
        match self {
            AttentionMeasure::AtDistance(distance) => distance < seq_len,
            _ => seq_len > 1,
        }
    }

    /// The weight of each entry of a pattern `[seq_len, seq_len]` of which the queries from `first` on count.
    fn weights(self, seq_len: usize, first: usize) -> Vec<f32> {
        let from = |k: usize| seq_len.saturating_sub(k.max(first));
        let (counts, total): (Box<dyn Fn(usize, usize) -> bool>, usize) = match self {
            AttentionMeasure::AtDistance(k) => (Box::new(move |query, key| query == key + k), from(k)),
            AttentionMeasure::Prev5 => (Box::new(is_recent), (1..=5).map(from).sum()),
            AttentionMeasure::Prev5Mass => (Box::new(is_recent), from(0)),
            AttentionMeasure::Prev5MassAfterFirst => (Box::new(|query, key| key > 0 && is_recent(query, key)), from(1)),
            AttentionMeasure::FirstToken => (Box::new(|query, key| key == 0 && query > 0), from(1)),
        };
        let weight = |query, key| if query >= first && counts(query, key) { 1.0 / total as f32 } else { 0.0 };
        (0..seq_len).flat_map(|query| (0..seq_len).map(move |key| (query, key))).map(|(q, k)| weight(q, k)).collect()
    }
}

fn is_recent(query: usize, key: usize) -> bool {
    (1..=5).any(|k| query == key + k)
}

impl fmt::Display for AttentionMeasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttentionMeasure::AtDistance(distance) => write!(f, "attention_at_distance_{distance}"),
            AttentionMeasure::Prev5 => f.write_str("prev5_attention"),
            AttentionMeasure::Prev5Mass => f.write_str("prev5_attention_mass"),
            AttentionMeasure::Prev5MassAfterFirst => f.write_str("prev5_attention_mass_after_first"),
            AttentionMeasure::FirstToken => f.write_str("first_token_attention"),
        }
    }
}

/// Every measure of every head: patterns `[batch, n_heads, query, key]` to `[batch, n_heads, measure]`, on the device.
///
/// # Errors
/// [`ProbeError::WindowsTooShort`] when the windows are too short for a measure.
pub fn attention(pattern: Tensor<4>, measures: &[AttentionMeasure]) -> Result<Tensor<3>> {
    let [batch, n_heads, seq_len, _] = pattern.dims();
    if let Some(measure) = measures.iter().find(|measure| !measure.fits(seq_len)) {
        return Err(ProbeError::WindowsTooShort { measure: measure.to_string(), seq_len });
    }
    let weights = weights(measures, seq_len, 0, &pattern.device());
    Ok(weigh(pattern, weights).reshape([batch, n_heads, measures.len()]))
}

/// `[seq_len * seq_len, measure]`, of measures that fit the windows, over the queries from `first` on.
fn weights(measures: &[AttentionMeasure], seq_len: usize, first: usize, device: &Device) -> Tensor<2> {
    let rows: Vec<f32> = measures.iter().flat_map(|measure| measure.weights(seq_len, first)).collect();
    Tensor::<2>::from_data(TensorData::new(rows, [measures.len(), seq_len * seq_len]), device).transpose()
}

/// A mean over parts of a pattern is a product with a matrix of weights.
fn weigh(pattern: Tensor<4>, weights: Tensor<2>) -> Tensor<2> {
    let [batch, n_heads, queries, keys] = pattern.dims();
    pattern.reshape([batch * n_heads, queries * keys]).matmul(weights)
}

/// Collects measures of every head of every layer over a corpus.
pub struct AttentionHeads {
    measures: Vec<AttentionMeasure>,
    /// Of the windows' length.
    weights: Tensor<2>,
    windows: Range<usize>,
    /// By layer, head and measure.
    layers: Vec<Vec<Vec<PerSequence>>>,
}

impl AttentionHeads {
    /// Collects those of the `measures` for which windows of `seq_len` tokens are long enough.
    pub fn new(measures: &[AttentionMeasure], seq_len: usize, device: &Device) -> Self {
        Self::from_query(measures, seq_len, 0, device)
    }

    /// Of the queries from position `first` on, such as those after BOS.
    ///
    /// # Panics
    /// When windows of `seq_len` tokens have no such position.
    pub fn from_query(measures: &[AttentionMeasure], seq_len: usize, first: usize, device: &Device) -> Self {
        assert!(first < seq_len, "windows of {seq_len} tokens have no position {first}");
        let measures: Vec<_> = measures.iter().copied().filter(|measure| measure.fits(seq_len)).collect();
        let weights = weights(&measures, seq_len, first, device);
        Self { measures, weights, windows: 0..0, layers: Vec::new() }
    }

    /// What is collected.
    pub fn measures(&self) -> &[AttentionMeasure] {
        &self.measures
    }

    /// The number of one measure of each head of each layer: `[layer][head]`.
    pub fn heads(&self, measure: AttentionMeasure) -> Vec<Vec<&PerSequence>> {
        let Some(index) = self.measures.iter().position(|other| *other == measure) else { return Vec::new() };
        self.layers.iter().map(|heads| heads.iter().map(|measures| &measures[index]).collect()).collect()
    }

    /// The number of one measure of each layer, over its heads.
    pub fn layers(&self, measure: AttentionMeasure) -> Vec<PerSequence> {
        let merged = |heads: Vec<&PerSequence>| {
            let mut all = PerSequence::default();
            heads.into_iter().for_each(|head| all.merge(head));
            all
        };
        self.heads(measure).into_iter().map(merged).collect()
    }
}

impl Tap for AttentionHeads {
    fn hooks(&self) -> HookSet {
        [Hook::Pattern].into()
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> CoreResult<Activation> {
        let n_measures = self.measures.len();
        if n_measures == 0 {
            return Ok(activation);
        }
        let pattern = activation.clone().heads(hook.at(site.slot))?;
        let [_, n_heads, _, _] = pattern.dims();
        let values: Vec<f32> = weigh(pattern, self.weights.clone()).try_into_vec_as().expect("any float");
        if self.layers.len() <= site.layer {
            self.layers.resize_with(site.layer + 1, || vec![vec![PerSequence::default(); n_measures]; n_heads]);
        }
        let of_heads = values.chunks(n_measures).enumerate();
        for (index, of_head) in of_heads {
            let (sequence, head) = (self.windows.start + index / n_heads, index % n_heads);
            for (collected, &value) in self.layers[site.layer][head].iter_mut().zip(of_head) {
                collected.push(sequence, f64::from(value));
            }
        }
        Ok(activation)
    }
}

impl Observer for AttentionHeads {
    fn begin(&mut self, windows: Range<usize>) {
        self.windows = windows;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pattern in which every query attends evenly to all keys up to itself.
    fn even(seq_len: usize) -> Tensor<4> {
        let entry = |query: usize, key: usize| if key <= query { 1.0 / (query + 1) as f32 } else { 0.0 };
        let values: Vec<f32> = (0..seq_len * seq_len).map(|i| entry(i / seq_len, i % seq_len)).collect();
        Tensor::from_data(TensorData::new(values, [1, 1, seq_len, seq_len]), &Device::flex())
    }

    fn measured(pattern: Tensor<4>, measure: AttentionMeasure) -> f32 {
        attention(pattern, &[measure]).unwrap().into_scalar()
    }

    #[test]
    fn numbers_are_those_of_the_definitions() {
        let (t, even) = (8, even(8));
        let harmonic = |from: usize, to: usize| (from..=to).map(|n| 1.0 / n as f32).sum::<f32>();
        let close = |measure, expected: f32| {
            let found = measured(even.clone(), measure);
            assert!((found - expected).abs() < 1e-6, "{measure}: {found} {expected}");
        };
        for k in [1, 2, 7] {
            close(AttentionMeasure::AtDistance(k), harmonic(k + 1, t) / (t - k) as f32);
        }
        close(AttentionMeasure::FirstToken, harmonic(2, t) / 7.0);
        let recent: f32 = (1..=5).map(|k| harmonic(k + 1, t)).sum();
        close(AttentionMeasure::Prev5, recent / (7 + 6 + 5 + 4 + 3) as f32);
        close(AttentionMeasure::Prev5Mass, recent / 8.0);
        let after_first: f32 = (1..=5).map(|k| harmonic(k + 2, t)).sum();
        close(AttentionMeasure::Prev5MassAfterFirst, after_first / 7.0);
    }

    #[test]
    fn a_sink_at_the_first_token_is_no_local_attention() {
        let pattern: Vec<f32> = (0..64).map(|at| f32::from(at % 8 == 0)).collect(); // every query attends to the first token
        let pattern = || Tensor::<1>::from_floats(pattern.as_slice(), &Device::flex()).reshape([1, 1, 8, 8]);
        assert_eq!(measured(pattern(), AttentionMeasure::Prev5Mass), 5.0 / 8.0);
        assert_eq!(measured(pattern(), AttentionMeasure::Prev5MassAfterFirst), 0.0);
        assert_eq!(measured(pattern(), AttentionMeasure::FirstToken), 1.0);
    }

    #[test]
    fn queries_that_are_left_out_do_not_count() {
        let (t, device) = (8, Device::flex());
        let mut heads = AttentionHeads::from_query(&AttentionMeasure::DEFAULT, t, 3, &device);
        heads.begin(0..1);
        heads.visit(Site { slot: 0, layer: 0 }, Hook::Pattern, even(t).into()).unwrap();
        let harmonic = |from: usize| (from..=t).map(|n| 1.0 / n as f64).sum::<f64>();
        let close = |measure, expected: f64| {
            let found = heads.layers(measure)[0].summary().mean;
            assert!((found - expected).abs() < 1e-6, "{measure}: {found} {expected}");
        };
        close(AttentionMeasure::AtDistance(1), harmonic(4) / 5.0);
        close(AttentionMeasure::AtDistance(4), harmonic(5) / 4.0);
        close(AttentionMeasure::FirstToken, harmonic(4) / 5.0);
        let recent: f64 = [4, 4, 4, 5, 6].into_iter().map(harmonic).sum();
        close(AttentionMeasure::Prev5, recent / (5 + 5 + 5 + 4 + 3) as f64);
        close(AttentionMeasure::Prev5Mass, recent / 5.0);
        let of_the_first = 1.0 / 4.0 + 1.0 / 5.0 + 1.0 / 6.0; // queries 3, 4 and 5 at distances 3, 4 and 5
        close(AttentionMeasure::Prev5MassAfterFirst, (recent - of_the_first) / 5.0);
    }

    #[test]
    fn windows_too_short_for_a_measure_are_refused() {
        let message = attention(even(4), &[AttentionMeasure::AtDistance(4)]).unwrap_err().to_string();
        assert_eq!(message, "windows of 4 tokens are too short for attention_at_distance_4");
    }

    #[test]
    fn a_head_that_looks_at_the_previous_token_is_found() {
        let entry = |query: usize, key: usize| f32::from(u8::from(key == query.saturating_sub(1)));
        let values: Vec<f32> = (0..36).map(|i| entry(i / 6, i % 6)).collect();
        let device = Device::flex();
        let previous = Tensor::from_data(TensorData::new(values, [1, 1, 6, 6]), &device);
        let pattern = Tensor::cat(vec![previous, even(6)], 1);
        let mut heads = AttentionHeads::new(&AttentionMeasure::DEFAULT, 6, &device);
        assert_eq!(heads.measures().len(), 7, "distances 8 and 16 do not fit");
        heads.begin(3..4);
        heads.visit(Site { slot: 1, layer: 1 }, Hook::Pattern, pattern.into()).unwrap();
        let first = heads.heads(AttentionMeasure::AtDistance(1));
        assert!(first[0].iter().all(|head| head.means().is_empty()), "layer 0 was not seen");
        assert_eq!(first[1][0].summary().mean, 1.0);
        assert!(first[1][1].summary().mean < 0.5);
        let layer = &heads.layers(AttentionMeasure::AtDistance(1))[1];
        assert_eq!(layer.means().len(), 1);
        assert!(layer.summary().mean > 0.5);
    }
}
