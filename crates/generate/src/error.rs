//! What can go wrong in generation: [`GenerateError`].

use stratigraph_core::{CoreError, shown};
use stratigraph_surgery::SurgeryError;

/// The result of an operation of this crate.
pub type Result<T, E = GenerateError> = std::result::Result<T, E>;

/// An error of `stratigraph-generate`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// The intervention does not fit the model, or cannot be made in windows that grow.
    #[error(transparent)]
    Surgery(#[from] SurgeryError),
    /// The model cannot run.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A number of the sampling that has no meaning.
    #[error("{name} is {value}; {expected}")]
    BadSampling {
        /// Its name.
        name: &'static str,
        /// What was given.
        value: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// Nothing to continue.
    #[error("there are no prompts")]
    NoPrompts,
    /// A prompt without tokens.
    #[error("prompt {index} has no tokens: a model continues at least one, such as the BOS token")]
    EmptyPrompt {
        /// The prompt, counted from 0.
        index: usize,
    },
    /// A prompt longer than the model can position.
    #[error("prompt {index} has {n_tokens} tokens, and the model's context is {n_ctx}; shorten it")]
    PromptTooLong {
        /// The prompt, counted from 0.
        index: usize,
        /// Its tokens.
        n_tokens: usize,
        /// The model's longest context.
        n_ctx: usize,
    },
    /// Logits that are not numbers.
    #[error("the logits of prompt {index} are not finite at position {position}")]
    NotFinite {
        /// The prompt, counted from 0.
        index: usize,
        /// The position.
        position: usize,
    },
    /// Stop strings where tokens are not turned into text.
    #[error("stop strings are found in the text; give the tokenizer with Generator::with_text")]
    StopStringsWithoutText,
    /// A stop string that every text has.
    #[error("a stop string is empty; give at least one character")]
    EmptyStopString,
    /// A chat template that cannot be read, or refuses a conversation.
    #[error("the chat template fails: {reason}")]
    BadTemplate {
        /// Why.
        reason: String,
    },
    /// A text that is no variable of a chat template.
    #[error("`{}` is not a variable of a chat template: {reason}", shown(text))]
    BadVariable {
        /// The text.
        text: String,
        /// Why.
        reason: String,
    },
    /// Tokens that the tokenizer cannot turn into text.
    #[error("tokens cannot be turned into text: {reason}")]
    Text {
        /// Why.
        reason: String,
    },
}

impl GenerateError {
    pub(crate) fn text(error: impl std::fmt::Display) -> Self {
        Self::Text { reason: error.to_string() }
    }
}
