//! Token ids and vocabularies: [`TokenSpan`], [`check_token_ids`].

use std::ops::Range;

use crate::{CoreError, Result};

/// A token and its part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSpan {
    /// The token's id.
    pub id: u32,
    /// The bytes of the text that the token stands for.
    pub bytes: Range<usize>,
}

impl TokenSpan {
    /// The token `id` for these bytes of a text.
    pub fn new(id: u32, bytes: Range<usize>) -> Self {
        Self { id, bytes }
    }
}

/// Checks that every token is in a vocabulary of `d_vocab` tokens.
///
/// # Errors
/// [`CoreError::TokenOutOfRange`] with the first token that is not.
pub fn check_token_ids(ids: &[u32], d_vocab: usize) -> Result<()> {
    match ids.iter().find(|&&id| id as usize >= d_vocab) {
        Some(&id) => Err(CoreError::TokenOutOfRange { id: id.into(), d_vocab }),
        None => Ok(()),
    }
}
