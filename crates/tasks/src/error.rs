//! What can go wrong with a task: [`TaskError`]; with an item in its file, [`ItemProblem`], and in its tokens,
//! [`PairProblem`].

use std::path::PathBuf;

use stratigraph_core::{CoreError, shown};

/// The result of an operation of this crate.
pub type Result<T, E = TaskError> = std::result::Result<T, E>;

/// An error of `stratigraph-tasks`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// Items that do not fit the model.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A name that is not a task's.
    #[error("unknown task `{}`; known: {known}", shown(name))]
    UnknownTask {
        /// The name as it was given.
        name: String,
        /// The names that are known, with commas between.
        known: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    CannotRead {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// A file of items that has none.
    #[error("{} has no items", path.display())]
    NoItems {
        /// The file.
        path: PathBuf,
    },
    /// A line that is not an item of the task.
    #[error("{}, line {line}: {problem}", path.display())]
    BadItem {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: ItemProblem,
    },
    /// Fewer examples than were asked for before an item.
    #[error("there are {found} examples{}, and {wanted} were asked for", of_subject(subject))]
    FewExamples {
        /// How many were asked for.
        wanted: usize,
        /// How many there are.
        found: usize,
        /// The subject that they have to be of.
        subject: Option<String>,
    },
    /// A continuation whose tokens cannot be scored.
    #[error("continuation {continuation} of item {item} (both from 0) cannot be scored: {problem}")]
    BadContinuation {
        /// The item, from 0.
        item: usize,
        /// The continuation of the item, from 0.
        continuation: usize,
        /// Why.
        problem: PairProblem,
    },
}

/// What is wrong with one line of a file of items.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ItemProblem {
    /// Bytes that are not UTF-8 text.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// Text that is not JSON.
    #[error("it is not JSON: {reason}")]
    NotJson {
        /// What the JSON reader says.
        reason: String,
    },
    /// A field that the task needs.
    #[error("it has no field `{field}`")]
    MissingField {
        /// The field.
        field: &'static str,
    },
    /// A field that holds something else.
    #[error("its field `{field}` is not {expected}")]
    WrongType {
        /// The field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A passage from which no last word can be cut.
    #[error("its text does not end in a space and a word after other text")]
    NoLastWord,
    /// A sentence without the mark of a blank.
    #[error("its sentence has no blank `_`")]
    NoBlank,
    /// Choices and labels that do not pair up.
    #[error("it has {n_choices} choices but {n_labels} labels")]
    UnevenChoices {
        /// Texts of choices.
        n_choices: usize,
        /// Labels of choices.
        n_labels: usize,
    },
    /// An answer that is not one of the choices.
    #[error("its answer `{}` is none of its choices ({})", shown(answer), shown(&labels.join(", ")))]
    UnknownAnswer {
        /// The answer as it was given.
        answer: String,
        /// The labels of the choices.
        labels: Vec<String>,
    },
}

/// Why the tokens of a continuation cannot be scored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PairProblem {
    /// Nothing to predict the first token from.
    #[error("no token comes before it")]
    NoContext,
    /// Nothing to predict: the tokenizer gives the context as many tokens as the context with the continuation.
    #[error("it has no tokens of its own")]
    NoContinuation,
    /// A continuation that the model's context cannot hold.
    #[error("its {n_tokens} tokens do not fit the model's context of {n_ctx}")]
    TooLong {
        /// Tokens of the continuation.
        n_tokens: usize,
        /// The longest window that the model can run.
        n_ctx: usize,
    },
}

fn of_subject(subject: &Option<String>) -> String {
    subject.as_ref().map(|subject| format!(" of the subject {}", shown(subject))).unwrap_or_default()
}
