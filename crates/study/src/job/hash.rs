//! What a model and a corpus are, as SHA-256: [`hash_checkpoint`], [`hash_tokens`].

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};
use stratigraph_core::TokenWindows;
use stratigraph_models::Pretrained;

use crate::{Error, Result};

/// The SHA-256 of a checkpoint's content: of a single file what `sha256sum FILE` prints, and of a directory what
/// `sha256sum config.json model.safetensors | sha256sum` prints there (with the files that it has, sorted by name).
///
/// The tokenizer is left out: a job's token ids have a hash of their own.
///
/// # Errors
/// When a file cannot be read.
pub fn hash_checkpoint(checkpoint: &Pretrained) -> Result<String> {
    let mut files = checkpoint.files();
    files.sort();
    if let [file] = &files[..] {
        return hash_file(file);
    }
    let mut all = Sha256::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        all.update(format!("{}  {name}\n", hash_file(&file)?));
    }
    Ok(hex(all))
}

/// The SHA-256 of the token ids of all windows, each as four bytes, the lowest first.
pub fn hash_tokens(windows: &TokenWindows) -> String {
    hash_bytes(&token_bytes(windows.ids()))
}

/// Token ids as they are stored.
pub(crate) fn token_bytes(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

pub(crate) fn hash_bytes(bytes: &[u8]) -> String {
    hex(Sha256::new_with_prefix(bytes))
}

fn hash_file(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let read = File::open(path).and_then(|mut file| io::copy(&mut file, &mut hash));
    read.map_err(|error| Error::io(path, error))?;
    Ok(hex(hash))
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
