//! Text files, cut into pieces, some of which are held out: [`Texts`].

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use stratigraph_core::hex;

use crate::{Result, TrainError};

/// Of each text, one in this many pieces is held out.
const ONE_IN: usize = 40;
/// Pieces end at the first line that ends after this many bytes.
const PIECE_BYTES: usize = 8192;

/// Texts, cut between lines into pieces of about 8 KB. Of each text, one in forty pieces is held out.
///
/// ```
/// use stratigraph_train::Texts;
/// let texts = Texts::from_documents(["All work and no play.\n".repeat(20_000)]);
/// let n_bytes = |pieces: &[String]| pieces.iter().map(String::len).sum::<usize>();
/// assert_eq!(n_bytes(texts.train()) + n_bytes(texts.held_out()), 22 * 20_000);
/// assert_eq!(texts.held_out().len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    train: Vec<String>,
    held_out: Vec<String>,
}

impl Texts {
    /// Reads text files, and of directories every `.txt` file in them, in the order of their paths.
    ///
    /// # Errors
    /// When there is no file, or one cannot be read or is not UTF-8.
    pub fn read<P: AsRef<Path>>(paths: &[P]) -> Result<Self> {
        let paths: Vec<_> = paths.iter().map(AsRef::as_ref).collect();
        let read = |file: &PathBuf| fs::read_to_string(file).map_err(TrainError::read(file));
        let documents = files(&paths)?.iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok(Self::from_documents(documents))
    }

    /// Takes texts that are already in memory, each one as a file is taken.
    pub fn from_documents(documents: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut texts = Self { train: Vec::new(), held_out: Vec::new() };
        for document in documents {
            for (index, piece) in pieces(document.as_ref()).enumerate() {
                // The last of each run of pieces is held out, so that a short text is trained on.
                let part = if index % ONE_IN == ONE_IN - 1 { &mut texts.held_out } else { &mut texts.train };
                part.push(piece.to_owned());
            }
        }
        texts
    }

    /// The pieces to train on.
    pub fn train(&self) -> &[String] {
        &self.train
    }

    /// The pieces that are held out.
    pub fn held_out(&self) -> &[String] {
        &self.held_out
    }

    /// An error unless a part is held out.
    pub(crate) fn check(&self) -> Result<()> {
        if self.held_out.is_empty() {
            let n_bytes = self.train.iter().map(String::len).sum();
            return Err(TrainError::TooLittleText { n_bytes, needed: ONE_IN * PIECE_BYTES });
        }
        Ok(())
    }

    /// What identifies the content, in hexadecimal.
    pub(crate) fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for part in [&self.train, &self.held_out] {
            part.iter().for_each(|piece| hash.update(piece));
            hash.update([0xff]); // a byte that no text in UTF-8 has
        }
        hex(&hash.finalize())
    }
}

/// The files among `paths` and in the directories among them.
fn files(paths: &[&Path]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let entries = fs::read_dir(path).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
            let entries = entries.map_err(TrainError::read(path))?.into_iter().map(|entry| entry.path());
            files.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "txt")));
        } else {
            files.push(path.to_path_buf());
        }
    }
    files.sort();
    if files.is_empty() {
        let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(TrainError::NoTexts { paths: paths.join(", ") });
    }
    Ok(files)
}

/// Cuts a text between lines.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let from = rest.floor_char_boundary(PIECE_BYTES);
        let end = rest[from..].find('\n').map_or(rest.len(), |line| from + line + 1);
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lose_nothing() {
        let text = "one line\n".repeat(5000) + "é".repeat(9000).as_str();
        assert_eq!(pieces(&text).collect::<String>(), text);
        assert!(pieces(&text).count() > 4);
    }

    #[test]
    fn a_directory_is_its_txt_files_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("b.txt", "second\n"), ("a.txt", "first\n"), ("c.md", "not a text\n")] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let texts = Texts::read(&[dir.path()]).unwrap();
        assert_eq!(texts.train(), ["first\n", "second\n"]);
        assert_eq!(texts, Texts::read(&[dir.path().join("b.txt"), dir.path().join("a.txt")]).unwrap());
    }

    #[test]
    fn the_hash_tells_what_is_held_out() {
        let texts = |train: &str, held_out: &str| Texts { train: vec![train.into()], held_out: vec![held_out.into()] };
        assert_eq!(texts("ab", "c").sha256(), texts("ab", "c").sha256());
        assert_ne!(texts("ab", "c").sha256(), texts("a", "bc").sha256());
        assert_ne!(texts("ab", "c").sha256(), texts("ab", "d").sha256());
    }
}
