//! Sets of similar tokens, and the neurons that promote them: [`TokenClass`] and [`class_association`].

use std::fmt;

use burn::tensor::{Tensor, TensorData};
use stratigraph_core::ResidualModel;

use super::{VocabularyDirections, unit_rows, weights_of};
use crate::{ProbeError, Result};

/// A set of tokens, defined by their text. White space before a token does not count, and neither does case unless it is what
/// the class is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TokenClass {
    /// Letters that end with this, and begin with at least one more.
    Suffix(String),
    /// Digits alone.
    Digits,
    /// A year: four digits that begin with 1 or 20.
    Year,
    /// Letters of which the first is a capital.
    Capitalised,
    /// Two or more letters, all capitals.
    AllCapitals,
    /// ASCII punctuation alone.
    Punctuation,
    /// An English personal or possessive pronoun.
    Pronoun,
    /// A token that begins with white space: it begins a word.
    BeginsWord,
}

const PRONOUNS: [&str; 28] = [
    "i",
    "me",
    "my",
    "mine",
    "myself",
    "we",
    "us",
    "our",
    "ours",
    "you",
    "your",
    "yours",
    "he",
    "him",
    "his",
    "himself",
    "she",
    "her",
    "hers",
    "herself",
    "it",
    "its",
    "itself",
    "they",
    "them",
    "their",
    "theirs",
    "themselves",
];

impl TokenClass {
    /// The default ones: the suffixes -ing, -ed, -ly, -s, -tion, -er, and every class of another kind.
    pub fn defaults() -> Vec<TokenClass> {
        let suffixes = ["ing", "ed", "ly", "s", "tion", "er"].map(|suffix| TokenClass::Suffix(suffix.to_owned()));
        let others = [
            TokenClass::Digits,
            TokenClass::Year,
            TokenClass::Capitalised,
            TokenClass::AllCapitals,
            TokenClass::Punctuation,
            TokenClass::Pronoun,
            TokenClass::BeginsWord,
        ];
        suffixes.into_iter().chain(others).collect()
    }

    /// Whether a token with this text belongs to the class.
    ///
    /// ```
    /// use stratigraph_probes::neurons::TokenClass;
    /// let ing = TokenClass::Suffix("ing".into());
    /// assert!(ing.contains(" Walking") && !ing.contains("ing") && !ing.contains(" rings"));
    /// ```
    pub fn contains(&self, token: &str) -> bool {
        let text = token.trim_start();
        let letters = !text.is_empty() && text.chars().all(char::is_alphabetic);
        match self {
            TokenClass::Suffix(suffix) => letters && ends_longer(&text.to_lowercase(), &suffix.to_lowercase()),
            TokenClass::Digits => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
            TokenClass::Year => {
                let digits = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
                digits && (text.starts_with('1') || text.starts_with("20"))
            }
            TokenClass::Capitalised => letters && text.starts_with(char::is_uppercase),
            TokenClass::AllCapitals => letters && text.chars().count() > 1 && text.chars().all(char::is_uppercase),
            TokenClass::Punctuation => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_punctuation()),
            TokenClass::Pronoun => PRONOUNS.contains(&text.to_lowercase().as_str()),
            TokenClass::BeginsWord => text.len() < token.len() && letters,
        }
    }
}

fn ends_longer(text: &str, suffix: &str) -> bool {
    text.len() > suffix.len() && text.ends_with(suffix)
}

impl fmt::Display for TokenClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenClass::Suffix(suffix) => return write!(f, "-{suffix}"),
            TokenClass::Digits => "digits",
            TokenClass::Year => "year",
            TokenClass::Capitalised => "capitalised",
            TokenClass::AllCapitals => "all capitals",
            TokenClass::Punctuation => "punctuation",
            TokenClass::Pronoun => "pronoun",
            TokenClass::BeginsWord => "begins a word",
        })
    }
}

/// The association of every neuron of a layer with a set of tokens: the mean of its cosines with the tokens of the set minus
/// the mean of those with all others.
///
/// `belongs` says of each token whether it is in the set; tokens beyond its end are not.
///
/// # Errors
/// When the model does not give access to its weights, or the set is empty or holds every token.
pub fn class_association(
    model: &dyn ResidualModel,
    directions: &VocabularyDirections,
    layer: usize,
    belongs: &[bool],
) -> Result<Vec<f64>> {
    let weights = weights_of(model)?;
    let w_out = weights.w_out(layer)?;
    let found = belongs.iter().take(model.d_vocab()).filter(|belongs| **belongs).count();
    if found == 0 || found >= model.d_vocab() {
        let kind = "in the class, of a vocabulary that also has others".to_owned();
        return Err(ProbeError::TooFewWords { kind, found, needed: 1 });
    }
    // A mean of inner products is an inner product with a mean.
    let weight = |token: usize| match belongs.get(token) {
        Some(true) => 1.0 / found as f32,
        _ => -1.0 / (model.d_vocab() - found) as f32,
    };
    let contrast = directions.weighted_sum(weight); // [d_model, 1]
    let association = unit_rows(w_out, weights.final_norm_is_centered()).matmul(contrast);
    let values: Vec<f32> = association.try_into_vec_as().expect("any float");
    Ok(values.into_iter().map(f64::from).collect())
}

impl VocabularyDirections {
    /// The sum of all tokens' unit directions, each times its weight: `[d_model, 1]`.
    fn weighted_sum(&self, weight: impl Fn(usize) -> f32) -> Tensor<2> {
        let mut first = 0;
        let parts = self.chunks().iter().map(|tokens| {
            let [_, n_tokens] = tokens.dims();
            let weights: Vec<f32> = (first..first + n_tokens).map(&weight).collect();
            first += n_tokens;
            let weights = Tensor::<2>::from_data(TensorData::new(weights, [n_tokens, 1]), &tokens.device());
            tokens.clone().matmul(weights)
        });
        parts.reduce(|a, b| a + b).expect("a vocabulary is not empty")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_tokens_by_their_text() {
        let belongs = |token: &str| -> Vec<String> {
            TokenClass::defaults().iter().filter(|class| class.contains(token)).map(TokenClass::to_string).collect()
        };
        assert_eq!(belongs(" walking"), ["-ing", "begins a word"]);
        assert_eq!(belongs("Quickly"), ["-ly", "capitalised"]);
        assert_eq!(belongs("NASA"), ["capitalised", "all capitals"]);
        assert_eq!(belongs(" 1984"), ["digits", "year"]);
        assert_eq!(belongs("2984"), ["digits"]);
        assert_eq!(belongs("?!"), ["punctuation"]);
        assert_eq!(belongs(" Their"), ["capitalised", "pronoun", "begins a word"]);
        assert_eq!(belongs("s"), Vec::<String>::new());
        assert_eq!(belongs(" "), Vec::<String>::new());
        assert_eq!(belongs(""), Vec::<String>::new());
    }
}
