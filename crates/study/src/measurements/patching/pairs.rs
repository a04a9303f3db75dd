//! Pairs of prompts, inline or from a JSONL file: [`PromptPair`], [`PromptPairs`].

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use stratigraph_core::ResidualModel;
use stratigraph_probes::ProbeError;

use super::encoded::{EncodedPairs, TokenPair};
use crate::{Result, StudyError};

/// The most bytes of a file of pairs.
const MOST_BYTES: u64 = 1 << 26;

/// Two prompts of the same number of tokens, which have different answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptPair {
    /// The prompt that `answer` follows.
    pub clean: String,
    /// The prompt that `other` follows; it has as many tokens as the clean one.
    pub corrupted: String,
    /// The answer to the clean prompt: one token, written with the space before it where it begins a word, `" Paris"`.
    pub answer: String,
    /// The answer to the corrupted prompt, one token too.
    pub other: String,
}

impl PromptPair {
    /// A pair with its answers.
    pub fn new(
        clean: impl Into<String>,
        corrupted: impl Into<String>,
        answer: impl Into<String>,
        other: impl Into<String>,
    ) -> Self {
        Self { clean: clean.into(), corrupted: corrupted.into(), answer: answer.into(), other: other.into() }
    }

    /// The pair of one line of JSON.
    fn from_json(line: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
        let value: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        let field = |name: &str| match value.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(format!("its field `{name}` is not a string")),
            None => Err(format!("it has no field `{name}`; a pair has clean, corrupted, answer and other")),
        };
        Ok(Self::new(field("clean")?, field("corrupted")?, field("answer")?, field("other")?))
    }
}

/// Pairs of prompts, and where each was read, which errors name.
///
/// ```
/// use stratigraph_study::measurements::{PromptPair, PromptPairs};
/// let inline = PromptPairs::new(vec![PromptPair::new("Paris is in", "Rome is in", " France", " Italy")]);
/// let line = br#"{"clean": "Paris is in", "corrupted": "Rome is in", "answer": " France", "other": " Italy"}"#;
/// assert_eq!(PromptPairs::parse(line, "pairs.jsonl")?.pairs(), inline.pairs());
/// # Ok::<(), stratigraph_study::StudyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PromptPairs {
    pairs: Vec<PromptPair>,
    file: Option<PairFile>,
    bos: Option<u32>,
}

/// The file of the pairs.
#[derive(Debug, Clone)]
struct PairFile {
    path: PathBuf,
    /// The line of each pair, from 1.
    lines: Vec<usize>,
}

/// The pairs that a model can run, and the errors of the others.
#[derive(Debug)]
#[non_exhaustive]
pub struct FittingPairs {
    /// Those that fit.
    pub pairs: EncodedPairs,
    /// An error for each of the others, which names it.
    pub left_out: Vec<StudyError>,
}

impl PromptPairs {
    /// These pairs.
    pub fn new(pairs: Vec<PromptPair>) -> Self {
        Self { pairs, file: None, bos: None }
    }

    /// With the token that every prompt begins with, such as that of the windows of a corpus.
    pub fn with_bos(self, bos: Option<u32>) -> Self {
        Self { bos, ..self }
    }

