//! Benchmarks whose answers are texts that the model writes: [`GenerativeTask`], with [`GenerativeItem`]s and, by [`ExactMatch`], their
//! [`GenerativeScores`].

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use stratigraph_core::{Moments, Summary};

use crate::item::{read_file, read_lines};
use crate::json::Fields;
use crate::scores::{fraction, number, write_scores};
use crate::{NamedScore, Result, TaskError, find_by_name};

/// A benchmark that is answered in the model's own words, with a number that is compared.
///
/// ```
/// use stratigraph_tasks::GenerativeTask;
/// let line = br#"{"question": "What is 2 + 3?", "answer": "2 + 3 is 5.\n#### 5"}"#;
/// let items = GenerativeTask::Gsm8k.parse(line, "items.jsonl")?;
/// assert_eq!(items[0].prompt(), "Question: What is 2 + 3?\nAnswer:");
/// let exact = items[0].exact_match(" It is $5.00, or 5.");
/// assert!(exact.flexible_extract && !exact.strict_match);
/// # Ok::<(), stratigraph_tasks::TaskError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GenerativeTask {
    /// Word problems of grade school, solved step by step (Cobbe et al. 2021).
    Gsm8k,
}

/// A question and its answer with the steps to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GenerativeItem {
    /// Examples with their answers.
    pub preamble: String,
    /// The question, as the model reads it.
    pub context: String,
    /// The answer: the steps, and the number after `#### `.
    pub answer: String,
}

/// Whether the number of a text is that of the answer, in the two ways of lm-evaluation-harness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExactMatch {
    /// By the first number after `#### `.
    pub strict_match: bool,
    /// By the last number of the text.
    pub flexible_extract: bool,
}

/// What a model wrote for an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenAnswer {
    /// The text.
    pub text: String,
    /// Whether it has the right number.
    pub exact_match: ExactMatch,
}

/// How well a model does a task. Standard errors are over items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GenerativeScores {
    /// The task.
    pub task: GenerativeTask,
    /// The fraction of items whose first number after `#### ` is right.
    pub strict_match: Summary,
    /// The fraction of items whose last number is right.
    pub flexible_extract: Summary,
    /// What was written for each item.
    pub items: Vec<WrittenAnswer>,
}

impl GenerativeTask {
    /// Every task.
    pub const ALL: [GenerativeTask; 1] = [GenerativeTask::Gsm8k];

    /// Its name: `gsm8k`.
    pub fn name(self) -> &'static str {
        match self {
            GenerativeTask::Gsm8k => "gsm8k",
        }
    }

    /// Texts that end an answer.
    pub fn stop_strings(self) -> [&'static str; 3] {
        match self {
            GenerativeTask::Gsm8k => ["Question:", "</s>", "<|im_end|>"],
        }
    }

    /// Reads a file with an item in each line, `{"question": .., "answer": ".. #### 18"}`; empty lines are skipped.
    ///
    /// # Errors
    /// As [`Task::read`](crate::Task::read).
    pub fn read(self, path: impl AsRef<Path>) -> Result<Vec<GenerativeItem>> {
        self.parse(&read_file(path.as_ref())?, path)
    }

    /// The items of a file's content; errors name `path`.
    ///
    /// # Errors
    /// As [`read`](GenerativeTask::read).
    pub fn parse(self, jsonl: &[u8], path: impl AsRef<Path>) -> Result<Vec<GenerativeItem>> {
        read_lines(jsonl, path.as_ref(), |fields: Fields| {
            let context = format!("Question: {}\nAnswer:", fields.text("question")?);
            Ok(GenerativeItem { preamble: String::new(), context, answer: fields.text("answer")?.to_owned() })
        })
    }

    /// Puts the first `k` of `examples`, with their answers, before each item (k-shot), as the harness's sampler `first_n` does. An
    /// item is no example of itself.
    ///
    /// # Errors
    /// When there are fewer than `k` examples for an item.
    pub fn with_examples(
        self,
        mut items: Vec<GenerativeItem>,
        examples: &[GenerativeItem],
        k: usize,
    ) -> Result<Vec<GenerativeItem>> {
        for item in &mut items {
            let own = examples.iter().filter(|example| **example != *item).take(k);
            let shown: Vec<_> = own.map(|it| format!("{} {}\n\n", it.context, it.answer)).collect();
            if shown.len() < k {
                return Err(TaskError::FewExamples { wanted: k, found: shown.len(), subject: None });
            }
            item.preamble.push_str(&shown.concat());
        }
        Ok(items)
    }
}

impl fmt::Display for GenerativeTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for GenerativeTask {
    type Err = TaskError;

    fn from_str(name: &str) -> Result<Self> {
        find_by_name(&Self::ALL, Self::name, name)
    }
}

impl GenerativeItem {
    /// Everything that the model reads.
    pub fn prompt(&self) -> String {
        [&*self.preamble, &*self.context].concat()
    }

