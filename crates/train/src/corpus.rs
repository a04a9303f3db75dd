//! Texts become a tokenizer and token ids, one part to train on and one held out: [`Corpus`].

use stratigraph_core::{SplitMix64, TokenWindows};
use stratigraph_models::Decoder;
use stratigraph_study::Study;

use crate::tokenizer::LearnedTokenizer;
use crate::{Result, Texts, TrainError, TrainingConfig};

/// Token ids of texts, by a tokenizer that was learned from them.
///
/// ```
/// use stratigraph_train::{Corpus, Texts, TrainingConfig};
/// let text = include_str!("../../../examples/data/sample.txt").repeat(12); // so that a part can be held out
/// let config = TrainingConfig::default().with_d_vocab(300).with_n_ctx(16);
/// let corpus = Corpus::new(&Texts::from_documents([text]), &config)?;
/// assert!(corpus.train().iter().all(|id| *id < 300));
/// assert_eq!(corpus.held_out().seq_len(), 16);
/// # Ok::<(), stratigraph_train::TrainError>(())
/// ```
pub struct Corpus {
    train: Vec<u32>,
    held_out: TokenWindows,
    bytes_per_token: f64,
    tokenizer: LearnedTokenizer,
}

impl Corpus {
    /// Learns byte-level BPE with `d_vocab` tokens, none of them special, from what is trained on, and encodes the texts.
    /// Held-out ones are cut into windows of `n_ctx` tokens.
    ///
    /// # Errors
    /// When there is too little text to hold a part out, for `d_vocab` tokens, or for windows of `n_ctx` tokens.
    pub fn new(texts: &Texts, config: &TrainingConfig) -> Result<Self> {
        texts.check()?;
        let n_ctx = config.n_ctx;
        let tokenizer = LearnedTokenizer::learn(texts.train(), config.d_vocab)?;
        let (train, held_out) = (tokenizer.encode(texts.train())?, tokenizer.encode(texts.held_out())?);
        if train.len() <= n_ctx.saturating_mul(2) {
            return Err(TrainError::TooFewTokens { n_tokens: train.len(), n_ctx });
        }
        let bytes: usize = texts.held_out().iter().map(String::len).sum();
        let bytes_per_token = bytes as f64 / held_out.len() as f64;
        Ok(Self { train, held_out: TokenWindows::new(&held_out, n_ctx)?, bytes_per_token, tokenizer })
    }

    /// The token ids to train on, as one text.
    pub fn train(&self) -> &[u32] {
        &self.train
    }

    /// Windows of the held-out texts, of the model's context.
    pub fn held_out(&self) -> &TokenWindows {
        &self.held_out
    }

    /// The content of the `tokenizer.json`.
    pub fn tokenizer_json(&self) -> &str {
        self.tokenizer.json()
    }

    /// The mean loss of a model on the held-out windows, over every token of a window but its first, nats per token.
    ///
    /// # Errors
    /// When the model has a smaller vocabulary or context than the windows, or a loss is not finite.
    pub fn held_out_loss(&self, model: &Decoder) -> Result<f64> {
        let findings = Study::new(model).run(&self.held_out)?;
        Ok(findings.value("clean_nll")?.mean)
    }

    /// A held-out loss in bits per byte of text, from nats per token.
    pub fn bits_per_byte(&self, nats_per_token: f64) -> f64 {
        nats_per_token / std::f64::consts::LN_2 / self.bytes_per_token
    }

    /// How many windows of `seq_len + 1` tokens an epoch has.
    fn windows_per_epoch(&self, seq_len: usize) -> usize {
        (self.train.len() - seq_len - 1) / seq_len
    }

    /// The windows of the batch after `step` steps, `n_ctx + 1` tokens each. Every epoch cuts the text at other places and
    /// shuffles the windows; the seed and `step` alone decide.
    pub(crate) fn batch(&self, step: usize, config: &TrainingConfig) -> Vec<&[u32]> {
        let (batch_size, seq_len) = (config.batch_size, config.n_ctx);
        let per_epoch = self.windows_per_epoch(seq_len);
        let window = |index: usize| {
            let (epoch, index) = (index / per_epoch, index % per_epoch);
            let mut random = SplitMix64::new(config.seed ^ (epoch as u64).wrapping_mul(0x9e37_79b9));
            let start = random.below(seq_len);
            let start = start + seq_len * permuted(index, per_epoch, random.bits());
            &self.train[start..start + seq_len + 1]
        };
        (step * batch_size..(step + 1) * batch_size).map(window).collect()
    }
}

/// Where `index` lies in a shuffling of `0..n` that `key` decides: a cipher on the next power of four, walked until it
/// stays within `n`.
fn permuted(index: usize, n: usize, key: u64) -> usize {
    let half = (usize::BITS - (n.max(2) - 1).leading_zeros()).div_ceil(2);
    let mask = (1u64 << half) - 1;
    let mut x = index as u64;
    loop {
        let (mut left, mut right) = (x >> half, x & mask);
        for round in 0..4u64 {
            let mixed = SplitMix64::new(key ^ (round << 60) ^ right).bits() & mask;
            (left, right) = (right, left ^ mixed);
        }
        x = (left << half) | right;
        if x < n as u64 {
            return x as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_is_reached_once() {
        for n in [1, 2, 5, 64, 1000] {
            let mut places: Vec<usize> = (0..n).map(|index| permuted(index, n, 9)).collect();
            assert!(n < 5 || places.windows(2).any(|pair| pair[0] > pair[1]), "{n} are not shuffled");
            places.sort();
            assert_eq!(places, (0..n).collect::<Vec<_>>());
        }
    }
}
