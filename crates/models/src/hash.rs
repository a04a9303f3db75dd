//! What identifies a checkpoint's content: [`Checkpoint::sha256`].

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};
use stratigraph_core::hex;

use crate::{Checkpoint, ModelError, Result};

impl Checkpoint {
    /// The SHA-256 of the checkpoint's content, in hexadecimal: of a single file what `sha256sum FILE` prints, and of a
    /// directory what `sha256sum config.json model.safetensors | sha256sum` prints in it (with the files that it has,
    /// sorted by name); of a split GGUF that of its parts. The tokenizer is left out. The files are read once, and the hash is kept.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn sha256(&self) -> Result<String> {
        if let Some(known) = self.sha256.get() {
            return Ok(known.clone());
        }
        let found = self.hash()?;
        Ok(self.sha256.get_or_init(|| found).clone())
    }

    fn hash(&self) -> Result<String> {
        let mut files = self.files();
        files.sort();
        if let [file] = &files[..] {
            return hash_file(file);
        }
        let mut all = Sha256::new();
        for file in files {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            all.update(format!("{}  {name}\n", hash_file(&file)?));
        }
        Ok(hex(&all.finalize()))
    }
}

fn hash_file(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let read = File::open(path).and_then(|mut file| io::copy(&mut file, &mut hash));
    read.map_err(ModelError::io(path))?;
    Ok(hex(&hash.finalize()))
}

#[cfg(all(test, unix))]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use crate::Checkpoint;

    #[test]
    fn a_checkpoint_has_the_hash_that_sha256sum_gives() {
        let directory = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/llama-gqa"));
        let sum = |command: &str| {
            let output = Command::new("sh").args(["-c", command]).current_dir(&directory).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
        };
        let of_directory = Checkpoint::open(&directory).unwrap().sha256().unwrap();
        assert_eq!(of_directory, sum("sha256sum config.json model.safetensors | sha256sum"));
        let of_file = Checkpoint::open(directory.join("model.gguf")).unwrap().sha256().unwrap();
        assert_eq!(of_file, sum("sha256sum model.gguf"));
    }
}
