//! A context and its continuations: [`Item`], read by [`Task::read`] from the benchmarks' own JSONL files.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::json::Fields;
use crate::{ItemProblem, Result, Task, TaskError, forms};

/// One question of a benchmark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Item {
    /// What comes before the question: the task's description, and examples with their answers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub preamble: String,
    /// The question, which the model reads.
    pub context: String,
    /// What follows the context before each continuation and is read too, where that differs between them: in WinoGrande, the
    /// sentence up to the blank with one of the options in it. Empty where the context is the same for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beginnings: Vec<String>,
    /// The texts that may follow, which are scored; each with the space that separates it from what comes before.
    pub continuations: Vec<String>,
    /// Which continuation is right, from 0.
    pub answer: usize,
    /// The part of the benchmark that the item belongs to, where it has parts: the subject in MMLU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

impl Item {
    /// A context that is the same for every continuation.
    pub fn new(context: impl Into<String>, continuations: Vec<String>, answer: usize) -> Self {
        let (preamble, beginnings, subject) = (String::new(), Vec::new(), None);
        Self { preamble, context: context.into(), beginnings, continuations, answer, subject }
    }

    /// Everything that the model reads before a continuation.
    ///
    /// # Panics
    /// When there is no such continuation.
    pub fn prompt(&self, continuation: usize) -> String {
        assert!(continuation < self.continuations.len(), "there is no continuation {continuation}");
        let beginning = self.beginnings.get(continuation).map_or("", String::as_str);
        [&self.preamble, &self.context, beginning].concat()
    }

    /// The characters of a continuation without the space before it, by which `acc_norm` divides.
    ///
    /// # Panics
    /// When there is no such continuation.
    pub fn n_chars(&self, continuation: usize) -> usize {
        let text = &self.continuations[continuation];
        text.strip_prefix(' ').unwrap_or(text).chars().count()
    }

    /// The question with its right answer, as an example before another question.
    fn as_example(&self, task: Task) -> String {
        let beginning = self.beginnings.get(self.answer).map_or("", String::as_str);
        let separator = if task.is_choice() { "" } else { " " }; // the harness puts a second space before LAMBADA's word
        format!("{}{beginning}{separator}{}\n\n", self.context, self.continuations[self.answer])
    }
}

impl Task {
    /// Reads a file with an item in each line, in the benchmark's own format; empty lines are skipped.
    ///
    /// - LAMBADA: `{"text": ..}`
    /// - HellaSwag: `{"activity_label": .., "ctx_a": .., "ctx_b": .., "endings": [..], "label": ..}`, the label a number or
    ///   a number in a string
    /// - ARC: `{"question": .., "choices": {"text": [..], "label": [..]}, "answerKey": ..}`, or
    ///   `{"question": {"stem": .., "choices": [{"text": .., "label": ..}, ..]}, "answerKey": ..}`
    /// - PIQA: `{"goal": .., "sol1": .., "sol2": .., "label": ..}`
    /// - WinoGrande: `{"sentence": .., "option1": .., "option2": .., "answer": ..}`, with `_` for the blank
    /// - MMLU: `{"question": .., "subject": .., "choices": [.., .., .., ..], "answer": ..}`, the answer a number from 0 or a
    ///   letter
    ///
    /// # Errors
    /// When the file cannot be read, has no items, or a line is not an item of the task; then it says which line.
    pub fn read(self, path: impl AsRef<Path>) -> Result<Vec<Item>> {
        self.parse(&read_file(path.as_ref())?, path)
    }

    /// The items of a file's content; errors name `path`.
    ///
    /// # Errors
    /// As [`read`](Task::read).
    pub fn parse(self, jsonl: &[u8], path: impl AsRef<Path>) -> Result<Vec<Item>> {
        read_lines(jsonl, path.as_ref(), |fields: Fields| forms::item(self, fields))
    }

