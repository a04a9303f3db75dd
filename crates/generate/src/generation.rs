//! What came out: [`Generation`], why it ended: [`StopReason`], and what happens on the way: [`Event`].

use std::fmt;

/// The continuation of one prompt.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Generation {
    /// The tokens of the prompt.
    pub prompt: Vec<u32>,
    /// The tokens that follow it; a stop token, and the tokens of a stop string, are the last of them.
    pub tokens: Vec<u32>,
    /// The log-probability of each of these under the model's own distribution, before any sampling, in nats.
    pub log_probs: Vec<f64>,
    /// Their text, without a stop token or a stop string; none where the generator turns no tokens into text.
    pub text: Option<String>,
    /// Why it ended.
    pub stop: StopReason,
}

/// Why a generation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// As many tokens as were asked for.
    MaxNewTokens,
    /// A token that ends a text.
    Token(u32),
    /// A text that was named as an end.
    Text(String),
    /// The model's context is full.
    ContextFull,
    /// The function that events are shown to said so.
    Interrupted,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopReason::MaxNewTokens => f.write_str("as many tokens as were asked for"),
            StopReason::Token(id) => write!(f, "the stop token {id}"),
            StopReason::Text(text) => write!(f, "the stop string {text:?}"),
            StopReason::ContextFull => f.write_str("the model's context is full"),
            StopReason::Interrupted => f.write_str("it was interrupted"),
        }
    }
}

/// A token that was generated.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The prompt that it continues, counted from 0.
    pub prompt: usize,
    /// The token.
    pub token: u32,
    /// Its log-probability under the model's own distribution, in nats.
    pub log_prob: f64,
    /// The text that is certain now and was not before; it may belong to earlier tokens.
    pub text: &'a str,
    /// Why this prompt's text ends here, if it does.
    pub stop: Option<&'a StopReason>,
}