    /// Whether a text that was written has the number of the answer. Numbers are equal when they are the same characters, without
    /// `,`, `$` and a full stop at the end: `18` is not `18.0`.
    pub fn exact_match(&self, text: &str) -> ExactMatch {
        let answer = compared(&self.answer);
        let is_right = |found: Option<&str>| compared(found.unwrap_or(NOTHING)) == answer;
        ExactMatch { strict_match: is_right(after_mark(text)), flexible_extract: is_right(last_number(text)) }
    }
}

/// What the harness compares where a text has no number.
const NOTHING: &str = "[invalid]";

/// What comes before the number of an answer.
const MARK: &str = "#### ";

/// A number or an answer as it is compared: what the harness's `regexes_to_ignore` leave.
fn compared(text: &str) -> String {
    let text = text.replace([',', '$'], "");
    let number = text.rsplit_once(MARK).map_or(&*text, |(_, number)| number);
    let (number, end) = number.strip_suffix('\n').map_or((number, ""), |number| (number, "\n"));
    format!("{}{end}", number.strip_suffix('.').unwrap_or(number)).to_lowercase()
}

/// The first number after `#### `: digits, commas and full stops, as `#### (\-?[0-9\.\,]+)` finds it.
fn after_mark(text: &str) -> Option<&str> {
    text.match_indices(MARK).find_map(|(at, _)| {
        let rest = &text[at + MARK.len()..];
        let sign = usize::from(rest.starts_with('-'));
        let n = n_while(&rest[sign..], |byte| byte.is_ascii_digit() || b".,".contains(&byte));
        (n > 0).then(|| &rest[..sign + n])
    })
}

/// The last number, as `(-?[$0-9.,]{2,})|(-?[0-9]+)` finds it.
fn last_number(text: &str) -> Option<&str> {
    let (mut at, mut last) = (0, None);
    while at < text.len() {
        let sign = usize::from(text.as_bytes()[at] == b'-');
        let rest = text.get(at + sign..).unwrap_or_default(); // nothing within a character of several bytes
        let long = n_while(rest, |byte| byte.is_ascii_digit() || b"$.,".contains(&byte));
        let n = if long > 1 { long } else { n_while(rest, |byte| byte.is_ascii_digit()) };
        if n > 0 {
            last = Some(&text[at..at + sign + n]);
        }
        at += if n > 0 { sign + n } else { 1 };
    }
    last
}

/// Bytes at the start of a text that are of a kind.
fn n_while(text: &str, is_of_kind: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| is_of_kind(*byte)).count()
}

impl GenerativeScores {
    /// Scores texts that were written, one for each item.
    ///
    /// # Panics
    /// When texts and items do not pair up, or there are none.
    pub fn new(task: GenerativeTask, items: &[GenerativeItem], texts: Vec<String>) -> Self {
        assert_eq!(items.len(), texts.len(), "there is a text for each item");
        let answers = items.iter().zip(texts);
        let answers = answers.map(|(item, text)| WrittenAnswer { exact_match: item.exact_match(&text), text });
        Self::from_items(task, answers.collect())
    }

    /// Puts answers together that were scored before.
    ///
    /// # Panics
    /// When there are none.
    pub fn from_items(task: GenerativeTask, items: Vec<WrittenAnswer>) -> Self {
        assert!(!items.is_empty(), "there are items");
        Self {
            task,
            strict_match: fraction(items.iter().map(|item| item.exact_match.strict_match)),
            flexible_extract: fraction(items.iter().map(|item| item.exact_match.flexible_extract)),
            items,
        }
    }

    /// The scores with their names.
    pub fn named(&self) -> [NamedScore; 2] {
        [("strict_match", self.strict_match), ("flexible_extract", self.flexible_extract)]
            .map(|(name, score)| NamedScore { name, score })
    }

    /// How much higher each score is than `other`'s on the same items, with the standard errors of the items' differences.
    ///
    /// # Panics
    /// When the numbers of items differ.
    pub fn changes_from(&self, other: &GenerativeScores) -> [NamedScore; 2] {
        assert_eq!(self.items.len(), other.items.len(), "the items are the same");
        let change = |is_right: fn(&ExactMatch) -> bool| {
            let pairs = self.items.iter().zip(&other.items);
            let of = |item: &WrittenAnswer| number(is_right(&item.exact_match));
            let differences: Moments = pairs.map(|(a, b)| of(a) - of(b)).collect();
            Summary { mean: differences.mean, sem: differences.sem() }
        };
        let strict = NamedScore { name: "strict_match_change", score: change(|it| it.strict_match) };
        [strict, NamedScore { name: "flexible_extract_change", score: change(|it| it.flexible_extract) }]
    }
}

impl fmt::Display for GenerativeScores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} items):", self.task, self.items.len())?;
        write_scores(f, self.named())
    }
}
