//! The files that come with the repository: [`model`], [`text`], [`word_in_context`], [`task_items`].

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

/// The repository that the program was built in.
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The small trained model.
///
/// # Errors
/// When it is neither below the current directory nor in the repository that the program was built in.
pub fn model() -> Result<PathBuf> {
    required("--model", "models/tiny")
}

/// The sample text.
///
/// # Errors
/// As [`model`].
pub fn text() -> Result<PathBuf> {
    required("--text", "examples/data/sample.txt")
}

/// The items of a benchmark.
///
/// # Errors
/// As [`model`].
pub fn task_items(task: &str) -> Result<PathBuf> {
    required("--items", &format!("examples/data/tasks/{task}.jsonl"))
}

/// The Word-in-Context pairs; `None` if they are absent.
pub fn word_in_context() -> Option<PathBuf> {
    find("examples/data/wic")
}

fn required(option: &str, path: &str) -> Result<PathBuf> {
    find(path).ok_or_else(|| anyhow!("{option} is not given, and {path} of Stratigraph's repository is not here: give {option}, or run the program in the repository"))
}

fn find(path: &str) -> Option<PathBuf> {
    let places = [PathBuf::from(path), Path::new(REPOSITORY).join(path)];
    places.into_iter().find(|place| place.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_an_error_that_names_the_option() {
        let message = required("--text", "no/such.txt").unwrap_err().to_string();
        assert!(message.contains("give --text") && message.contains("no/such.txt"), "{message}");
        assert!(model().unwrap().join("config.json").is_file());
    }
}
