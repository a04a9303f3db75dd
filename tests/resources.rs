//! What a run takes does not change what it finds: threads, and blocks that stay on disk.

mod common;

use std::fs;

use burn::tensor::{Device, Distribution, Tensor};
use common::{device, devices, fixture};
use stratigraph::models::{ModelError, StreamedDecoder};
use stratigraph::prelude::*;
use stratigraph::surgery::Budget;
use stratigraph::{Error, Experiment, Findings, Memory};

const SURGERY: [Experiment; 2] = [Experiment::Delete, Experiment::Swap];

fn windows(n_sequences: usize, seq_len: usize) -> TokenWindows {
    let ids: Vec<u32> = (0..n_sequences * seq_len).map(|i| (i * i * 7 % 60) as u32).collect();
    TokenWindows::new(&ids, seq_len).unwrap()
}

fn study(model: &dyn ResidualModel, windows: &TokenWindows, budget: Budget) -> Findings {
    Study::new(model).experiments(SURGERY).budget(budget).run(windows).unwrap()
}

#[track_caller]
fn assert_same(found: &Findings, expected: &Findings, tolerance: f64) {
    assert_eq!(found.curves.len(), expected.curves.len());
    for (name, curve) in &found.curves {
        for (a, b) in curve.mean.iter().zip(&expected.curves[name].mean) {
            assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{name}: {a} and {b}");
        }
    }
}

fn streamed(name: &str, device: &Device) -> StreamedDecoder {
    Checkpoint::open(fixture(name)).unwrap().stream(device).unwrap()
}

#[test]
fn blocks_on_disk_give_the_same_bits_and_are_read_once_a_batch() {
    let windows = windows(4, 12);
    for (backend, device) in devices() {
        for name in ["llama-gqa", "gpt2", "neox-parallel"] {
            let whole = Checkpoint::open(fixture(name)).unwrap().load(&device).unwrap();
            let model = streamed(name, &device);
            assert_eq!(model.n_reads(), 0, "what was read to be checked does not count");
            let found = study(&model, &windows, Budget::default());
            assert_same(
                &found,
                &study(&whole, &windows, Budget::default()),
                if backend == Backend::Wgpu { 1e-4 } else { 0.0 },
            );
            assert_eq!(
                model.n_reads(),
                model.n_layers(),
                "{name} on {backend}: each block once for all plans of the batch"
            );
        }
    }
}

#[test]
fn threads_change_nothing() {
    let model = Checkpoint::open(fixture("llama-gqa")).unwrap().load(&device()).unwrap();
    let windows = windows(7, 12);
    let with_threads = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| study(&model, &windows, Budget::default()))
    };
    let one = with_threads(1);
    for n in [2, 3, 5] {
        assert_same(&with_threads(n), &one, 1e-6);
    }
}

#[test]
fn what_streams_keeps_no_block() {
    let model = streamed("llama-gqa", &device());
    let whole = Checkpoint::open(fixture("llama-gqa")).unwrap().load(&device()).unwrap();
    assert!(model.n_bytes() < whole.n_bytes(), "two of three blocks are counted");
}

#[test]
fn what_cannot_be_streamed_is_refused_before_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture("llama-gqa")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
    }
    let weights = directory.path().join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&weights, &bytes).unwrap();
    let refused = Checkpoint::open(directory.path()).unwrap().stream(&device());
    assert!(matches!(refused.map(|_| ()), Err(ModelError::NotFinite { .. })));
    // A file that is cut short once it is open is told from a fault of memory.
    fs::copy(fixture("llama-gqa").join("model.safetensors"), &weights).unwrap();
    let opened = Checkpoint::open(directory.path()).unwrap();
    fs::OpenOptions::new().write(true).open(&weights).unwrap().set_len(end as u64 / 2).unwrap();
    assert!(matches!(opened.load(&device()).map(|_| ()), Err(ModelError::Malformed { .. })));
}

#[test]
#[should_panic(expected = "layer 3 of a model with 3")]
fn a_layer_that_does_not_exist_is_named() {
    let device = device();
    let resid = Tensor::random([1, 4, 32], Distribution::Default, &device);
    streamed("llama-gqa", &device).block(Site { slot: 0, layer: 3 }, resid, &mut NoTap);
}

#[test]
fn memory_below_the_weights_is_an_error() {
    let error = Memory::new(100_000_000).budget(200_000_000).unwrap_err();
    assert!(matches!(error, Error::MemoryTooSmall { .. }));
    assert!(error.to_string().starts_with("100 MB of memory are too few"), "{error}");
}
