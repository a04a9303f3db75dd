//! Patches of a real model against an independent computation in PyTorch.

use std::path::PathBuf;

use stratigraph_core::Hook;
use stratigraph_models::Checkpoint;
use stratigraph_study::measurements::{ActivationPatching, PatchDirection, PromptPair, PromptPairs};
use stratigraph_testing::{device, skipped};

use super::study;

/// A file of the directory that `STRATIGRAPH_CAUSAL_REFERENCE` names, as for the references of edits.
fn file(name: &str) -> Option<PathBuf> {
    let directory = std::env::var_os("STRATIGRAPH_CAUSAL_REFERENCE").map(PathBuf::from);
    if directory.is_none() {
        skipped("STRATIGRAPH_CAUSAL_REFERENCE names no directory with model.gguf and reference.json");
    }
    Some(directory?.join(name))
}

/// SmolLM2-135M-Instruct as a GGUF file.
pub fn smollm2() -> Option<PathBuf> {
    file("model.gguf")
}

#[test]
fn the_reference_in_pytorch_has_the_same_grid() {
    let (Some(path), Some(reference)) = (smollm2(), file("reference.json")) else { return };
    let reference: serde_json::Value = serde_json::from_slice(&std::fs::read(reference).unwrap()).unwrap();
    let checkpoint = Checkpoint::open(path).unwrap();
    let (model, tokenizer) = (checkpoint.load(&device()).unwrap(), checkpoint.tokenizer().unwrap());
    let reference = &reference["patch"];
    let text = |field: &str| reference[field].as_str().unwrap();
    let pair = PromptPair::new(text("clean_prompt"), text("corrupted_prompt"), text("answer"), text("other"));
    let pairs = PromptPairs::new(vec![pair]).encode(&model, |text| tokenizer.encode(text)).unwrap();
    let patching = ActivationPatching::new(pairs).with_hooks([Hook::ResidPre]);
    let findings = study(&model, patching.with_directions([PatchDirection::Denoise]));
    let (clean, corrupted) = (reference["clean"].as_f64().unwrap(), reference["corrupted"].as_f64().unwrap());
    let is_met = |found: f64, expected: f64| (found - expected).abs() < (0.005 * expected.abs()).max(0.002);
    assert!(is_met(findings.value("patch_clean_logit_difference").unwrap().mean, clean));
    assert!(is_met(findings.value("patch_corrupted_logit_difference").unwrap().mean, corrupted));
    let grid = reference["grid"].as_array().unwrap();
    let map = findings.matrix("patch_resid_pre_denoise").unwrap();
    assert_eq!(map.values.len(), grid.len());
    let mut largest = 0.0f64;
    for (layer, (found, expected)) in map.values.iter().zip(grid).enumerate() {
        let expected: Vec<f64> = expected.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        assert_eq!(found.len(), expected.len());
        for (position, (found, expected)) in found.iter().zip(expected).enumerate() {
            let found = corrupted + found * (clean - corrupted);
            largest = largest.max((found - expected).abs());
            assert!(is_met(found, expected), "layer {layer}, position {position}: {found}, expected {expected}");
        }
    }
    println!("the largest of {} differences is {largest:.1e} logits", grid.len() * map.columns.len());
}
