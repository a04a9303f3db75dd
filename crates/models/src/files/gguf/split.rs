//! Names of the files of a split GGUF: [`PartName`], `NAME-00002-of-00003.gguf`, and [`from_pattern`].

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use stratigraph_core::shown;

use crate::{ModelError, Result};

/// The name of one of the files into which `gguf-split` cuts a model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartName {
    directory: PathBuf,
    stem: String,
    /// Counted from 1.
    pub(super) number: usize,
    pub(super) count: usize,
}

impl PartName {
    /// None where a file is not named like a part.
    pub(super) fn parse(path: &Path) -> Option<Self> {
        let number = |digits: &str| {
            let is_padded = digits.len() >= 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<usize>().ok().filter(|number| is_padded && *number > 0)
        };
        let (rest, count) = path.file_name()?.to_str()?.strip_suffix(".gguf")?.rsplit_once("-of-")?;
        let (stem, nth) = rest.rsplit_once('-')?;
        let (nth, count) = (number(nth)?, number(count)?);
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        (nth <= count).then(|| Self { directory, stem: stem.to_owned(), number: nth, count })
    }

    /// The file of the part with another number.
    pub(super) fn path(&self, number: usize) -> PathBuf {
        let Self { directory, stem, count, .. } = self;
        directory.join(format!("{stem}-{number:05}-of-{count:05}.gguf"))
    }
}

/// The GGUF file, or the first part of the split one, that a pattern such as `tiny-*.gguf` stands for; none where the path is
/// not a pattern of GGUF files. `*` stands for any text in the name of a file.
///
/// # Errors
/// When the directory cannot be read, or no model or several match.
pub(crate) fn from_pattern(path: &Path) -> Option<Result<PathBuf>> {
    let pattern = path.file_name()?.to_str()?;
    let is_pattern = pattern.contains('*') && pattern.ends_with(".gguf");
    is_pattern.then(|| only_match(path, pattern))
}

fn only_match(path: &Path, pattern: &str) -> Result<PathBuf> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = fs::read_dir(directory).map_err(ModelError::io(directory))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let first = |name: String| {
        let found = path.with_file_name(name);
        PartName::parse(&found).map_or(found, |part| part.path(1))
    };
    let models: BTreeSet<PathBuf> = names.filter(|name| matches(pattern, name)).map(first).collect();
    let mut models = models.into_iter();
    match (models.next(), models.next()) {
        (Some(model), None) => Ok(model),
        (Some(a), Some(b)) => {
            let [a, b] =
                [a, b].map(|model| shown(&model.file_name().unwrap_or_default().to_string_lossy()).to_string());
            let reason = format!("several models have such a name, `{a}` and `{b}` among them; name one of them");
            Err(ModelError::not_a_model(path, reason))
        }
        (None, _) => Err(ModelError::not_a_model(path, "no file has such a name")),
    }
}

/// Whether a name is a pattern with a text in place of each `*`.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parts_are_read_and_made() {
        let part = PartName::parse(Path::new("models/tiny-x-of-y-00002-of-00012.gguf")).unwrap();
        assert_eq!((part.stem.as_str(), part.number, part.count), ("tiny-x-of-y", 2, 12));
        assert_eq!(part.path(11), Path::new("models/tiny-x-of-y-00011-of-00012.gguf"));
        for other in ["tiny.gguf", "tiny-1-of-2.gguf", "tiny-00003-of-00002.gguf", "tiny-00000-of-00002.gguf", "x/"] {
            assert_eq!(PartName::parse(Path::new(other)), None, "{other}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, expected) in [
            ("tiny-*.gguf", "tiny-00001-of-00003.gguf", true),
            ("tiny-*-of-*.gguf", "tiny-00001-of-00003.gguf", true),
            ("*.gguf", "tiny.gguf", true),
            ("*", "", true),
            ("a*a", "a", false),
            ("tiny-*-of-00004.gguf", "tiny-00001-of-00003.gguf", false),
            ("tiny-*.gguf", "tiny-1.gguf.part", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
