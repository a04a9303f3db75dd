//! Copies of fixtures that a test may damage, and what an error says.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use stratigraph_models::{Checkpoint, ModelError};
use stratigraph_testing::{device, fixture};
use tempfile::TempDir;

/// A copy of a fixture that a test may damage.
pub fn copy(name: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    let path = dir.path().to_owned();
    (dir, path)
}

pub fn load(path: &Path) -> Result<(), ModelError> {
    Checkpoint::open(path)?.load(&device()).map(|_| ())
}

#[track_caller]
pub fn assert_says(result: Result<(), ModelError>, parts: &[&str]) {
    let message = result.expect_err("this must be refused").to_string();
    for part in parts {
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
    assert!(!message.contains('\n'), "one line: {message}");
}

/// Sets keys of `config.json`; null takes one away.
pub fn configure(path: &Path, changes: Value) {
    let file = path.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    fs::write(file, config.to_string()).unwrap();
}

/// Rewrites the header of a safetensors file.
pub fn rewrite_header(path: &Path, change: impl FnOnce(&mut Value)) {
    let file = path.join("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    change(&mut header);
    let header = header.to_string();
    let parts = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[8 + length..]];
    fs::write(file, parts.concat()).unwrap();
}

pub fn position(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).expect("it is there")
}
