//! Byte-level BPE, learned from texts: [`LearnedTokenizer`].

use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, Tokenizer, TokenizerBuilder};

use crate::{Result, TrainError};

/// A tokenizer without special tokens, and its file.
pub(crate) struct LearnedTokenizer {
    inner: Tokenizer,
    /// What is written to `tokenizer.json`.
    json: String,
}

impl LearnedTokenizer {
    /// Learns byte-level BPE with `d_vocab` tokens, none of them special, from `pieces`.
    pub(crate) fn learn(pieces: &[String], d_vocab: usize) -> Result<Self> {
        let byte_level = ByteLevel::new(false, true, true);
        let mut tokenizer = TokenizerBuilder::new()
            .with_model(BPE::default())
            .with_normalizer(None::<NormalizerWrapper>)
            .with_pre_tokenizer(Some(byte_level))
            .with_post_processor(None::<PostProcessorWrapper>)
            .with_decoder(Some(DecoderWrapper::from(byte_level)))
            .build()
            .map_err(TrainError::tokenizer)?;
        let mut trainer = BpeTrainerBuilder::new()
            .vocab_size(d_vocab)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        tokenizer.train(&mut trainer, pieces.iter()).map_err(TrainError::tokenizer)?;
        let found = tokenizer.get_vocab_size(true);
        if found != d_vocab {
            return Err(TrainError::SmallVocabulary { found, expected: d_vocab });
        }
        let json = tokenizer.to_string(true).map_err(TrainError::tokenizer)?;
        // The ids are those that a reader of the file gives.
        let inner = Tokenizer::from_bytes(&json).map_err(TrainError::tokenizer)?;
        Ok(Self { inner, json })
    }

    /// The token ids of all pieces as one text.
    pub(crate) fn encode(&self, pieces: &[String]) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(pieces.concat(), false).map_err(TrainError::tokenizer)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The content of `tokenizer.json`.
    pub(crate) fn json(&self) -> &str {
        &self.json
    }
}
