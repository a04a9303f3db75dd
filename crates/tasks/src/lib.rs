//! Benchmarks whose items are continuations of a text, scored by their log-probabilities: [`Task`]; and those that are answered by a
//! text that the model writes: [`GenerativeTask`].
//!
//! In the order of use: [`Task::read`] reads [`Item`]s from a JSONL file, [`Task::encode`] makes token [`Pair`]s of them,
//! [`EncodedItems::batches`] lays these out as windows ([`TaskBatch`]) that any causal model can run, and
//! [`EncodedItems::score`] turns the [`Likelihood`] of every continuation into [`TaskScores`].
//!
//! Contexts, continuations and scores are those of EleutherAI's lm-evaluation-harness (tasks `lambada_openai`, `hellaswag`,
//! `arc_easy`, `arc_challenge`, `piqa`, `winogrande`, `mmlu` and `gsm8k`). [`Task::with_examples`] puts examples before the question.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use stratigraph_tasks::Task;
//!
//! let line = br#"{"question": "What is wet?", "choices": {"text": ["sand", "rain"], "label": ["A", "B"]}, "answerKey": "B"}"#;
//! let items = Task::ArcEasy.parse(line, "items.jsonl")?;
//! assert_eq!((items[0].continuations[1].as_str(), items[0].answer), (" rain", 1));
//! let encoded = Task::ArcEasy.encode(items, |text| Ok::<_, Infallible>(text.bytes().map(u32::from).collect()))?;
//! assert_eq!(encoded.pairs()[0][1].continuation.len(), " rain".len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batches;
mod encode;
mod error;
mod forms;
mod generative;
mod item;
mod json;
mod scores;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use batches::{ReadSpan, TaskBatch};
pub use encode::{EncodedItems, Pair};
pub use error::{ItemProblem, PairProblem, Result, TaskError};
pub use generative::{ExactMatch, GenerativeItem, GenerativeScores, GenerativeTask, WrittenAnswer};
pub use item::Item;
pub use scores::{ItemScore, Likelihood, NamedScore, TaskScores};

/// A benchmark.
///
/// ```
/// use stratigraph_tasks::Task;
/// let line = r#"{"question": "Which is hot?", "choices": {"text": ["ice", "fire"], "label": ["1", "2"]}, "answerKey": "2"}"#;
/// let items = Task::ArcEasy.parse(line.as_bytes(), "items.jsonl")?;
/// assert_eq!(items[0].context, "Question: Which is hot?\nAnswer:");
/// assert_eq!(items[0].continuations[items[0].answer], " fire");
/// # Ok::<(), stratigraph_tasks::TaskError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// The last word of a passage; predicting it takes the whole context (Paperno et al. 2016, the texts as OpenAI cut them).
    Lambada,
    /// Which of four endings follows a description (Zellers et al. 2019).
    #[serde(rename = "hellaswag")]
    HellaSwag,
    /// A question of school science with three to five answers (Clark et al. 2018, the easy part).
    ArcEasy,
    /// The part of the same that retrieval and word co-occurrence answer wrongly.
    ArcChallenge,
    /// Which of two ways reaches a goal of daily life (Bisk et al. 2020).
    Piqa,
    /// Which of two nouns a blank stands for (Sakaguchi et al. 2020). What follows the blank is scored, with each in its place.
    #[serde(rename = "winogrande")]
    WinoGrande,
    /// Questions of 57 subjects with four lettered answers, of which the letter is scored (Hendrycks et al. 2021).
    Mmlu,
}

impl Task {
    /// Every task.
    pub const ALL: [Task; 7] =
        [Task::Lambada, Task::HellaSwag, Task::ArcEasy, Task::ArcChallenge, Task::Piqa, Task::WinoGrande, Task::Mmlu];

    /// Its name: `lambada`, `hellaswag`, `arc_easy`, `arc_challenge`, `piqa`, `winogrande` or `mmlu`.
    pub fn name(self) -> &'static str {
        match self {
            Task::Lambada => "lambada",
            Task::HellaSwag => "hellaswag",
            Task::ArcEasy => "arc_easy",
            Task::ArcChallenge => "arc_challenge",
            Task::Piqa => "piqa",
            Task::WinoGrande => "winogrande",
            Task::Mmlu => "mmlu",
        }
    }

    /// Whether an item is a choice among continuations; otherwise it has one continuation to predict.
    pub fn is_choice(self) -> bool {
        self != Task::Lambada
    }

    /// Whether choices differ in length, so that the harness also reports `acc_norm`.
    pub fn has_acc_norm(self) -> bool {
        matches!(self, Task::HellaSwag | Task::ArcEasy | Task::ArcChallenge | Task::Piqa)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Task {
    type Err = TaskError;

    fn from_str(name: &str) -> Result<Self> {
        find_by_name(&Task::ALL, Task::name, name)
    }
}

/// The task with a name.
fn find_by_name<T: Copy>(all: &[T], name_of: fn(T) -> &'static str, name: &str) -> Result<T> {
    let known = || all.iter().copied().map(name_of).collect::<Vec<_>>().join(", ");
    let found = all.iter().copied().find(|task| name_of(*task) == name);
    found.ok_or_else(|| TaskError::UnknownTask { name: name.to_owned(), known: known() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for task in Task::ALL {
            assert_eq!(task.to_string().parse(), Ok(task));
            assert_eq!(serde_json::to_string(&task).unwrap(), format!("\"{task}\""));
        }
        let unknown = "gsm8k".parse::<Task>().unwrap_err();
        let known = "lambada, hellaswag, arc_easy, arc_challenge, piqa, winogrande, mmlu";
        assert_eq!(unknown.to_string(), format!("unknown task `gsm8k`; known: {known}"));
    }
}
