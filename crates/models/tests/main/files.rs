//! Files of weights: every type of GGUF, and headers that lie; each error names the file.

use std::fs;

use burn::tensor::Tensor;
use rlx_gguf::{GgmlType, GgufWriter, MetaValue, TensorPayload};
use serde_json::json;
use stratigraph_core::ResidualModel;
use stratigraph_models::Checkpoint;
use stratigraph_testing::{Expected, device, fixture, host};

use crate::support::{assert_says, copy, load, position, rewrite_header};

#[test]
fn every_gguf_type_is_read_as_its_reference_reads_it() {
    // The reader sees the file through a model, so each type becomes the embedding of one.
    let types = fixture("gguf-types.gguf");
    let header = rlx_gguf::GgufFile::from_path(&types).unwrap();
    let expected = Expected::open("gguf-types.safetensors");
    for name in ["f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k"] {
        let tensor = &header.tensors[name];
        let bytes = header.tensor_bytes(tensor).unwrap().to_vec();
        let file = embedding_gguf(tensor.dtype, bytes);
        let model = Checkpoint::open(file.path()).unwrap().load(&device()).unwrap();
        let ids = Tensor::from_data([[0, 1]], &device());
        let found = host(model.embed(ids).unwrap());
        assert_eq!(found, expected.tensor(name).values, "{name}");
    }
}

/// A one-layer model with a width of 256 whose embedding of two tokens is stored as `dtype`.
fn embedding_gguf(dtype: GgmlType, bytes: Vec<u8>) -> tempfile::NamedTempFile {
    let mut writer = GgufWriter::new();
    writer.set_arch("llama");
    let sizes = [("block_count", 1), ("context_length", 8), ("embedding_length", 256), ("feed_forward_length", 1)];
    for (key, value) in sizes.into_iter().chain([("attention.head_count", 1), ("attention.key_length", 2)]) {
        writer.set_meta(format!("llama.{key}"), MetaValue::U32(value));
    }
    writer.set_meta("llama.attention.layer_norm_rms_epsilon", MetaValue::F32(1e-5));
    let zeros = |name: &str, shape: Vec<usize>| {
        let bytes = vec![0; shape.iter().product::<usize>() * 4];
        TensorPayload { name: name.into(), shape, dtype: GgmlType::F32, bytes }
    };
    let mut tensors = vec![
        TensorPayload { name: "token_embd.weight".into(), shape: vec![256, 2], dtype, bytes },
        zeros("output_norm.weight", vec![256]),
    ];
    let shapes = [
        ("attn_norm", vec![256]),
        ("attn_q", vec![256, 2]),
        ("attn_k", vec![256, 2]),
        ("attn_v", vec![256, 2]),
        ("attn_output", vec![2, 256]),
        ("ffn_norm", vec![256]),
        ("ffn_gate", vec![256, 1]),
        ("ffn_up", vec![256, 1]),
        ("ffn_down", vec![1, 256]),
    ];
    tensors.extend(shapes.into_iter().map(|(name, shape)| zeros(&format!("blk.0.{name}.weight"), shape)));
    tensors.into_iter().for_each(|tensor| writer.add_tensor(tensor).unwrap());
    let file = tempfile::NamedTempFile::new().unwrap();
    writer.write_to_path(file.path()).unwrap();
    file
}

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
fn a_gguf_alignment_of_zero() {
    let mut writer = GgufWriter::new();
    writer.set_arch("llama");
    writer.set_meta("general.alignment", MetaValue::U32(32));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zero.gguf");
    writer.write_to_path(&file).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let value = position(&bytes, b"general.alignment") + "general.alignment".len() + 4;
    bytes[value..value + 4].copy_from_slice(&[0; 4]);
    fs::write(&file, bytes).unwrap();
    assert_says(load(&file), &["alignment of 0"]);
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
