//! What the decoder's hooks show and what its errors are, on the checkpoints of every family.

mod hooks;
mod replaced;

use std::path::PathBuf;

use burn::tensor::{Device, Tensor};
use stratigraph_core::TokenWindows;

use super::Decoder;
use crate::Checkpoint;

const SEQ_LEN: usize = 12;
const FAMILIES: [&str; 16] = [
    "gemma3",
    "gemma3-plain",
    "gpt2",
    "gpt2-prefixed",
    "llama-bf16",
    "llama-f16",
    "llama-gqa",
    "llama-untied",
    "mistral",
    "neox-parallel",
    "neox-sequential",
    "phi",
    "phi-gqa",
    "qwen2",
    "qwen2-sliding",
    "qwen3",
];

fn checkpoint(name: &str) -> Checkpoint {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    Checkpoint::open(fixtures.join(name)).unwrap()
}

fn load(name: &str) -> Decoder {
    checkpoint(name).load(&Device::flex()).unwrap()
}

fn windows() -> TokenWindows {
    TokenWindows::new(&(0..2 * SEQ_LEN as u32).map(|i| i * i * 5 % 61).collect::<Vec<_>>(), SEQ_LEN).unwrap()
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.try_into_vec_as().unwrap()
}

#[track_caller]
fn close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let near = (found - expected).abs() <= 2e-5 * expected.abs().max(1.0);
        assert!(near || found == expected, "{what} at {index}: {found}, expected {expected}");
    }
}
