//! Sweeps on a trained model against PyTorch and transformers: deletions after the first position, heads, attention knock-out,
//! steering.
//!
//! `STRATIGRAPH_CAUSAL_REFERENCE` names a directory with `model.gguf`, `text.txt` and `reference.json`: the numbers of windows
//! from the beginning of the text, without special tokens.

use std::fs::{self, File};
use std::path::PathBuf;

use serde_json::Value;
use stratigraph_core::{Edit, Hook, TokenWindows};
use stratigraph_models::{Checkpoint, Decoder, Tokenizer};
use stratigraph_study::{Findings, Study};
use stratigraph_surgery::Sweep;
use stratigraph_testing::{device, skipped};

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list")).iter().map(number).collect()
}

/// Within 0.5 % or 0.002; returns the largest difference.
#[track_caller]
pub fn assert_met(what: &str, found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len(), "{what}");
    let difference = |(found, expected): (&f64, &f64)| {
        let difference = (found - expected).abs();
        assert!(difference <= (0.005 * expected.abs()).max(0.002), "{what}: {found}, expected {expected}");
        difference
    };
    found.iter().zip(expected).map(difference).fold(0.0, f64::max)
}

/// The directory of the reference; none, after saying so, where none is given.
pub fn reference_directory() -> Option<PathBuf> {
    let directory = std::env::var_os("STRATIGRAPH_CAUSAL_REFERENCE").map(PathBuf::from);
    if directory.is_none() {
        skipped("STRATIGRAPH_CAUSAL_REFERENCE names no reference of causal experiments");
    }
    directory
}

/// The numbers of the reference, its model with its tokenizer, and its windows.
pub struct Reference {
    pub values: Value,
    pub model: Decoder,
    pub tokenizer: Tokenizer,
    pub windows: TokenWindows,
}

impl Reference {
    /// None where no reference is given.
    pub fn open() -> Option<Self> {
        let dir = reference_directory()?;
        let values: Value = serde_json::from_slice(&fs::read(dir.join("reference.json")).unwrap()).unwrap();
        let checkpoint = Checkpoint::open(dir.join("model.gguf")).unwrap();
        let (model, tokenizer) = (checkpoint.load(&device()).unwrap(), checkpoint.tokenizer().unwrap());
        let text = File::open(dir.join("text.txt")).unwrap();
        let size = |key: &str| number(&values[key]) as usize;
        let windows = tokenizer.windows(text, size("seq_len"), size("n_sequences")).unwrap();
        let first: Vec<f64> = windows.ids()[..8].iter().map(|id| f64::from(*id)).collect();
        assert_eq!(first, numbers(&values["first_ids"]));
        let sum: u64 = windows.ids().iter().map(|id| u64::from(*id)).sum();
        assert_eq!(Some(sum), values["sum_ids"].as_u64());
        Some(Self { values, model, tokenizer, windows })
    }
}

/// Some layers with all of their heads zeroed, one at a time; `layers` are keys of the reference.
fn head_sweep(layers: &[String], n_heads: usize) -> Sweep {
    let edit = |layer: &str, head: usize| Edit::zero(Hook::Z.at(layer.parse().unwrap())).with_heads([head]);
    let heads = |layer: &'_ String| {
        let layer = layer.clone();
        (0..n_heads).map(move |head| (format!("{layer}.{head}"), edit(&layer, head)))
    };
    let points: Vec<_> = layers.iter().flat_map(heads).collect();
    Sweep::over("head_zero", "head", points, |_, edit| Ok(edit.clone()))
}

fn check(findings: &Findings, reference: &Value) {
    let mean = |name: &str| findings.curve(name).unwrap().mean.clone();
    for metric in ["kl", "top1_agreement", "nll"] {
        let expected: Vec<f64> =
            reference["delete_after_first"].as_array().unwrap().iter().map(|it| number(&it[metric])).collect();
        let worst = assert_met(metric, &mean(&format!("delete_after_first_{metric}")), &expected);
        println!("delete_after_first {metric}: differs by {worst:.1e} at most");
    }
    for (sweep, key) in [("knock_back_5_kl", "knock_back5"), ("steer_kl", "steer")] {
        println!("{key}: differs by {:.1e} at most", assert_met(key, &mean(sweep), &numbers(&reference[key])));
    }
    let heads: Vec<f64> = reference["head_zero"].as_object().unwrap().values().flat_map(numbers).collect();
    println!("head_zero: differs by {:.1e} at most", assert_met("head_zero", &mean("head_zero_kl"), &heads));
}

#[test]
fn sweeps_of_a_trained_model_are_those_of_transformers() {
    let Some(Reference { values: reference, model, windows, .. }) = Reference::open() else { return };
    let vector: Vec<f32> = (0..model.config().d_model).map(|unit| (unit as f32 + 1.0).sin()).collect();
    let norm = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let layers: Vec<String> = reference["head_zero"].as_object().unwrap().keys().cloned().collect();
    let study = Study::new(&model)
        .add(Sweep::delete_at(1..))
        .add(Sweep::knock_out(1..=5))
        .add(Sweep::steer("steer", vector.as_slice(), 1.., 10.0 / norm))
        .add(head_sweep(&layers, model.config().n_heads));
    let findings = study.run(&windows).unwrap();
    assert_met("clean", &[findings.value("clean_nll").unwrap().mean], &[number(&reference["clean_nll"])]);
    check(&findings, &reference);
}
