//! A `tokenizer.json` beside a GGUF file whose own vocabulary is of a kind that is not read: [`of_gguf`].

use std::path::{Path, PathBuf};

use stratigraph_core::shown;

use super::library::Library;
use super::vocabulary::{NORMAL, Vocabulary};
use crate::directory::is_there;
use crate::files::{GgufFile, MappedFile};
use crate::{ModelError, Result};

/// What to do about a vocabulary of another kind.
pub(super) const PUT_ONE_THERE: &str = "put the model's tokenizer.json beside the file";

/// The `tokenizer.json` in the folder of a GGUF file, if there is one.
///
/// # Errors
/// When it is not understood, or is another model's: each plain token of the GGUF must have the same id in it.
pub(super) fn of_gguf(file: &GgufFile) -> Result<Option<(Library, PathBuf)>> {
    let path = file.path().with_file_name("tokenizer.json");
    if !is_there(&path)? {
        return Ok(None);
    }
    let json = MappedFile::open(&path)?.whole()?;
    let library = Library::from_json(&json).map_err(|reason| ModelError::tokenizer(&path, reason))?;
    check(&Vocabulary::read(file)?, &library, &path)?;
    Ok(Some((library, path)))
}

fn check(vocabulary: &Vocabulary, library: &Library, path: &Path) -> Result<()> {
    for (id, token) in vocabulary.tokens.iter().enumerate().filter(|(id, _)| vocabulary.types[*id] == NORMAL) {
        let other = u32::try_from(id).ok().and_then(|id| library.text(id));
        if other.as_deref() != Some(*token) {
            let other = other.map_or_else(|| "none".to_owned(), |other| format!("`{}`", shown(&other)));
            let reason =
                format!("it is another model's: token {id} is {other} there, and `{}` in the GGUF", shown(token));
            return Err(ModelError::tokenizer(path, reason));
        }
    }
    Ok(())
}

/// What is wrong with the GGUF's own vocabulary, and with the file beside it.
pub(super) fn both(own: ModelError, beside: ModelError) -> ModelError {
    match own {
        ModelError::Tokenizer { path, reason } => ModelError::tokenizer(&path, format!("{reason}; and {beside}")),
        other => other,
    }
}
