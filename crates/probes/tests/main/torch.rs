//! Checkpoints that PyTorch opens, where it is installed.

use std::process::{Command, Output};

use burn::tensor::{Tensor, TensorData};
use stratigraph_probes::lens::{FittedLens, Lens, LensKind, LinearMap};
use stratigraph_testing::{assert_close, device, host, repository, skipped};

const N_LAYERS: usize = 3;
const WIDTH: usize = 20;

/// The Python of the environment variable `PYTHON`, or `python3`; none where there is no such program.
fn python(arguments: &[&str]) -> Option<Output> {
    let program = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    Command::new(program).args(arguments).output().ok()
}

fn waves(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|at| ((at + seed) as f32 * 0.7).sin()).collect()
}

/// A lens of maps that are no multiples of the identity, of which one has no bias.
fn lens() -> FittedLens {
    let map = |position: usize| {
        let weight = TensorData::new(waves(WIDTH * WIDTH, position), [WIDTH, WIDTH]);
        let map = LinearMap::new(Tensor::from_data(weight, &device()));
        match position {
            1 => map,
            _ => map.with_bias(Tensor::from_data(TensorData::new(waves(WIDTH, 7 * position), [WIDTH]), &device())),
        }
    };
    FittedLens::new(LensKind::Tuned, (0..N_LAYERS).map(|position| Some(map(position))))
}

#[test]
fn checkpoints_of_tuned_lens_are_opened_by_torch() {
    if !python(&["-c", "import torch"]).is_some_and(|output| output.status.success()) {
        return skipped("no Python with torch: set PYTHON to one");
    }
    let dir = tempfile::tempdir().unwrap();
    lens().save_tuned_lens(dir.path()).unwrap();
    let script = repository().join("scripts/open_tuned_lens.py");
    let output = python(&[script.to_str().unwrap(), dir.path().to_str().unwrap()]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let outputs: Vec<Vec<f32>> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outputs.len(), N_LAYERS);
    let row: Vec<f32> = (0..WIDTH).map(|at| (at as f32).sin()).collect();
    for (position, expected) in outputs.iter().enumerate() {
        let row = Tensor::<2>::from_data(TensorData::new(row.clone(), [1, WIDTH]), &device());
        let found = host(lens().stream(position, row).unwrap());
        assert_close(&found, expected, 1e-5, &format!("the map before layer {position}"));
    }
}
