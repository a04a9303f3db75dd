//! Where documents come from: [`Source`], a file or input that is kept, in a [`DocumentFormat`].

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use crate::spool::Spool;
use crate::{CorpusError, Result};

/// How documents are stored in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DocumentFormat {
    /// The file is one document.
    Text,
    /// Each line is a JSON object, of which one field is the text of a document.
    JsonLines,
    /// Each row is a document, the text in one column.
    Parquet,
}

impl DocumentFormat {
    /// By the end of a file's name: `.jsonl` and `.ndjson`, `.parquet`, and text for every other. A [`Corpus`](crate::Corpus) does
    /// not read `.json` and compressed files so, unless it is given a format.
    pub fn of_name(name: &Path) -> Self {
        match name.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("jsonl" | "ndjson") => DocumentFormat::JsonLines,
            Some("parquet") => DocumentFormat::Parquet,
            _ => DocumentFormat::Text,
        }
    }
}

/// Why a file is perhaps no text, although its name is that of no other format.
fn doubt(name: &Path) -> Option<&'static str> {
    match name.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "json" => Some("name it with --text-format"),
        "gz" | "zst" | "bz2" | "xz" | "zip" => Some("the file is compressed; decompress it first"),
        _ => None,
    }
}

/// A file, or input that cannot be read twice.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) format: DocumentFormat,
    /// Why that may be another one than its documents have.
    pub(crate) doubt: Option<&'static str>,
    input: Input,
}

enum Input {
    File(PathBuf),
    Kept(Spool),
}

/// What is read from any place.
pub(crate) trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

impl Source {
    /// A file, a pipe or a device.
    pub(crate) fn file(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let (format, doubt) = (DocumentFormat::of_name(path), doubt(path));
        let is_file = fs::metadata(path).map_err(CorpusError::io(&name))?.is_file();
        if is_file {
            return Ok(Self { name, format, doubt, input: Input::File(path.to_owned()) });
        }
        let input = File::open(path).map_err(CorpusError::io(&name))?;
        Self::stream(&name, format, Box::new(input))
    }

    /// Input that cannot be read twice.
    pub(crate) fn stream(name: &str, format: DocumentFormat, input: Box<dyn Read + Send>) -> Result<Self> {
        let spool = Spool::new(input).map_err(CorpusError::io("a temporary file"))?;
        Ok(Self { name: name.to_owned(), format, doubt: None, input: Input::Kept(spool) })
    }

    /// The files of a directory and of those in it, by name; hidden ones are left out.
    pub(crate) fn directory(path: &Path) -> Result<Vec<Self>> {
        let mut files = Vec::new();
        collect(path, &mut files)?;
        match files.is_empty() {
            true => Err(CorpusError::NoFiles { name: path.display().to_string() }),
            false => files.iter().map(|file| Self::file(file)).collect(),
        }
    }

    /// A reader from the beginning.
    pub(crate) fn open(&self) -> Result<Box<dyn ReadSeek>> {
        Ok(match &self.input {
            Input::File(path) => Box::new(File::open(path).map_err(CorpusError::io(&self.name))?),
            Input::Kept(spool) => Box::new(spool.reader()),
        })
    }

    /// A file that holds all of it.
    #[cfg(feature = "parquet")]
    pub(crate) fn as_file(&self) -> Result<File> {
        let cannot = || CorpusError::io(&self.name);
        match &self.input {
            Input::File(path) => File::open(path).map_err(cannot()),
            Input::Kept(spool) => {
                let mut file = tempfile::tempfile().map_err(cannot())?;
                std::io::copy(&mut spool.reader(), &mut file).map_err(cannot())?;
                Ok(file)
            }
        }
    }

    /// Its bytes; a stream is read to its end.
    pub(crate) fn n_bytes(&self) -> Result<u64> {
        let length = match &self.input {
            Input::File(path) => fs::metadata(path).map(|metadata| metadata.len()),
            Input::Kept(spool) => spool.len(),
        };
        length.map_err(CorpusError::io(&self.name))
    }
}

/// Files below a directory in the order of their names. Links to files are followed, links to directories are not.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let name = directory.display().to_string();
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut entries = entries.map_err(CorpusError::io(&name))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries.iter().filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b".")) {
        let path = entry.path();
        if entry.file_type().map_err(CorpusError::io(&name))?.is_dir() {
            collect(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_its_files_by_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        for name in ["c.txt", "b/x.jsonl", "b/.hidden", "a.parquet", "d.JSONL"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        let found = Source::directory(dir.path()).unwrap();
        let short = |source: &Source| source.name[dir.path().as_os_str().len() + 1..].to_owned();
        assert_eq!(found.iter().map(short).collect::<Vec<_>>(), ["a.parquet", "b/x.jsonl", "c.txt", "d.JSONL"]);
        use DocumentFormat::{JsonLines, Parquet, Text};
        assert_eq!(found.iter().map(|it| it.format).collect::<Vec<_>>(), [Parquet, JsonLines, Text, JsonLines]);
        fs::create_dir(dir.path().join("empty")).unwrap();
        assert!(matches!(Source::directory(&dir.path().join("empty")), Err(CorpusError::NoFiles { .. })));
    }
}
