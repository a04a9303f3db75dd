//! Text files become a tokenizer and token ids, one part to train on and one held out: [`Corpus`].

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use stratigraph::core::SplitMix64;
use stratigraph::prelude::{TokenWindows, Tokenizer};
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, TokenizerBuilder};

/// Of each file, one in this many pieces is held out.
const ONE_IN: usize = 40;
/// Pieces end at the first line that ends after this many bytes.
const PIECE_BYTES: usize = 8192;

/// The pieces of text files.
pub struct Texts {
    pub train: Vec<String>,
    pub held_out: Vec<String>,
}

impl Texts {
    /// Reads the files, and of directories every `.txt` file in them, in the order of their names.
    pub fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut texts = Self { train: Vec::new(), held_out: Vec::new() };
        for file in files(paths)? {
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let mut pieces = pieces(&text).map(str::to_owned).enumerate();
            // The last of each run of pieces is held out, so that a short file is trained on.
            pieces.by_ref().for_each(|(index, piece)| match index % ONE_IN {
                last if last == ONE_IN - 1 => texts.held_out.push(piece),
                _ => texts.train.push(piece),
            });
        }
        ensure!(!texts.held_out.is_empty(), "too little text: none of it could be held out");
        Ok(texts)
    }

    /// Learns byte-level BPE with `d_vocab` tokens, none of them special, from what is trained on, and writes it to `path`.
    pub fn train_tokenizer(&self, d_vocab: usize, path: &Path) -> Result<Tokenizer> {
        let byte_level = ByteLevel::new(false, true, true);
        let mut tokenizer = TokenizerBuilder::new()
            .with_model(BPE::default())
            .with_normalizer(None::<NormalizerWrapper>)
            .with_pre_tokenizer(Some(byte_level))
            .with_post_processor(None::<PostProcessorWrapper>)
            .with_decoder(Some(DecoderWrapper::from(byte_level)))
            .build()
            .map_err(anyhow::Error::msg)?;
        let mut trainer = BpeTrainerBuilder::new()
            .vocab_size(d_vocab)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        tokenizer.train(&mut trainer, self.train.iter()).map_err(anyhow::Error::msg)?;
        let found = tokenizer.get_vocab_size(true);
        ensure!(
            found == d_vocab,
            "the text gives a vocabulary of {found} tokens, not {d_vocab}; take --d-vocab {found}"
        );
        tokenizer.save(path, true).map_err(anyhow::Error::msg)?;
        Ok(Tokenizer::from_file(path)?)
    }
}

fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let entries = fs::read_dir(path)?.collect::<std::io::Result<Vec<_>>>()?;
            let texts = entries.into_iter().map(|entry| entry.path());
            files.extend(texts.filter(|path| path.extension().is_some_and(|extension| extension == "txt")));
        } else {
            files.push(path.clone());
        }
    }
    files.sort();
    ensure!(!files.is_empty(), "there are no .txt files in {}", paths[0].display());
    Ok(files)
}

/// Cuts a text between lines.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let from = rest.floor_char_boundary(PIECE_BYTES);
        let end = rest[from..].find('\n').map_or(rest.len(), |line| from + line + 1);
        let (piece, behind) = rest.split_at(end);
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Token ids of the pieces.
pub struct Corpus {
    pub train: Vec<u32>,
    /// Windows of the model's context.
    pub held_out: TokenWindows,
    /// Bytes of text per held-out token.
    pub bytes_per_token: f64,
}

impl Corpus {
    /// Encodes the texts; held-out ones are cut into windows of `n_ctx` tokens.
    pub fn encode(texts: &Texts, tokenizer: &Tokenizer, n_ctx: usize) -> Result<Self> {
        let encode = |pieces: &[String]| -> Result<Vec<u32>> { Ok(tokenizer.encode(&pieces.concat())?) };
        let (train, held_out) = (encode(&texts.train)?, encode(&texts.held_out)?);
        ensure!(train.len() > 2 * n_ctx, "{} tokens are too few to train on windows of {n_ctx}", train.len());
        let bytes: usize = texts.held_out.iter().map(String::len).sum();
        let bytes_per_token = bytes as f64 / held_out.len() as f64;
        Ok(Self { train, held_out: TokenWindows::new(&held_out, n_ctx)?, bytes_per_token })
    }

    /// How many windows of `seq_len + 1` tokens an epoch has.
    pub fn windows_per_epoch(&self, seq_len: usize) -> usize {
        (self.train.len() - seq_len - 1) / seq_len
    }

    /// The windows of batch `step`, `seq_len + 1` tokens each. Every epoch cuts the text at other places and shuffles
    /// the windows; `seed` and `step` alone decide.
    pub fn batch(&self, step: usize, batch: usize, seq_len: usize, seed: u64) -> Vec<&[u32]> {
        let per_epoch = self.windows_per_epoch(seq_len);
        let window = |index: usize| {
            let (epoch, index) = (index / per_epoch, index % per_epoch);
            let mut random = SplitMix64::new(seed ^ (epoch as u64).wrapping_mul(0x9e37_79b9));
            let start = random.below(seq_len);
            let start = start + seq_len * permuted(index, per_epoch, random.bits());
            &self.train[start..start + seq_len + 1]
        };
        (step * batch..(step + 1) * batch).map(window).collect()
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

    #[test]
    fn pieces_lose_nothing() {
        let text = "one line\n".repeat(5000) + "é".repeat(9000).as_str();
        assert_eq!(pieces(&text).collect::<String>(), text);
        assert!(pieces(&text).count() > 4);
    }
}
