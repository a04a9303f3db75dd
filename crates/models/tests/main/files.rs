//! Files of weights whose headers lie; each error names the file.

use std::fs;

use serde_json::json;
use stratigraph_models::Checkpoint;
use stratigraph_testing::{device, fixture};

use crate::support::{assert_says, copy, load, position, rewrite_header};

#[test]
fn safetensors_whose_header_lies_or_whose_end_is_missing() {
    let (_keep, path) = copy("llama-gqa");
    let file = path.join("model.safetensors");
    let whole = fs::read(&file).unwrap();
    for length in [0, 1, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        assert_says(load(&path), &["model.safetensors"]);
    }
    let mut huge = whole.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(&file, huge).unwrap();
    assert_says(load(&path), &["model.safetensors", "damaged"]);
    fs::write(&file, &whole).unwrap();
    rewrite_header(&path, |header| header["model.norm.weight"]["data_offsets"] = json!([0, 96]));
    assert_says(load(&path), &["model.safetensors", "damaged"]);
}

#[test]
fn gguf_files_cut_short_or_with_a_header_that_lies() {
    let whole = fs::read(fixture("llama-gqa/model.gguf")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("broken.gguf");
    let lengths = (0..whole.len()).step_by(997).chain([1, 4, 8, 23, whole.len() - 1]);
    for length in lengths {
        fs::write(&file, &whole[..length]).unwrap();
        assert_says(load(&file), &["broken.gguf"]);
    }
    for (at, what) in [(8, "tensors"), (16, "metadata")] {
        let mut huge = whole.clone();
        huge[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        fs::write(&file, huge).unwrap();
        assert_says(load(&file), &["broken.gguf"]);
        println!("a huge count of {what} is refused");
    }
    let offset_of_norm = position(&whole, b"output_norm.weight") + "output_norm.weight".len() + 4 + 8 + 4;
    let mut moved = whole.clone();
    moved[offset_of_norm..offset_of_norm + 8].copy_from_slice(&(1u64 << 40).to_le_bytes());
    fs::write(&file, moved).unwrap();
    assert_says(load(&file), &["output_norm.weight", "inside the file"]);
    // Where the first tensor lies, inside the file but another one's place, and between two aligned places.
    for (offset, part) in [(0u64, "overlaps"), (33, "overlaps")] {
        let mut moved = whole.clone();
        moved[offset_of_norm..offset_of_norm + 8].copy_from_slice(&offset.to_le_bytes());
        fs::write(&file, moved).unwrap();
        assert_says(load(&file), &["broken.gguf", part]);
    }
    let mut twice = whole.clone();
    let name = position(&whole, b"blk.1.ffn_norm.weight");
    twice[name + 4] = b'0';
    fs::write(&file, twice).unwrap();
    assert_says(load(&file), &["same name"]);
}

#[test]
fn flipped_bits_never_panic() {
    let whole = fs::read(fixture("llama-gqa/model.gguf")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("flipped.gguf");
    // The header: metadata, vocabulary and tensor table.
    for at in (0..9_000).step_by(13) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&file, bytes).unwrap();
        if let Ok(checkpoint) = Checkpoint::open(&file) {
            let _ = checkpoint.tokenizer();
            let _ = checkpoint.load(&device());
        }
    }
}
