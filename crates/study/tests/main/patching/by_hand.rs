//! Maps of patches against algebra and against runs that are edited by hand.

use approx::abs_diff_eq;
use stratigraph_core::{ActivationCache, Hook, Moments, NoTap, ResidualModel, RunModel};
use stratigraph_study::measurements::{PatchDirection, TokenPair};
use stratigraph_testing::{ByElement, FAMILIES};

use super::{answered, assert_matrix, difference, load, logits, patching, random_pair, study, window};

/// Where two prompts differ in one token, that position before the first layer is all that patching can change.
#[test]
fn the_position_that_differs_brings_all_back_before_the_first_layer_and_others_nothing() {
    for name in ["gpt2", "llama-gqa", "neox-parallel"] {
        let model = load(name);
        let pairs = [(1, 5), (2, 5), (3, 5)].map(|(at, seq_len)| {
            let clean: Vec<u32> = (0..seq_len).map(|i| (i * 13 + at as u32) % 90).collect();
            let mut corrupted = clean.clone();
            corrupted[at] = 50;
            answered(&model, clean, corrupted)
        });
        for (index, pair) in pairs.iter().enumerate() {
            let at = index + 1;
            let findings = study(&model, patching(std::slice::from_ref(pair)));
            let first = |name: &str| findings.matrix(name).unwrap().values[0].clone();
            let (denoised, noised) = (first("patch_resid_pre_denoise"), first("patch_resid_pre_noise"));
            for position in 0..5 {
                let restored = f64::from(u8::from(position == at));
                assert!(abs_diff_eq!(denoised[position], restored, epsilon = 1e-4), "{name}: {denoised:?}");
                assert!(abs_diff_eq!(noised[position], 1.0 - restored, epsilon = 1e-4), "{name}: {noised:?}");
            }
        }
    }
}

/// The outcome of each pair under one patch, from a run edited by hand.
fn by_hand(model: &dyn ResidualModel, pair: &TokenPair, direction: PatchDirection, patch: Patch) -> f64 {
    let (from, into) = match direction {
        PatchDirection::Denoise => (&pair.clean, &pair.corrupted),
        PatchDirection::Noise => (&pair.corrupted, &pair.clean),
    };
    let Patch { hook, layer, column } = patch;
    let cache = model.run_with_cache(&window(from), ActivationCache::at([hook.at(layer)])).unwrap();
    let source = cache.activation(hook.at(layer)).unwrap();
    let (dims, values) = (source.dims(), source.to_vec());
    let change = |index: [usize; 4], own: f32| match (dims.as_slice(), index) {
        ([_, _, width], [_, position, unit, _]) if position == column => values[position * width + unit],
        ([_, _, heads, width], [_, position, head, unit]) if head == column => {
            values[(position * heads + head) * width + unit]
        }
        _ => own,
    };
    let mut tap = ByElement { point: hook.at(layer), change };
    difference(&logits(model, into, &mut tap), pair)
}

#[derive(Clone, Copy)]
struct Patch {
    hook: Hook,
    layer: usize,
    column: usize,
}

/// The mean over the pairs that have the position, by hand.
fn expected_map(
    model: &dyn ResidualModel,
    pairs: &[TokenPair],
    direction: PatchDirection,
    hook: Hook,
) -> Vec<Vec<f64>> {
    let shape = model.shape();
    let longest = pairs.iter().map(|pair| pair.clean.len()).max().unwrap();
    let n_columns = if hook == Hook::Z { shape.heads.unwrap().n_heads } else { longest };
    let mut cells = vec![vec![Moments::default(); n_columns]; shape.n_layers];
    for pair in pairs {
        let [clean, corrupted] =
            [&pair.clean, &pair.corrupted].map(|prompt| difference(&logits(model, prompt, &mut NoTap), pair));
        let shift = if hook == Hook::Z { 0 } else { longest - pair.clean.len() };
        for (layer, row) in cells.iter_mut().enumerate() {
            for (column, cell) in row[shift..].iter_mut().enumerate() {
                let patched = by_hand(model, pair, direction, Patch { hook, layer, column });
                cell.push((patched - corrupted) / (clean - corrupted));
            }
        }
    }
    cells.into_iter().map(|row| row.into_iter().map(|cell| cell.mean).collect()).collect()
}

#[test]
fn maps_are_those_of_runs_edited_by_hand_in_every_family() {
    for name in FAMILIES {
        let model = load(name);
        let pairs = [(3, 1), (5, 2)].map(|(seq_len, seed)| random_pair(&model, seq_len, seed));
        let findings = study(&model, patching(&pairs));
        for direction in PatchDirection::ALL {
            for (hook, map) in [
                (Hook::ResidPre, "resid_pre"),
                (Hook::AttnOut, "attn_out"),
                (Hook::MlpOut, "mlp_out"),
                (Hook::Z, "z_heads"),
            ] {
                let found = findings.matrix(&format!("patch_{map}_{direction}")).unwrap();
                let expected = expected_map(&model, &pairs, direction, hook);
                assert_matrix(found, &expected, &format!("{map} of {name}, {direction}"));
            }
        }
    }
}