    /// Puts the first `k` of `examples`, with their answers, before each item (k-shot); where a benchmark has subjects, the
    /// first `k` of its subject. An item is no example of itself. This is what the harness's sampler `first_n` does, which MMLU
    /// uses.
    ///
    /// # Errors
    /// When there are fewer than `k` examples for an item.
    pub fn with_examples(self, mut items: Vec<Item>, examples: &[Item], k: usize) -> Result<Vec<Item>> {
        for item in &mut items {
            let own = examples.iter().filter(|example| example.subject == item.subject && **example != *item);
            let shown: Vec<String> = own.take(k).map(|example| example.as_example(self)).collect();
            if shown.len() < k {
                return Err(TaskError::FewExamples { wanted: k, found: shown.len(), subject: item.subject.clone() });
            }
            item.preamble.push_str(&shown.concat());
        }
        Ok(items)
    }
}

/// The content of a file.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let cannot = |reason: std::io::Error| TaskError::CannotRead { path: path.into(), reason: reason.to_string() };
    std::fs::read(path).map_err(cannot)
}

/// The items of a file's content, one in each line that is not empty.
pub(crate) fn read_lines<T>(
    jsonl: &[u8],
    path: &Path,
    item: impl Fn(Fields) -> Result<T, ItemProblem>,
) -> Result<Vec<T>> {
    let parse = |line: &[u8]| {
        let text = std::str::from_utf8(line).map_err(|_| ItemProblem::NotUtf8)?;
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|e| ItemProblem::NotJson { reason: e.to_string() })?;
        item(Fields(&value))
    };
    let lines = jsonl.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    let items = lines.filter(|(_, line)| !line.is_empty()).map(|(index, line)| {
        let bad = |problem| TaskError::BadItem { path: path.into(), line: index + 1, problem };
        parse(line).map_err(bad)
    });
    let items: Vec<_> = items.collect::<Result<_>>()?;
    if items.is_empty() { Err(TaskError::NoItems { path: path.into() }) } else { Ok(items) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MMLU: [&str; 3] = [
        r#"{"question": "One?", "subject": "abstract_algebra", "choices": ["1", "2", "3", "4"], "answer": 1}"#,
        r#"{"question": "Two?", "subject": "anatomy", "choices": ["5", "6", "7", "8"], "answer": 0}"#,
        r#"{"question": "Three?", "subject": "abstract_algebra", "choices": ["a", "b", "c", "d"], "answer": 3}"#,
    ];

    fn items(task: Task, lines: &[&str]) -> Vec<Item> {
        task.parse(lines.join("\n").as_bytes(), "items.jsonl").unwrap()
    }

    #[test]
    fn examples_are_of_the_same_subject_and_stand_behind_the_description() {
        let examples = items(Task::Mmlu, &MMLU[..2]);
        let found = Task::Mmlu.with_examples(items(Task::Mmlu, &MMLU[2..]), &examples, 1).unwrap();
        let expected = "The following are multiple choice questions (with answers) about abstract algebra.\n\n\
            One?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: B\n\nThree?\nA. a\nB. b\nC. c\nD. d\nAnswer:";
        assert_eq!(found[0].prompt(3), expected);
        let error = Task::Mmlu.with_examples(items(Task::Mmlu, &MMLU[2..]), &examples, 2).unwrap_err().to_string();
        assert_eq!(error, "there are 1 examples of the subject abstract_algebra, and 2 were asked for");
        // The only other item of the subject is the item itself.
        let error = Task::Mmlu.with_examples(examples.clone(), &examples, 1).unwrap_err().to_string();
        assert_eq!(error, "there are 0 examples of the subject abstract_algebra, and 1 were asked for");
    }

    #[test]
    fn an_example_is_completed_as_the_harness_does() {
        let sentence = |name: &str| {
            format!(r#"{{"sentence": "{name} saw a _ run.", "option1": "cat", "option2": "dog", "answer": "2"}}"#)
        };
        let (first, second) = (sentence("Ann"), sentence("Bob"));
        let examples = items(Task::WinoGrande, &[&first]);
        let found = Task::WinoGrande.with_examples(items(Task::WinoGrande, &[&second]), &examples, 1).unwrap();
        assert_eq!(found[0].prompt(0), "Ann saw a dog run.\n\nBob saw a cat");
        let examples = items(Task::Lambada, &[r#"{"text": "He said hello"}"#]);
        let found = Task::Lambada.with_examples(items(Task::Lambada, &[r#"{"text": "a b"}"#]), &examples, 1).unwrap();
        assert_eq!(found[0].prompt(0), "He said  hello\n\na");
        assert!(Task::Lambada.with_examples(found, &[], 0).is_ok());
    }
}
