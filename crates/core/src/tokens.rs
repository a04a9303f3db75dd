//! Token ids and vocabularies: [`check_token_ids`].

use crate::{CoreError, Result};

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
