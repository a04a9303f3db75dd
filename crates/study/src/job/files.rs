//! Files that are either complete or absent: [`write_whole`], [`write_new`].

use std::ffi::OsStr;
#[cfg(unix)]
use std::fs::Permissions;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

use crate::{Result, StudyError};

/// The end of the names of files that are being written.
const PARTIAL: &str = ".partial";

/// Writes a file that is either complete or absent, whenever the process or the machine stops. An existing one is
/// replaced.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    let write = || -> io::Result<()> {
        partial(path, content)?.persist(path)?;
        Ok(())
    };
    match write() {
        // Another process has written the same and removed ours as a leftover.
        Err(reason) if reason.kind() == ErrorKind::NotFound && path.exists() => {}
        written => written.map_err(|reason| StudyError::io(path, reason))?,
    }
    sync_directory(path);
    Ok(())
}

/// Writes a file that is either complete or absent, unless there is one; returns whether it was written.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> Result<bool> {
    let write = || -> io::Result<bool> {
        match partial(path, content)?.persist_noclobber(path) {
            Ok(_) => Ok(true),
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.error),
        }
    };
    match write() {
        Err(reason) if reason.kind() == ErrorKind::NotFound && path.exists() => Ok(false),
        written => {
            let written = written.map_err(|reason| StudyError::io(path, reason))?;
            sync_directory(path);
            Ok(written)
        }
    }
}

/// A file beside `path` that has the content, on disk.
fn partial(path: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    let prefix = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
    builder.prefix(&prefix).suffix(PARTIAL);
    #[cfg(unix)]
    builder.permissions(Permissions::from_mode(0o666)); // minus the user's umask
    let mut file = builder.tempfile_in(directory_of(path))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn directory_of(path: &Path) -> &Path {
    path.parent().expect("a file of a job lies in its directory")
}

/// A new name is safe when its directory is on disk too; not every file system can do that.
fn sync_directory(path: &Path) {
    #[cfg(unix)]
    let _ = File::open(directory_of(path)).and_then(|directory| directory.sync_all());
    #[cfg(not(unix))]
    let _ = path;
}

/// Whether a name is that of the unfinished copy of a file, which a killed process has left.
pub(crate) fn is_partial_of(file: &str, name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let random = name.strip_prefix('.').and_then(|name| name.strip_suffix(PARTIAL)?.strip_prefix(file));
    random.is_some_and(|random| random.starts_with('.'))
}

/// Removes partial files of killed processes whose complete file exists.
pub(crate) fn remove_leftovers(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let whole = name.strip_prefix('.').and_then(|name| name.strip_suffix(PARTIAL)?.rsplit_once('.'));
        if whole.is_some_and(|(file, _)| directory.join(file).exists()) {
            let _ = fs::remove_file(entry.path()); // one that stays does no harm
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("000001.json");
        for content in ["first", "second"] {
            write_whole(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let error = write_whole(&directory.path().join("absent/000001.json"), b"").unwrap_err();
        assert!(matches!(error, StudyError::Io { .. }), "{error}");
    }

    #[test]
    fn a_new_file_does_not_replace_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("means.safetensors");
        assert!(write_new(&path, b"first").unwrap() && !write_new(&path, b"second").unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(write_new(&directory.path().join("absent/000001.json"), b"").is_err());
    }

    #[test]
    fn leftovers_of_whole_files_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        assert!(is_partial_of("000001.json", OsStr::new(".000001.json.Ab3.partial")));
        assert!(!is_partial_of("00001.json", OsStr::new("notes.partial")));
        for name in ["000001.json", ".000001.json.Ab3.partial", ".000002.json.Cd4.partial", "notes.partial"] {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        remove_leftovers(directory.path());
        let left = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut left: Vec<_> = left.map(|name| name.into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, [".000002.json.Cd4.partial", "000001.json", "notes.partial"]);
    }
}
