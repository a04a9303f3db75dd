//! Patches of a real model against an independent computation in PyTorch.

use stratigraph_core::Hook;
use stratigraph_study::measurements::{ActivationPatching, PatchDirection, PromptPair, PromptPairs};

use super::study;
use crate::reference_edits::{Reference, assert_met, numbers};

#[test]
fn the_reference_in_pytorch_has_the_same_grid() {
    let Some(Reference { values, model, tokenizer, .. }) = Reference::open() else { return };
    let reference = &values["patch"];
    let text = |field: &str| reference[field].as_str().unwrap();
    let pair = PromptPair::new(text("clean_prompt"), text("corrupted_prompt"), text("answer"), text("other"));
    let pairs = PromptPairs::new(vec![pair]).encode(&model, |text| tokenizer.encode(text)).unwrap();
    let patching = ActivationPatching::new(pairs).with_hooks([Hook::ResidPre]);
    let findings = study(&model, patching.with_directions([PatchDirection::Denoise]));
    let [clean, corrupted] = ["clean", "corrupted"].map(|prompt| {
        let expected = reference[prompt].as_f64().unwrap();
        let found = findings.value(&format!("patch_{prompt}_logit_difference")).unwrap().mean;
        assert_met(prompt, &[found], &[expected]);
        expected
    });
    let grid = reference["grid"].as_array().unwrap();
    let map = findings.matrix("patch_resid_pre_denoise").unwrap();
    assert_eq!(map.values.len(), grid.len());
    let mut largest = 0.0f64;
    for (layer, (found, expected)) in map.values.iter().zip(grid).enumerate() {
        let found: Vec<f64> = found.iter().map(|found| corrupted + found * (clean - corrupted)).collect();
        largest = largest.max(assert_met(&format!("layer {layer}"), &found, &numbers(expected)));
    }
    println!("the largest of {} differences is {largest:.1e} logits", grid.len() * map.columns.len());
}
