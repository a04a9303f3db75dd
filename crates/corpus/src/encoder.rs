//! Tokenizers as other crates use them: [`TextEncoder`], with its [`BosToken`], and [`TextDecoder`].

use std::error::Error;

use stratigraph_core::TokenSpan;

/// The token that begins a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BosToken {
    /// Its id, where the tokenizer names one.
    pub id: Option<u32>,
    /// Whether the model was trained on texts that begin with it, as far as the tokenizer says.
    pub is_usual: bool,
}

impl BosToken {
    /// The token `id`, with which texts usually begin or not.
    pub fn new(id: Option<u32>, is_usual: bool) -> Self {
        Self { id, is_usual }
    }
}

/// A tokenizer as a corpus uses it.
///
/// ```
/// use stratigraph_core::TokenSpan;
/// use stratigraph_corpus::{BosToken, TextEncoder};
///
/// /// A token for each byte.
/// struct Bytes;
///
/// impl TextEncoder for Bytes {
///     fn encode_spans(&self, text: &str) -> Result<Vec<TokenSpan>, Box<dyn std::error::Error + Send + Sync>> {
///         Ok(text.bytes().enumerate().map(|(at, byte)| TokenSpan::new(byte.into(), at..at + 1)).collect())
///     }
///
///     fn bos(&self) -> BosToken {
///         BosToken::new(Some(256), true)
///     }
/// }
/// assert_eq!(Bytes.encode_ids("ab").unwrap(), [97, 98]);
/// ```
pub trait TextEncoder {
    /// The tokens of a text with their bytes in it, without adding special tokens.
    ///
    /// # Errors
    /// When the text cannot be encoded.
    fn encode_spans(&self, text: &str) -> Result<Vec<TokenSpan>, Box<dyn Error + Send + Sync>>;

    /// The ids of the same tokens.
    ///
    /// # Errors
    /// As [`encode_spans`](TextEncoder::encode_spans).
    fn encode_ids(&self, text: &str) -> Result<Vec<u32>, Box<dyn Error + Send + Sync>> {
        Ok(self.encode_spans(text)?.into_iter().map(|token| token.id).collect())
    }

    /// The token that begins a text.
    fn bos(&self) -> BosToken;
}

/// The way back: token ids to text.
///
/// ```
/// use stratigraph_corpus::TextDecoder;
///
/// /// A token for each ASCII letter.
/// struct Letters;
///
/// impl TextDecoder for Letters {
///     fn decode_ids(&self, ids: &[u32]) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
///         ids.iter().map(|&id| char::from_u32(id).ok_or_else(|| format!("no token {id}").into())).collect()
///     }
/// }
/// assert_eq!(Letters.decode_ids(&[104, 105]).unwrap(), "hi");
/// ```
pub trait TextDecoder {
    /// The text of token ids. Bytes that are no whole character are U+FFFD.
    ///
    /// # Errors
    /// When there is no such token.
    fn decode_ids(&self, ids: &[u32]) -> Result<String, Box<dyn Error + Send + Sync>>;
}
