//! What several integration tests share: devices, fixtures and how to compare with them.
#![allow(dead_code)] // every test uses a part of it


use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use burn::tensor::{Device, Int, Tensor, TensorData};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use stratigraph::Backend;

/// Every backend of this build that the machine can run; says which are skipped and why.
pub fn devices() -> Vec<(Backend, Device)> {
    let open = |backend: Backend| match backend.device() {
        Ok(device) => Some((backend, device)),
        Err(reason) => {
            let required = backend == Backend::Wgpu && std::env::var_os("STRATIGRAPH_REQUIRE_WGPU").is_some();
            assert!(!required, "{reason}");
            skipped(&format!("{backend}: {reason}"));
            None
        }
    };
    let devices: Vec<_> = Backend::ALL.into_iter().filter_map(open).collect();
    assert!(!devices.is_empty(), "no backend at all");
    devices
}

/// A fast backend for tests that are not about backends.
pub fn device() -> Device {
    Backend::Flex.device().expect("tests are built with flex")
}

/// A command that runs an example which was built along with the tests, in the repository and without a network.
pub fn example(name: &str) -> Command {
    let deps = std::env::current_exe().unwrap();
    let mut command = Command::new(deps.parent().unwrap().parent().unwrap().join("examples").join(name));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("RUST_BACKTRACE", "1").env("HF_HUB_OFFLINE", "1");
    command
}

/// Says that a test did not run, past the test runner, which hides what a passing test prints.
pub fn skipped(reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}

/// A path as an argument of a command.
pub fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The checkpoints of all families, with what transformers computes for them.
pub const FAMILIES: [&str; 16] = [
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

/// Those that have a GGUF file beside them.
pub const GGUFS: [&str; 9] =
    ["gemma3", "gpt2", "llama-gqa", "llama-untied", "neox-parallel", "neox-sequential", "phi", "qwen2", "qwen3"];

/// Tensors that Hugging Face transformers computed.
pub struct Expected {
    bytes: Vec<u8>,
}

impl Expected {
    pub fn open(file: &str) -> Self {
        Self { bytes: std::fs::read(fixture(file)).expect("the fixture is committed") }
    }

    /// The shape and values of a tensor.
    pub fn values(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = tensors.tensor(name).unwrap_or_else(|_| panic!("no `{name}`"));
        let words = view.data().as_chunks::<4>().0.iter();
        let values = match view.dtype() {
            Dtype::F32 => words.map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::I32 => words.map(|bytes| i32::from_le_bytes(*bytes) as f32).collect(),
            other => panic!("{other:?}"),
        };
        (view.shape().to_vec(), values)
    }

    /// The part of a tensor at `index` of its first axis.
    pub fn part(&self, name: &str, index: usize) -> Vec<f32> {
        let (shape, values) = self.values(name);
        let size = values.len() / shape[0];
        values[index * size..(index + 1) * size].to_vec()
    }

    /// The token ids `[batch, pos]`.
    pub fn ids(&self, device: &Device) -> Tensor<2, Int> {
        let (shape, ids) = self.values("ids");
        let ids: Vec<i32> = ids.into_iter().map(|id| id as i32).collect();
        Tensor::from_data(TensorData::new(ids, [shape[0], shape[1]]), device)
    }
}

pub fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().expect("a float tensor")
}

/// Checks that two lists differ by less than `tolerance` of the expected one's largest value; returns the difference.
#[track_caller]
pub fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) -> f32 {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    assert!(!expected.is_empty(), "{what}: nothing to compare");
    let scale = expected.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / scale;
    assert!(found.iter().all(|x| x.is_finite()), "{what}: not finite");
    assert!(worst < tolerance, "{what}: differs by {worst:e} of its scale");
    worst
}
