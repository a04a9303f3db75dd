//! How a token is chosen: [`Sampling`].

use crate::{GenerateError, Result};

/// How the next token is chosen from the logits of the last position: the most likely one, or at random.
///
/// Definitions and order are those of Hugging Face's `generate`: the repetition penalty, then the temperature, top-k, top-p, and
/// a draw from the softmax of what is left.
///
/// ```
/// use stratigraph_generate::{Sampler, Sampling};
///
/// let logits = [1.0, 3.0, 2.0, -1.0];
/// assert_eq!(Sampler::new(&Sampling::greedy(), 0)?.pick(&logits, &[]), Some(1));
/// let sampling = Sampling::at_temperature(0.7).with_top_k(2).with_seed(5);
/// let picked = Sampler::new(&sampling, 0)?.pick(&logits, &[]).unwrap();
/// assert!([1, 2].contains(&picked));
/// # Ok::<(), stratigraph_generate::GenerateError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    temperature: f64,
    top_k: Option<usize>,
    top_p: f64,
    repetition_penalty: f64,
    seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self::greedy()
    }
}

impl Sampling {
    /// The most likely token; of equal ones that of the lowest id.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, top_k: None, top_p: 1.0, repetition_penalty: 1.0, seed: 0 }
    }

    /// At random, from the softmax of the logits divided by `temperature`; 0 is greedy.
    pub fn at_temperature(temperature: f64) -> Self {
        Self { temperature, ..Self::greedy() }
    }

    /// From the `k` most likely tokens, and those whose logit equals that of the last of these.
    pub fn with_top_k(self, k: usize) -> Self {
        Self { top_k: Some(k), ..self }
    }

    /// From the fewest most likely tokens whose probabilities sum to at least `p`, at least one.
    pub fn with_top_p(self, p: f64) -> Self {
        Self { top_p: p, ..self }
    }

    /// Divides the positive logits of tokens that the prompt or the continuation has by `penalty`, and multiplies negative
    /// ones by it (Keskar et al., *CTRL*, arXiv 1909.05858, as Hugging Face's `RepetitionPenaltyLogitsProcessor`). It changes
    /// the greedy choice, too.
    pub fn with_repetition_penalty(self, penalty: f64) -> Self {
        Self { repetition_penalty: penalty, ..self }
    }

    /// With another seed; each prompt of a batch draws from a stream of its own, so that its text does not depend on the
    /// others.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Whether the most likely token is taken.
    pub fn is_greedy(&self) -> bool {
        self.temperature == 0.0
    }

    /// What logits are divided by.
    pub fn temperature(&self) -> f64 {
        self.temperature
    }

    /// How many tokens top-k keeps.
    pub fn top_k(&self) -> Option<usize> {
        self.top_k
    }

    /// The probability that top-p keeps; 1 for all.
    pub fn top_p(&self) -> f64 {
        self.top_p
    }

    /// The penalty of tokens that were there before; 1 for none.
    pub fn repetition_penalty(&self) -> f64 {
        self.repetition_penalty
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Refuses numbers that have no meaning.
    ///
    /// # Errors
    /// [`GenerateError::BadSampling`] with the first of them.
    pub fn check(&self) -> Result<()> {
        let refuse =
            |name, value: f64, expected| Err(GenerateError::BadSampling { name, value: value.to_string(), expected });
        match *self {
            Self { temperature, .. } if !(temperature >= 0.0 && temperature.is_finite()) => {
                refuse("temperature", temperature, "it is 0 for greedy or positive")
            }
            Self { top_k: Some(0), .. } => refuse("top-k", 0.0, "it keeps at least 1 token"),
            Self { top_p, .. } if !(top_p > 0.0 && top_p <= 1.0) => {
                refuse("top-p", top_p, "it is above 0 and at most 1")
            }
            Self { repetition_penalty: penalty, .. } if !(penalty > 0.0 && penalty.is_finite()) => {
                refuse("repetition penalty", penalty, "it is positive, and 1 for none")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_without_meaning_are_refused_by_name() {
        let message = |sampling: Sampling| sampling.check().unwrap_err().to_string();
        assert_eq!(message(Sampling::at_temperature(-1.0)), "temperature is -1; it is 0 for greedy or positive");
        assert!(message(Sampling::at_temperature(f64::NAN)).contains("NaN"));
        assert_eq!(message(Sampling::greedy().with_top_k(0)), "top-k is 0; it keeps at least 1 token");
        assert_eq!(message(Sampling::greedy().with_top_p(1.5)), "top-p is 1.5; it is above 0 and at most 1");
        assert!(message(Sampling::greedy().with_top_p(0.0)).contains("top-p is 0"));
        assert!(message(Sampling::greedy().with_repetition_penalty(0.0)).contains("repetition penalty is 0"));
        let all = Sampling::at_temperature(0.8).with_top_k(5).with_top_p(0.9).with_repetition_penalty(1.1).with_seed(3);
        assert_eq!(all.check(), Ok(()));
        assert_eq!((all.top_k(), all.top_p(), all.repetition_penalty(), all.seed()), (Some(5), 0.9, 1.1, 3));
    }
}
