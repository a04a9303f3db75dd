//! Decoders whose blocks stay on disk: what they keep, and what cannot be streamed.

use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rayon::prelude::*;
use stratigraph_core::{NoTap, ResidualModel, RunModel};
use stratigraph_models::{Checkpoint, ModelError};
use stratigraph_testing::{Expected, FAMILIES, device, fixture, host};

#[test]
fn what_streams_keeps_no_block() {
    let open = || Checkpoint::open(fixture("llama-gqa")).unwrap();
    let (streamed, whole) = (open().stream(&device()).unwrap(), open().load(&device()).unwrap());
    assert!(streamed.n_bytes() < whole.n_bytes(), "two of three blocks are counted");
}

#[test]
fn streamed_blocks_give_the_bits_of_blocks_in_memory() {
    let device = device();
    for name in FAMILIES {
        let open = || Checkpoint::open(fixture(name)).unwrap();
        let (streamed, whole) = (open().stream(&device).unwrap(), open().load(&device).unwrap());
        let ids = || Expected::of_family(name).ids(&device);
        let run = |model: &dyn ResidualModel| host(model.logits(model.forward(ids(), &mut NoTap).unwrap()).unwrap());
        assert!(run(&streamed) == run(&whole), "{name}");
    }
}

/// A thread of rayon that reads a block may take up another run meanwhile, which needs a block too.
#[test]
fn what_streams_runs_in_many_threads_at_once() {
    let (result, results) = mpsc::channel();
    thread::spawn(move || {
        let model = Checkpoint::open(fixture("llama-gqa")).unwrap().stream(&device()).unwrap();
        let run = |_| host(model.forward(Expected::of_family("llama-gqa").ids(&device()), &mut NoTap).unwrap());
        result.send((0..64).into_par_iter().map(run).collect::<Vec<_>>())
    });
    let results = results.recv_timeout(Duration::from_secs(120)).expect("no run waits for itself");
    assert!(results.iter().all(|result| *result == results[0]));
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
    // A file that is cut short once it is open is an error, not a fault of memory.
    fs::copy(fixture("llama-gqa").join("model.safetensors"), &weights).unwrap();
    let opened = Checkpoint::open(directory.path()).unwrap();
    fs::OpenOptions::new().write(true).open(&weights).unwrap().set_len(end as u64 / 2).unwrap();
    assert!(matches!(opened.load(&device()).map(|_| ()), Err(ModelError::Malformed { .. })));
}