    /// Reads a file with a pair in each line, `{"clean": .., "corrupted": .., "answer": .., "other": ..}`; empty lines and
    /// other fields are ignored.
    ///
    /// # Errors
    /// When the file cannot be read, has no pairs, or a line is not a pair; then it says which line.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let cannot = |reason: String| ProbeError::CannotRead { path: path.to_owned(), reason };
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
        read.map_err(|error| cannot(error.to_string()))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(cannot(format!("it has more than {MOST_BYTES} bytes, and pairs of prompts take fewer")).into());
        }
        Self::parse(&bytes, path)
    }

    /// The pairs of a file's content; errors name `path`.
    ///
    /// # Errors
    /// As [`read`](PromptPairs::read).
    pub fn parse(jsonl: &[u8], path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let (mut pairs, mut lines) = (Vec::new(), Vec::new());
        for (index, line) in jsonl.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).enumerate() {
            if line.is_empty() {
                continue;
            }
            let bad = |reason| ProbeError::BadLine { path: path.clone(), line: index + 1, reason };
            pairs.push(PromptPair::from_json(line).map_err(bad)?);
            lines.push(index + 1);
        }
        if pairs.is_empty() {
            return Err(ProbeError::BadLine { path, line: 1, reason: "there is no pair of prompts".to_owned() }.into());
        }
        Ok(Self { pairs, file: Some(PairFile { path, lines }), bos: None })
    }

    /// The pairs.
    pub fn pairs(&self) -> &[PromptPair] {
        &self.pairs
    }

    /// The tokens of every pair; `encode` gives those of a text, such as `|text| tokenizer.encode(text)`, without
    /// [BOS](PromptPairs::with_bos).
    ///
    /// # Errors
    /// [`StudyError::UnfitPair`] with the first pair that `model` cannot run or whose activations cannot be patched: a text
    /// without tokens, prompts of different lengths or longer than the model's context, two equal prompts, an answer of
    /// several tokens, two equal answers, a token outside the vocabulary. Also when there are no pairs.
    pub fn encode<E: Display>(
        &self,
        model: &dyn ResidualModel,
        mut encode: impl FnMut(&str) -> Result<Vec<u32>, E>,
    ) -> Result<EncodedPairs> {
        let mut encoded = EncodedPairs::default();
        (0..self.pairs.len()).try_for_each(|index| self.encode_to(&mut encoded, index, model, &mut encode))?;
        if encoded.pairs().is_empty() { Err(StudyError::NoPairs) } else { Ok(encoded) }
    }

    /// As [`encode`](PromptPairs::encode), without the pairs that do not fit.
    ///
    /// # Errors
    /// When there are no pairs, or none of them fits.
    pub fn encode_fitting<E: Display>(
        &self,
        model: &dyn ResidualModel,
        mut encode: impl FnMut(&str) -> Result<Vec<u32>, E>,
    ) -> Result<FittingPairs> {
        let mut pairs = EncodedPairs::default();
        let all = (0..self.pairs.len()).map(|index| self.encode_to(&mut pairs, index, model, &mut encode).err());
        let mut left_out: Vec<_> = all.flatten().collect();
        match pairs.pairs().is_empty() {
            true if left_out.is_empty() => Err(StudyError::NoPairs),
            true => Err(StudyError::NoPairFits { n_pairs: left_out.len(), first: Box::new(left_out.swap_remove(0)) }),
            false => Ok(FittingPairs { pairs, left_out }),
        }
    }

    /// Adds the tokens of a pair.
    fn encode_to<E: Display>(
        &self,
        encoded: &mut EncodedPairs,
        index: usize,
        model: &dyn ResidualModel,
        encode: &mut impl FnMut(&str) -> Result<Vec<u32>, E>,
    ) -> Result<()> {
        let unfit = |reason| StudyError::UnfitPair { pair: self.name(index), reason };
        let TokenPair { clean, corrupted, answer, other } = tokens(&self.pairs[index], encode).map_err(unfit)?;
        let begun = |ids: Vec<u32>| match ids.is_empty() {
            true => ids, // an empty prompt stays one, and is refused
            false => self.bos.into_iter().chain(ids).collect(),
        };
        let pair = TokenPair { clean: begun(clean), corrupted: begun(corrupted), answer, other };
        encoded.push(pair, self.name(index), Some(model))
    }

    /// The name of a pair in errors.
    fn name(&self, index: usize) -> String {
        /// Characters of a prompt that are shown.
        const SHOWN: usize = 60;
        let clean = &self.pairs[index].clean;
        let shown: String = clean.chars().take(SHOWN).collect();
        let shown = if shown.len() < clean.len() { format!("{shown}..") } else { shown };
        match &self.file {
            Some(PairFile { path, lines }) => format!("{}, line {}: the pair `{shown}`", path.display(), lines[index]),
            None => format!("pair {index} (counted from 0), `{shown}`,"),
        }
    }
}

/// The tokens of a pair, or the reason why it has none.
fn tokens<E: Display>(
    pair: &PromptPair,
    encode: &mut impl FnMut(&str) -> Result<Vec<u32>, E>,
) -> Result<TokenPair, String> {
    let mut ids = |text: &str| encode(text).map_err(|error| format!("`{text}` cannot be cut into tokens: {error}"));
    let (clean, corrupted) = (ids(&pair.clean)?, ids(&pair.corrupted)?);
    let answer = one_token("answer", &pair.answer, (&pair.clean, &clean), &mut ids)?;
    let other = one_token("other answer", &pair.other, (&pair.corrupted, &corrupted), &mut ids)?;
    Ok(TokenPair { clean, corrupted, answer, other })
}

/// The token of an answer, alone or after its prompt: SentencePiece adds a space before a text, so that a word with its own
/// space is one token only after another word.
fn one_token(
    what: &str,
    text: &str,
    (prompt, prompt_ids): (&str, &[u32]),
    ids: &mut impl FnMut(&str) -> Result<Vec<u32>, String>,
) -> Result<u32, String> {
    let alone = ids(text)?;
    if let [id] = alone[..] {
        return Ok(id);
    }
    match ids(&format!("{prompt}{text}"))?.strip_prefix(prompt_ids) {
        Some(&[id]) => Ok(id),
        _ => Err(format!("its {what} `{text}` is {} tokens, and it takes one", alone.len())),
    }
}
