//! GGUF files of every kind: types of tensors, split files, the other byte order.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Int, Tensor};
use rlx_gguf::{GgmlType, GgufFile, GgufWriter, MetaValue, TensorPayload};
use stratigraph_core::{NoTap, ResidualModel, RunModel};
use stratigraph_models::{Checkpoint, Tokenizer};
use stratigraph_testing::{Expected, device, fixture, host};
use tempfile::TempDir;

use crate::support::{assert_says, load, position};

/// Reads every type of a file through a model, whose embedding it becomes, and compares it with its reference.
fn compare_types(file: &str, names: &[&str]) {
    let header = GgufFile::from_path(fixture(&format!("{file}.gguf"))).unwrap();
    let expected = Expected::open(&format!("{file}.safetensors"));
    assert_eq!(header.tensors.len(), names.len());
    for name in names {
        let tensor = &header.tensors[*name];
        let bytes = header.tensor_bytes(tensor).unwrap().to_vec();
        let file = embedding_gguf(tensor.dtype, bytes);
        let model = Checkpoint::open(file.path()).unwrap().load(&device()).unwrap();
        let ids = Tensor::from_data([[0, 1]], &device());
        let found = host(model.embed(ids).unwrap());
        assert_eq!(found, expected.tensor(name).values, "{name}");
    }
}

#[test]
fn every_gguf_type_is_read_as_its_reference_reads_it() {
    compare_types(
        "gguf-types",
        &["f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k"],
    );
}

#[test]
fn gguf_types_of_few_bits_are_read_as_their_reference_reads_them() {
    compare_types(
        "gguf-more-types",
        &[
            "iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_nl", "iq4_xs", "tq1_0", "tq2_0",
            "mxfp4", "q1_0", "q8_k",
        ],
    );
}

#[test]
fn gguf_types_without_a_reference_are_refused_by_name() {
    for (dtype, bytes, name) in [(GgmlType::I8, 512, "I8"), (GgmlType::F64, 4096, "F64")] {
        let file = embedding_gguf(dtype, vec![0; bytes]);
        assert_says(load(file.path()), &["token_embd.weight", name, "docs/models.md"]);
    }
    // A type of unknown size in the place of another one's number.
    let mut bytes = fs::read(embedding_gguf(GgmlType::F16, vec![0; 1024]).path()).unwrap();
    let dtype = position(&bytes, b"token_embd.weight") + "token_embd.weight".len() + 4 + 2 * 8;
    bytes[dtype] = GgmlType::Q8_1 as u8;
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    assert_says(load(file.path()), &["token_embd.weight", "Q8_1", "docs/models.md"]);
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

/// Writes `llama-gqa`'s GGUF as `gguf-split` does: the metadata and the first tensors in the first part.
fn split(directory: &Path, stem: &str, count: usize) -> Vec<PathBuf> {
    let whole = GgufFile::from_path(fixture("llama-gqa/model.gguf")).unwrap();
    let mut tensors: Vec<_> = whole.tensors.values().collect();
    tensors.sort_by_key(|tensor| tensor.offset);
    let share = tensors.len().div_ceil(count);
    let part = |(nth, tensors_of_part): (usize, &[&rlx_gguf::GgufTensor])| {
        let mut writer = GgufWriter::new();
        if nth == 0 {
            whole.metadata.iter().for_each(|(key, value)| writer.set_meta(key.clone(), value.clone()));
        }
        writer.set_meta("split.no", MetaValue::U16(nth as u16));
        writer.set_meta("split.count", MetaValue::U16(count as u16));
        writer.set_meta("split.tensors.count", MetaValue::I32(tensors.len() as i32));
        for tensor in tensors_of_part {
            let bytes = whole.tensor_bytes(tensor).unwrap().to_vec();
            let (name, shape, dtype) = (tensor.name.clone(), tensor.shape.clone(), tensor.dtype);
            writer.add_tensor(TensorPayload { name, shape, dtype, bytes }).unwrap();
        }
        let path = directory.join(format!("{stem}-{:05}-of-{count:05}.gguf", nth + 1));
        writer.write_to_path(&path).unwrap();
        path
    };
    tensors.chunks(share).enumerate().map(part).collect()
}

fn logits(path: &Path) -> Vec<f32> {
    let checkpoint = Checkpoint::open(path).unwrap();
    let model = checkpoint.load(&device()).unwrap();
    let ids = checkpoint.tokenizer().unwrap().encode("The lower layer is the older one.").unwrap();
    let ids: Vec<i32> = ids.into_iter().map(|id| id as i32).collect();
    let tokens = Tensor::<1, Int>::from_data(&ids[..], &device()).unsqueeze::<2>();
    host(model.logits(model.forward(tokens, &mut NoTap).unwrap()).unwrap())
}

#[test]
fn split_gguf_is_read_from_any_part_or_a_pattern() {
    let dir = TempDir::new().unwrap();
    let parts = split(dir.path(), "tiny", 3);
    assert_eq!(parts.len(), 3);
    let expected = logits(&fixture("llama-gqa/model.gguf"));
    let patterns = ["tiny-*.gguf", "tiny-*-of-00003.gguf", "*.gguf"].map(|pattern| dir.path().join(pattern));
    for path in parts.iter().chain(&patterns) {
        assert_eq!(logits(path), expected, "{}", path.display());
    }
    let checkpoint = Checkpoint::open(&parts[1]).unwrap();
    assert_eq!(checkpoint.files(), parts);
    assert_eq!(checkpoint.sha256().unwrap(), Checkpoint::open(&parts[0]).unwrap().sha256().unwrap());
    assert!(checkpoint.stream(&device()).is_ok());
    assert_eq!(Tokenizer::from_file(&parts[2]).unwrap().n_tokens(), 300);
}

#[test]
fn split_gguf_that_is_not_whole_is_refused_by_its_part() {
    let dir = TempDir::new().unwrap();
    let parts = split(dir.path(), "tiny", 3);
    let refused = |path: &Path, parts: &[&str]| assert_says(load(path), parts);
    let renamed = dir.path().join("part-two.gguf");
    fs::copy(&parts[1], &renamed).unwrap();
    refused(&renamed, &["part 2 of 3", "-00002-of-00003.gguf"]);
    fs::remove_file(&renamed).unwrap();
    let others = split(dir.path(), "other", 2);
    refused(&dir.path().join("*.gguf"), &["several models", "other-00001-of-00002.gguf"]);
    refused(&dir.path().join("none-*.gguf"), &["no file has such a name"]);
    // Another part in place of the third: its number is wrong, and its tensors are there twice.
    let third = fs::read(&parts[2]).unwrap();
    fs::copy(&parts[1], &parts[2]).unwrap();
    refused(&parts[0], &["tiny-00003-of-00003.gguf", "by its name it is part 3 of 3"]);
    fs::copy(&others[0], &parts[2]).unwrap();
    refused(&parts[0], &["by its name it is part 3 of 3"]);
    fs::write(&parts[2], &third[..third.len() / 2]).unwrap();
    refused(&parts[0], &["tiny-00003-of-00003.gguf", "damaged"]);
    fs::remove_file(&parts[2]).unwrap();
    refused(&parts[1], &["part 3 of 3 is missing", "tiny-00003-of-00003.gguf"]);
}

#[test]
fn gguf_in_the_other_byte_order_is_told_as_such() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("model.gguf");
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3u32.to_be_bytes());
    bytes.extend([5u64, 1].map(u64::to_be_bytes).concat());
    fs::write(&path, bytes).unwrap();
    assert_says(load(&path), &["model.gguf", "big-endian", "gguf-convert-endian FILE little"]);
}
