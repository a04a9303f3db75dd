//! Ablations of sublayers against runs that are edited by hand.

use burn::tensor::Tensor;
use stratigraph_core::{EditKind, Hook, MeanOver, NoTap, ResidualModel, Sublayer, TokenWindows};
use stratigraph_surgery::{Budget, Intervention, LayerPlan, Sweep};
use stratigraph_testing::{Backend, TestDevice, assert_close, device, devices};

use crate::by_hand::{Replace, clean, mean_of, next_of};
use crate::support::{SEQ_LEN, execute, least_budget, load, points, run_with, windows};

const SUBLAYERS: [(Sublayer, Hook); 2] = [(Sublayer::Attention, Hook::AttnOut), (Sublayer::Mlp, Hook::MlpOut)];
/// Sublayers that follow one another, and sublayers side by side.
const KINDS: [&str; 2] = ["llama-gqa", "neox-parallel"];

/// A run in which what a sublayer writes is replaced by hand.
fn by_hand(
    model: &dyn ResidualModel,
    windows: &TokenWindows,
    (layer, hook): (usize, Hook),
    with: Vec<f32>,
) -> Vec<f32> {
    let dims = [windows.n_sequences(), windows.seq_len(), model.d_model()];
    let with = Tensor::<1>::from_floats(&with[..], &model.device()).reshape(dims);
    let mut tap = Replace { point: hook.at(layer), with: with.into() };
    run_with(model, &LayerPlan::full(model.n_layers()), windows, &mut tap)
}

#[test]
fn ablated_sublayers_are_sublayers_replaced_by_hand_under_any_budget() {
    for TestDevice { backend, device } in devices() {
        // wgpu may run in software.
        let n_models = if backend == Backend::Wgpu { 1 } else { 2 };
        for name in KINDS.into_iter().take(n_models) {
            let model = load(name, &device);
            let windows = windows(&model, 3, SEQ_LEN);
            let full = LayerPlan::full(model.n_layers());
            let mut expected = vec![run_with(&model, &full, &windows, &mut NoTap)];
            let mut interventions = vec![Intervention::from(full)];
            for (sublayer, hook) in SUBLAYERS {
                for kind in [EditKind::Mean(MeanOver::All), EditKind::Resample] {
                    interventions.extend(points(&Sweep::sublayers(sublayer, kind.clone()), &model, SEQ_LEN));
                    for layer in 0..model.n_layers() {
                        let output = clean(&model, &windows, layer, hook);
                        let with = match kind {
                            EditKind::Resample => next_of(&output),
                            _ => mean_of(&output, hook, MeanOver::All),
                        };
                        expected.push(by_hand(&model, &windows, (layer, hook), with));
                    }
                }
            }
            let budgets = [least_budget(&model, &interventions, &windows), Budget::default()];
            for budget in &budgets[2 - n_models..] {
                let found = execute(&model, &interventions, &windows, *budget);
                for ((intervention, found), expected) in interventions.iter().zip(found).zip(&expected) {
                    assert_close(&found, expected, 1e-5, &format!("{intervention} of {name} on {backend}"));
                }
            }
        }
    }
}

#[test]
fn deleting_a_sublayer_is_replacing_what_it_writes_by_nothing() {
    let device = device();
    for name in KINDS {
        let model = load(name, &device);
        let windows = windows(&model, 2, SEQ_LEN);
        for (sublayer, hook) in SUBLAYERS {
            let interventions = points(&Sweep::sublayers(sublayer, EditKind::Zero), &model, SEQ_LEN);
            let found = execute(&model, &interventions, &windows, Budget::default());
            for (layer, found) in found.iter().enumerate() {
                let zeros = vec![0.0; 2 * SEQ_LEN * model.d_model()];
                assert_close(found, &by_hand(&model, &windows, (layer, hook), zeros), 1e-6, hook.name());
            }
        }
    }
}

#[test]
fn ablating_what_never_changes_changes_nothing() {
    let model = load("llama-gqa", &device());
    // Equal windows: what another window writes is what this one writes.
    let ids: Vec<u32> = windows(&model, 1, SEQ_LEN).ids().repeat(3);
    let windows = TokenWindows::new(&ids, SEQ_LEN).unwrap();
    let resampled = points(&Sweep::sublayers(Sublayer::Mlp, EditKind::Resample), &model, SEQ_LEN);
    let interventions: Vec<_> = std::iter::once(Intervention::none(3)).chain(resampled).collect();
    let found = execute(&model, &interventions, &windows, Budget::default());
    for (intervention, resid) in interventions.iter().zip(&found) {
        assert_close(resid, &found[0], 1e-6, &intervention.to_string());
    }
}
