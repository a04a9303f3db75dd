//! The files that come with the repository: [`model`], [`text`], [`word_in_context`], [`prompt_pairs`], [`task_items`].

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, ensure};

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

/// The items of a benchmark, of which some come with the repository.
///
/// # Errors
/// As [`model`]; when none of this benchmark do.
pub fn task_items(task: &str) -> Result<PathBuf> {
    const SOME: [&str; 4] = ["arc_easy", "gsm8k", "hellaswag", "lambada"];
    ensure!(
        SOME.contains(&task),
        "--items is not given, and no items of {task} come with the repository: give --items"
    );
    required("--items", &format!("examples/data/tasks/{task}.jsonl"))
}

/// Pairs of prompts for patching.
///
/// # Errors
/// As [`model`].
pub fn prompt_pairs() -> Result<PathBuf> {
    required("--pairs", "examples/data/pairs/agreement.jsonl")
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
        let message = task_items("piqa").unwrap_err().to_string();
        assert!(message.contains("no items of piqa"), "{message}");
        assert!(model().unwrap().join("config.json").is_file());
    }
}
