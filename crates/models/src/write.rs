//! Files and directories that are written atomically: [`PendingFile`], [`PendingDirectory`].

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::Serialize;

use crate::{ModelError, Result};

/// A file that is being written. An error names the place that it is for, not the place where it is until then.
pub(crate) struct NewFile {
    out: BufWriter<File>,
    destination: PathBuf,
}

impl NewFile {
    /// Writes a new file at `path`, which is to end up at `destination`; it is on the disk when this returns.
    fn write(path: &Path, destination: &Path, content: impl FnOnce(&mut NewFile) -> Result<()>) -> Result<()> {
        let file = File::create(path).map_err(ModelError::write(destination))?;
        let mut file = Self { out: BufWriter::new(file), destination: destination.to_owned() };
        content(&mut file)?;
        let Self { out, destination } = file;
        let synced = out.into_inner().map_err(std::io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        synced.map_err(ModelError::write(&destination))
    }

    /// Appends bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(ModelError::write(&self.destination))
    }
}

/// A whole file beside its place, to which [`commit`](PendingFile::commit) moves it; without that it is removed.
pub(crate) struct PendingFile {
    partial: PathBuf,
    path: PathBuf,
}

impl PendingFile {
    /// Writes the file that is to be at `path`.
    pub(crate) fn write(path: &Path, content: impl FnOnce(&mut NewFile) -> Result<()>) -> Result<Self> {
        let pending = Self { partial: path.with_extension("partial"), path: path.to_owned() };
        NewFile::write(&pending.partial, path, content)?;
        Ok(pending)
    }

    /// Moves the file to its place; one that is there is replaced.
    pub(crate) fn commit(self) -> Result<()> {
        fs::rename(&self.partial, &self.path).map_err(ModelError::write(&self.path))
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.partial); // it is not there after a commit, and after an error that one is the useful one
    }
}

/// A new directory beside its place, to which [`commit`](PendingDirectory::commit) moves it; without that it is removed.
pub(crate) struct PendingDirectory {
    partial: PathBuf,
    path: PathBuf,
}

impl PendingDirectory {
    /// A directory that is to be at `path`, where there is nothing yet, or an empty directory.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let path = refuse_occupied(path)?;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(occupied(&path, "it is the root of a file system"));
        };
        fs::create_dir_all(parent).map_err(ModelError::write(parent))?;
        let partial = parent.join(format!(".{}.partial-{}", name.to_string_lossy(), std::process::id()));
        match fs::create_dir(&partial) {
            // What another process of this number left when it was killed.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::remove_dir_all(&partial).and_then(|()| fs::create_dir(&partial))
            }
            created => created,
        }
        .map_err(ModelError::write(&path))?;
        Ok(Self { partial, path })
    }

    /// Where the directory is until it is moved.
    pub(crate) fn partial(&self) -> &Path {
        &self.partial
    }

    /// The names of its files, sorted.
    pub(crate) fn file_names(&self) -> Result<Vec<OsString>> {
        let entries = fs::read_dir(&self.partial).map_err(ModelError::write(&self.path))?;
        let mut names: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
        names.sort();
        Ok(names)
    }

    /// Writes a file of the directory.
    pub(crate) fn file(&self, name: &str, content: impl FnOnce(&mut NewFile) -> Result<()>) -> Result<()> {
        NewFile::write(&self.partial.join(name), &self.path.join(name), content)
    }

    /// Moves the directory to its place.
    pub(crate) fn commit(self) -> Result<()> {
        fs::rename(&self.partial, &self.path).map_err(ModelError::write(&self.path))
    }
}

impl Drop for PendingDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.partial); // it is not there after a commit
    }
}

/// The absolute path of a directory that can be made, or is there and empty.
fn refuse_occupied(path: &Path) -> Result<PathBuf> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return std::path::absolute(path).map_err(ModelError::write(path));
        }
        Err(error) => return Err(ModelError::write(path)(error)),
        Ok(_) => {}
    }
    let path = path.canonicalize().map_err(|_| occupied(path, "it is a link to nothing"))?;
    if !path.is_dir() {
        return Err(occupied(&path, "it is a file; name a directory"));
    }
    if fs::read_dir(&path).map_err(ModelError::write(&path))?.next().is_some() {
        return Err(occupied(&path, "the directory is not empty; name a new one"));
    }
    if is_mount(&path) {
        return Err(occupied(&path, "a file system is mounted there; name a directory inside of it"));
    }
    Ok(path)
}

fn occupied(path: &Path, reason: &str) -> ModelError {
    ModelError::Write { path: path.to_owned(), reason: std::io::Error::new(ErrorKind::AlreadyExists, reason) }
}

/// Whether the directory is on another file system than the one that it is in.
#[cfg(unix)]
fn is_mount(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.dev());
    path.parent().is_some_and(|parent| device(parent) != device(path))
}

#[cfg(not(unix))]
fn is_mount(_: &Path) -> bool {
    false
}

/// Writes a value as JSON with a line for each entry.
pub(crate) fn put_json(file: &mut NewFile, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).expect("a map of plain values");
    text.push(b'\n');
    file.put(&text)
}

/// A tensor that is to be written to a safetensors file, with what its bytes are read from.
pub(crate) struct NewTensor<'a, D> {
    pub(crate) name: &'a str,
    pub(crate) dtype: Dtype,
    pub(crate) shape: &'a [usize],
    /// How many bytes it has.
    pub(crate) size: usize,
    pub(crate) data: D,
}

/// Writes a safetensors file as transformers does; `put` appends the bytes of one tensor after the other.
pub(crate) fn put_safetensors<D>(
    file: &mut NewFile,
    mut tensors: Vec<NewTensor<'_, D>>,
    put: impl Fn(&mut NewFile, &D) -> Result<()>,
) -> Result<()> {
    // The widest types first, so that each tensor is aligned.
    tensors.sort_by(|a, b| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(b.name)));
    let (mut infos, mut start) = (Vec::with_capacity(tensors.len()), 0);
    for NewTensor { name, dtype, shape, size, .. } in &tensors {
        let (dtype, shape, data_offsets) = (*dtype, shape.to_vec(), (start, start + size));
        infos.push(((*name).to_owned(), TensorInfo { dtype, shape, data_offsets }));
        start += size;
    }
    let format = [("format".to_owned(), "pt".to_owned())].into(); // transformers refuses a file without it
    let malformed = |reason: String| ModelError::malformed(&file.destination, reason);
    let metadata = Metadata::new(Some(format), infos).map_err(|error| malformed(error.to_string()))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| malformed(error.to_string()))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    file.put(&(header.len() as u64).to_le_bytes())?;
    file.put(&header)?;
    tensors.iter().try_for_each(|tensor| put(file, &tensor.data))
}
