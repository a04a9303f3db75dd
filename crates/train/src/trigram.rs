//! What counting alone gives: [`Trigram`], interpolated Kneser-Ney smoothing of order three.

use std::collections::HashMap;

use stratigraph_core::TokenWindows;

/// What is taken from every count and given to shorter contexts (Ney, Essen and Kneser 1994; Chen and Goodman 1999,
/// section 3).
const DISCOUNT: f64 = 0.75;
/// A token id has at most this many bits, so that three of them are one number.
const ID_BITS: u32 = 21;

/// How often tokens follow a context, and how many different ones do.
#[derive(Default, Clone, Copy)]
struct Followers {
    total: u32,
    distinct: u32,
}

/// Counts of one order: of a context and a token, and of the context alone.
#[derive(Default)]
struct Counts {
    tokens: HashMap<u64, u32>,
    contexts: HashMap<u64, Followers>,
}

impl Counts {
    /// Counts a token after a context once more; true when it is the first time.
    fn add(&mut self, context: u64, token: u32) -> bool {
        let count = self.tokens.entry(key(context, token)).or_default();
        *count += 1;
        let followers = self.contexts.entry(context).or_default();
        followers.total += 1;
        followers.distinct += u32::from(*count == 1);
        *count == 1
    }

    /// The discounted share of `token` after `context`, with `shorter` for what the discount left over.
    fn probability(&self, context: u64, token: u32, shorter: f64) -> f64 {
        let Some(followers) = self.contexts.get(&context) else { return shorter };
        let count = self.tokens.get(&key(context, token)).copied().unwrap_or_default();
        let left_over = DISCOUNT * f64::from(followers.distinct);
        ((f64::from(count) - DISCOUNT).max(0.0) + left_over * shorter) / f64::from(followers.total)
    }
}

/// A language model that looks two tokens back: interpolated Kneser-Ney smoothing with a discount of 0.75.
///
/// ```
/// use stratigraph_core::TokenWindows;
/// use stratigraph_train::Trigram;
/// let ids = [0, 1, 2].repeat(100);
/// let model = Trigram::count(&ids, 3);
/// assert!(model.probability(&[0, 1], 2) > 0.99); // nothing else ever followed
/// assert!(model.loss(&TokenWindows::new(&ids, 10)?) < 0.2); // nats per token
/// # Ok::<(), stratigraph_core::CoreError>(())
/// ```
pub struct Trigram {
    d_vocab: usize,
    /// After two tokens, as they occur.
    pairs: Counts,
    /// After one token: in how many contexts, not how often.
    singles: Counts,
    /// After none: the same.
    none: Counts,
}

impl Trigram {
    /// Counts the token ids of a text, from a vocabulary of `d_vocab` tokens.
    ///
    /// # Panics
    /// When an id is not below `d_vocab`, or `d_vocab` is larger than 2^21.
    pub fn count(ids: &[u32], d_vocab: usize) -> Self {
        assert!(d_vocab <= 1 << ID_BITS, "a vocabulary of {d_vocab} tokens is larger than 2^{ID_BITS}");
        let highest = ids.iter().max().map_or(0, |id| *id as usize + 1);
        assert!(highest <= d_vocab, "the token id {} is not below d_vocab = {d_vocab}", highest - 1);
        let mut model = Self { d_vocab, pairs: Counts::default(), singles: Counts::default(), none: Counts::default() };
        for window in ids.windows(3) {
            let &[first, second, token] = window else { unreachable!("windows are of three") };
            if model.pairs.add(key(u64::from(first), second), token) && model.singles.add(u64::from(second), token) {
                model.none.add(0, token);
            }
        }
        model
    }

    /// The probability of `token` after `context`, of which the last two tokens count.
    pub fn probability(&self, context: &[u32], token: u32) -> f64 {
        let none = self.none.probability(0, token, 1.0 / self.d_vocab as f64);
        let Some(&second) = context.last() else { return none };
        let single = self.singles.probability(u64::from(second), token, none);
        let Some(&first) = context.len().checked_sub(2).map(|index| &context[index]) else { return single };
        self.pairs.probability(key(u64::from(first), second), token, single)
    }

    /// The mean of `-ln p` over every token of a window but its first, and over windows; nats per token.
    pub fn loss(&self, windows: &TokenWindows) -> f64 {
        let windows = (0..windows.n_sequences()).map(|index| windows.sequence(index));
        let losses = windows.flat_map(|ids| (1..ids.len()).map(move |at| -self.probability(&ids[..at], ids[at]).ln()));
        let (sum, n) = losses.fold((0.0, 0), |(sum, n), loss| (sum + loss, n + 1));
        sum / f64::from(n)
    }
}

/// A context and a token as one number.
fn key(context: u64, token: u32) -> u64 {
    (context << ID_BITS) | u64::from(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratigraph_core::SplitMix64;

    #[test]
    fn probabilities_sum_to_one_whatever_the_context() {
        let mut random = SplitMix64::new(3);
        let ids: Vec<u32> = (0..500).map(|_| random.below(7) as u32 * random.below(2) as u32).collect();
        let model = Trigram::count(&ids, 9);
        for context in [&[][..], &[3], &[8], &[0, 0], &[5, 2], &[8, 8], &[1, 2, 3]] {
            let sum: f64 = (0..9).map(|token| model.probability(context, token)).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{context:?}: {sum}");
        }
    }

    #[test]
    fn what_always_follows_is_expected() {
        let ids: Vec<u32> = (0..300).map(|i| i % 3).collect();
        let model = Trigram::count(&ids, 3);
        assert!(model.probability(&[0, 1], 2) > 0.99);
        assert!(model.loss(&TokenWindows::new(&ids, 10).unwrap()) < 0.2); // the first tokens of a window have less to go by
    }
}
