//! Studies of a decoder: every backend, budget, number of threads and place of the blocks gives the same.

use approx::abs_diff_eq;
use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_models::{Checkpoint, Decoder, StreamedDecoder};
use stratigraph_probes::metrics::Metrics;
use stratigraph_probes::readout::Tiles;
use stratigraph_study::{Findings, Study};
use stratigraph_surgery::{Budget, LayerPlan, Sweep};
use stratigraph_testing::{Backend, TestDevice, device, devices, fixture};

fn load(name: &str, device: &burn::tensor::Device) -> Decoder {
    Checkpoint::open(fixture(name)).unwrap().load(device).unwrap()
}

fn windows(n_sequences: usize, seq_len: usize) -> TokenWindows {
    let ids: Vec<u32> = (0..n_sequences * seq_len).map(|i| (i * i * 7 % 60) as u32).collect();
    TokenWindows::new(&ids, seq_len).unwrap()
}

/// Points of a curve of a model of three layers.
fn n_points(name: &str) -> usize {
    match name {
        _ if name.starts_with("swap") || name.contains("less_swap") => 2,
        _ if name.starts_with("repeat_3") => 1,
        "resid_norm" | "cosine_to_final" | "first_position_norm" | "matrix_entropy" => 4,
        _ if name.starts_with("lens") => 4,
        _ => 3,
    }
}

#[test]
fn every_backend_gives_the_same_study() {
    let windows = windows(3, 12);
    let mut first = None;
    for TestDevice { backend, device } in devices() {
        let model = load("llama-gqa", &device);
        let mut heard = Vec::new();
        let study = Study::paper(&model)
            .intervention("0-(1+2)".parse::<LayerPlan>().unwrap())
            .on_progress(|progress| heard.push(progress));
        let findings = study.run(&windows).unwrap();
        assert!(heard.windows(2).all(|two| two[0].done < two[1].done), "progress goes forward");
        let last = heard.last().unwrap();
        assert_eq!(last.done, last.total, "and reaches its end");
        let names: Vec<_> = findings.curves().keys().cloned().collect();
        // Of five sweeps, their differences, attention (distance 16 does not fit the windows), geometry and neurons.
        assert_eq!(names.len(), 5 * Metrics::default().len() + 3 + 8 + 14 + 6, "{names:?}");
        let expected = first.get_or_insert_with(|| findings.clone());
        for (name, curve) in findings.curves() {
            assert_eq!(curve.len(), n_points(name), "{name}");
            for (a, b) in curve.mean.iter().zip(&expected.curve(name).unwrap().mean) {
                assert!(abs_diff_eq!(a, b, epsilon = 1e-4 * b.abs().max(1.0)), "{name} on {backend}: {a} and {b}");
            }
        }
        // The unchanged model, three deletions and three after the first position, two swaps, four residual positions, one
        // block run twice, one of its own.
        assert_eq!(findings.interventions().len(), 1 + 3 + 3 + 2 + 4 + 1 + 1);
        assert_eq!(findings.interventions().last().unwrap().text, "0-(1+2)");
        let lens = &findings.curve("lens_kl").unwrap().mean;
        assert!(lens[3] < 1e-7, "the lens after the last layer is the model, not {}", lens[3]);
        let nll = findings.interventions()[0].metrics["nll"].mean;
        assert_eq!(findings.curve("lens_nll").unwrap().mean[3], nll);
    }
}

#[test]
fn a_study_does_not_depend_on_its_budget() {
    let model = load("llama-gqa", &device());
    let windows = windows(4, 12);
    let run = |bytes| {
        let budget = Budget { bytes, ..Budget::default() };
        Study::paper(&model).with_budget(budget).with_tiles(Tiles { rows: 5, vocab: 100 }).run(&windows).unwrap()
    };
    let (small, large) = (run(60_000), run(2 << 30));
    for (name, curve) in small.curves() {
        for (a, b) in curve.mean.iter().zip(&large.curve(name).unwrap().mean) {
            assert!(abs_diff_eq!(a, b, epsilon = 1e-5 * b.abs().max(1.0)), "{name}");
        }
    }
}

#[test]
fn one_window_has_no_standard_error() {
    let model = load("llama-gqa", &device());
    let findings = Study::new(&model).add(Sweep::delete()).run(&windows(1, 12)).unwrap();
    assert!(findings.curve("delete_kl").unwrap().sem.iter().all(Option::is_none));
}

fn deletions_and_swaps(model: &dyn ResidualModel, windows: &TokenWindows) -> Findings {
    Study::new(model).add(Sweep::delete()).add(Sweep::swap()).run(windows).unwrap()
}

#[track_caller]
fn assert_same(found: &Findings, expected: &Findings, tolerance: f64) {
    assert!(!expected.curves().is_empty() && found.curves().keys().eq(expected.curves().keys()));
    for (name, curve) in found.curves() {
        for (a, b) in curve.mean.iter().zip(&expected.curve(name).unwrap().mean) {
            assert!(abs_diff_eq!(a, b, epsilon = tolerance * b.abs().max(1.0)), "{name}: {a} and {b}");
        }
    }
}

#[test]
fn blocks_on_disk_give_the_same_bits_and_are_read_once_a_batch() {
    let windows = windows(4, 12);
    for TestDevice { backend, device } in devices() {
        for name in ["llama-gqa", "gpt2", "neox-parallel"] {
            let whole = load(name, &device);
            let streamed: StreamedDecoder = Checkpoint::open(fixture(name)).unwrap().stream(&device).unwrap();
            assert_eq!(streamed.n_reads(), 0, "what was read to be checked does not count");
            let found = deletions_and_swaps(&streamed, &windows);
            let tolerance = if backend == Backend::Wgpu { 1e-4 } else { 0.0 };
            assert_same(&found, &deletions_and_swaps(&whole, &windows), tolerance);
            let expected = streamed.n_layers();
            assert_eq!(streamed.n_reads(), expected, "{name} on {backend}: each block once for a whole batch");
        }
    }
}

#[test]
fn threads_change_nothing() {
    let (model, windows) = (load("llama-gqa", &device()), windows(7, 12));
    let with_threads = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| deletions_and_swaps(&model, &windows))
    };
    let one = with_threads(1);
    for n in [2, 3, 5] {
        assert_same(&with_threads(n), &one, 1e-6);
    }
}
