//! A directory for results: [`OutDir`].

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::{ReportError, Result};

/// An empty directory for results. Creating it before a long study finds out early whether they can be written.
#[derive(Debug)]
pub struct OutDir {
    path: PathBuf,
}

impl OutDir {
    /// Creates the directory, or takes one that is empty, and tries whether it can be written.
    ///
    /// # Errors
    /// When it holds something or cannot be written.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |error| ReportError::io(path, error);
        fs::create_dir_all(path).map_err(failed)?;
        if fs::read_dir(path).map_err(failed)?.next().is_some() {
            return Err(ReportError::NotEmpty { path: path.to_owned() });
        }
        let probe = path.join(".stratigraph");
        fs::write(&probe, []).and_then(|()| fs::remove_file(&probe)).map_err(failed)?;
        Ok(Self { path: path.to_owned() })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes another file, and returns its path.
    ///
    /// # Errors
    /// When it exists already or cannot be written.
    pub fn write_file(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        write_new(self.path.join(name), content)
    }
}

/// Writes a file that does not exist yet, and creates its directory.
pub(crate) fn write_new(path: PathBuf, content: &[u8]) -> Result<PathBuf> {
    let directory = path.parent().map_or(Ok(()), fs::create_dir_all);
    let created = directory.and_then(|()| File::create_new(&path));
    created.and_then(|mut file| file.write_all(content)).map_err(|error| ReportError::io(&path, error))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_no_directory_for_results() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(OutDir::create(file.path()), Err(ReportError::Io { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_path_need_not_be_utf_8() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(std::ffi::OsStr::from_bytes(b"r\xe9sultats"));
        let written = OutDir::create(&path).unwrap().write_file("a/b.txt", b"text").unwrap();
        assert_eq!(fs::read(written).unwrap(), b"text");
    }
}
