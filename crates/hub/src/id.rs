//! The name of a model on the hub: [`HubId`].

use std::fmt;
use std::str::FromStr;

use crate::{HubError, Result};

/// `organisation/name`, followed by `@revision` unless that is `main`. A few old models have only a name, such as `gpt2`.
///
/// A revision is a branch, a tag or a commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HubId {
    repo: String,
    revision: String,
}

impl HubId {
    const MAIN: &str = "main";

    /// `organisation/name`, or the name alone.
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// The branch, tag or commit.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The same model at another revision.
    pub(crate) fn at(&self, revision: &str) -> Self {
        Self { revision: revision.to_owned(), ..self.clone() }
    }

    /// The folder of the model in a cache.
    pub(crate) fn folder(&self) -> String {
        format!("models--{}", self.repo.replace('/', "--"))
    }
}

/// How the names of files end, which are not asked for on the hub.
const FILES: [&str; 8] = [".gguf", ".safetensors", ".json", ".bin", ".pt", ".pth", ".txt", ".jsonl"];

impl FromStr for HubId {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |reason: &str| HubError::BadId { id: text.to_owned(), reason: reason.to_owned() };
        let (repo, revision) = text.split_once('@').unwrap_or((text, Self::MAIN));
        let parts: Vec<_> = repo.split('/').collect();
        if parts.len() > 2 || !parts.iter().all(|part| is_name(part)) {
            return Err(bad("a model of the hub is `organisation/name` of letters, digits, `-`, `_` and `.`"));
        }
        if let [name] = parts[..]
            && FILES.iter().any(|ending| name.ends_with(ending))
        {
            return Err(bad("it is named like a file, and there is no such file"));
        }
        if !revision.split('/').all(is_name) {
            return Err(bad("a revision is a branch, a tag or a commit"));
        }
        Ok(Self { repo: repo.to_owned(), revision: revision.to_owned() })
    }
}

/// Whether a part of a name is valid on the hub and safe as the name of a folder.
fn is_name(part: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !part.is_empty()
        && part.len() <= 96
        && part.chars().all(known)
        && !part.starts_with(['.', '-'])
        && !part.contains("..")
}

impl fmt::Display for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repo)?;
        if self.revision == Self::MAIN { Ok(()) } else { write!(f, "@{}", self.revision) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_printed() {
        for (text, repo, revision) in [
            ("EleutherAI/pythia-70m", "EleutherAI/pythia-70m", "main"),
            ("org/model_1.5@v1.0", "org/model_1.5", "v1.0"),
            ("org/model@refs/pr/3", "org/model", "refs/pr/3"),
            ("gpt2", "gpt2", "main"),
            ("gpt2@v1", "gpt2", "v1"),
        ] {
            let id: HubId = text.parse().unwrap();
            assert_eq!((id.repo(), id.revision()), (repo, revision));
            assert_eq!(id.to_string(), text);
        }
        assert_eq!("a/b@main".parse::<HubId>().unwrap().to_string(), "a/b");
        let folder = |text: &str| text.parse::<HubId>().unwrap().folder();
        assert_eq!((folder("a/b"), folder("gpt2")), ("models--a--b".to_owned(), "models--gpt2".to_owned()));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "", "x.gguf", "a/b/c", "/b", "a/", "a/../b", "a/b@", "a/b@../c", "./a", "a /b", "a/b@x y", "a/..", "é/b",
            ".", "..",
        ] {
            assert!(matches!(text.parse::<HubId>(), Err(HubError::BadId { .. })), "{text}");
        }
    }
}
