//! Where the heads of a prompt look, quantised to the steps of a picture: [`AttentionPatterns`].

use serde::{Deserialize, Serialize};

/// The digits of base64 for file names, one for each step.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const MOST: f64 = 63.0;

/// The attention pattern of every head, a character for each pair of a query and a key that is not after it.
///
/// A weight `w` is kept as the whole number nearest to `63 sqrt(w)`, written as a digit of base64 for file names; so small weights,
/// most of a row's, keep their order. Queries come in order, each with its keys in order. An
/// [`ActivationCache`](https://docs.rs/stratigraph-core) of `Hook::Pattern` has the weights themselves.
///
/// ```
/// use stratigraph_profile::prompt::AttentionPatterns;
/// let mut patterns = AttentionPatterns::new(2, 1);
/// patterns.push_layer([&[1.0, 0.0, 0.25, 0.75][..]]); // [query, key]
/// assert_eq!(patterns.digits(0, 0), Some("_g3"));
/// assert!((patterns.weight(0, 0, 1, 0).unwrap() - 0.25).abs() < 0.01);
/// assert_eq!(patterns.weight(0, 0, 0, 1), None);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttentionPatterns {
    /// How many tokens there are.
    pub n_tokens: usize,
    /// Heads of a layer.
    pub n_heads: usize,
    /// `[layer][head]`.
    pub patterns: Vec<Vec<String>>,
}

impl AttentionPatterns {
    /// Of a prompt of `n_tokens`, without a layer yet.
    pub fn new(n_tokens: usize, n_heads: usize) -> Self {
        Self { n_tokens, n_heads, patterns: Vec::new() }
    }

    /// Adds the patterns of a layer's heads, `[query, key]` each.
    ///
    /// # Panics
    /// When a pattern is not square, or there are more or fewer than the heads.
    pub fn push_layer<'a>(&mut self, heads: impl IntoIterator<Item = &'a [f32]>) {
        let n = self.n_tokens;
        let digits = |pattern: &[f32]| -> String {
            assert_eq!(pattern.len(), n * n, "a pattern has a weight for each query and key");
            let pairs = (0..n).flat_map(|query| (0..=query).map(move |key| (query, key)));
            pairs.map(|(query, key)| digit(f64::from(pattern[query * n + key]))).collect()
        };
        let layer: Vec<_> = heads.into_iter().map(digits).collect();
        assert_eq!(layer.len(), self.n_heads, "a pattern for each head");
        self.patterns.push(layer);
    }

    /// The characters of a head.
    pub fn digits(&self, layer: usize, head: usize) -> Option<&str> {
        Some(self.patterns.get(layer)?.get(head)?)
    }

    /// The weight of a key for a query in a head, within about 1/63; none for keys after the query, and where there is no such
    /// head or token.
    pub fn weight(&self, layer: usize, head: usize, query: usize, key: usize) -> Option<f64> {
        if key > query || query >= self.n_tokens {
            return None;
        }
        let digits = self.digits(layer, head)?.as_bytes();
        let step = DIGITS.iter().position(|it| Some(it) == digits.get(query * (query + 1) / 2 + key))?;
        Some((step as f64 / MOST).powi(2))
    }

    /// Whether every head has a known digit for each pair.
    pub(crate) fn is_whole(&self) -> bool {
        let n_pairs = self.n_tokens * (self.n_tokens + 1) / 2;
        let is_whole = |digits: &String| digits.len() == n_pairs && digits.bytes().all(|it| DIGITS.contains(&it));
        self.patterns.iter().all(|layer| layer.len() == self.n_heads && layer.iter().all(is_whole))
    }
}

fn digit(weight: f64) -> char {
    let step = (MOST * weight.clamp(0.0, 1.0).sqrt()).round();
    DIGITS[if step.is_finite() { step as usize } else { 0 }].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_is_read_back_within_a_step() {
        let mut patterns = AttentionPatterns::new(1, 1);
        for step in 0..=1000 {
            let weight = step as f32 / 1000.0;
            patterns.patterns.clear();
            patterns.push_layer([&[weight][..]]);
            let found = patterns.weight(0, 0, 0, 0).unwrap();
            assert!((found - f64::from(weight)).abs() < 1.0 / 63.0, "{weight}: {found}");
        }
        assert_eq!([0.0, 1.0, 2.0, f64::NAN].map(digit), ['A', '_', '_', 'A']);
        assert_eq!(patterns.weight(1, 0, 0, 0), None);
        assert!(patterns.is_whole());
        patterns.patterns[0][0].push('?');
        assert!(!patterns.is_whole());
    }
}
