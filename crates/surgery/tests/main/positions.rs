//! Sweeps that are limited to positions against loops over blocks that are written out by hand, on every family.

use burn::tensor::Tensor;
use stratigraph_core::{EditKind, MeanOver, Positions, ResidualModel, Sublayer, TokenWindows};
use stratigraph_surgery::{Budget, Intervention, LayerPlan, Sweep};
use stratigraph_testing::{ByElement, FAMILIES, assert_close, device, host};

use crate::by_hand::{block, clean, flat, mean_of, mixed};
use crate::support::{SEQ_LEN, execute, least_budget, load, points, run_with, windows};

/// Positions from 1 on, some in the middle, and the last one.
fn choices() -> [Positions; 3] {
    [Positions::from(1), Positions::only([2, 3, 7]), Positions::only([SEQ_LEN - 1])]
}

fn embedded(model: &dyn ResidualModel, windows: &TokenWindows) -> Tensor<3> {
    model.embed(windows.batch(0..windows.n_sequences(), &model.device())).unwrap()
}

/// Layers `first` and the next: chosen positions go through the second one first, the others through the second one last.
fn swapped_by_hand(model: &dyn ResidualModel, windows: &TokenWindows, first: usize, positions: &Positions) -> Vec<f32> {
    let chosen = |position| positions.contains(0, position);
    let entered = (0..first).fold(embedded(model, windows), |resid, layer| block(model, layer, resid));
    let before = mixed(&block(model, first + 1, entered.clone()), &entered, chosen);
    let between = block(model, first, before);
    let after = mixed(&between, &block(model, first + 1, between.clone()), chosen);
    host((first + 2..model.n_layers()).fold(after, |resid, layer| block(model, layer, resid)))
}

#[test]
fn swaps_at_positions_are_swaps_by_hand_in_every_family() {
    for name in FAMILIES {
        let model = load(name, &device());
        let windows = windows(&model, 2, SEQ_LEN);
        for positions in choices() {
            let interventions = points(&Sweep::swap_at(positions.clone()), &model, SEQ_LEN);
            let by_hand = |first| swapped_by_hand(&model, &windows, first, &positions);
            let expected: Vec<_> = (0..model.n_layers() - 1).map(by_hand).collect();
            for budget in [least_budget(&model, &interventions, &windows), Budget::default()] {
                let found = execute(&model, &interventions, &windows, budget);
                for ((intervention, found), expected) in interventions.iter().zip(&found).zip(&expected) {
                    assert_close(found, expected, 1e-5, &format!("{intervention} of {name}"));
                }
            }
        }
    }
}

/// Positions before the first chosen one are those of the clean run, and where all are chosen it is the swap.
#[test]
fn a_swap_at_positions_lies_between_the_clean_run_and_the_swap() {
    let model = load("llama-gqa", &device());
    let windows = windows(&model, 2, SEQ_LEN);
    let run = |interventions: &[Intervention]| execute(&model, interventions, &windows, Budget::default());
    let clean = &run(&[Intervention::none(3)])[0];
    let [swapped, limited] = [Sweep::swap(), Sweep::swap_at(4..)].map(|sweep| run(&points(&sweep, &model, SEQ_LEN)));
    let (width, all) = (model.d_model(), windows.seq_len() * model.d_model());
    for (swapped, limited) in swapped.iter().zip(&limited) {
        for window in 0..2 {
            let rows =
                |values: &[f32], from: usize, to: usize| values[window * all..][from * width..to * width].to_vec();
            assert_close(&rows(limited, 0, 4), &rows(clean, 0, 4), 1e-5, "before position 4");
            assert!(rows(limited, 4, SEQ_LEN) != rows(swapped, 4, SEQ_LEN), "other keys are read");
            assert!(rows(limited, 4, SEQ_LEN) != rows(clean, 4, SEQ_LEN));
        }
    }
    let everywhere = run(&points(&Sweep::swap_at(Positions::only(0..SEQ_LEN)), &model, SEQ_LEN));
    assert_eq!(everywhere, swapped);
}

#[test]
fn deletions_at_positions_are_deletions_by_hand_in_every_family() {
    for name in FAMILIES {
        let model = load(name, &device());
        let windows = windows(&model, 2, SEQ_LEN);
        for positions in choices() {
            let interventions = points(&Sweep::delete_at(positions.clone()), &model, SEQ_LEN);
            let found = execute(&model, &interventions, &windows, Budget::default());
            for (deleted, found) in found.iter().enumerate() {
                let through = |resid: Tensor<3>, layer: usize| match block(&model, layer, resid.clone()) {
                    run if layer == deleted => mixed(&resid, &run, |position| positions.contains(0, position)),
                    run => run,
                };
                let by_hand = host((0..model.n_layers()).fold(embedded(&model, &windows), through));
                assert_close(found, &by_hand, 1e-5, &format!("{name} without {deleted} at {positions}"));
            }
        }
    }
}

#[test]
fn sublayers_and_heads_are_changed_at_the_positions_alone_in_every_family() {
    let kinds = [EditKind::Zero, EditKind::Mean(MeanOver::All), EditKind::Mean(MeanOver::Each)];
    for name in FAMILIES {
        let model = load(name, &device());
        let windows = windows(&model, 2, SEQ_LEN);
        let positions = Positions::only([1, 2, 8]);
        for kind in &kinds {
            let sweeps = [Sweep::sublayers(Sublayer::Mlp, kind.clone()), Sweep::heads(kind.clone())];
            for sweep in sweeps {
                let sweep = sweep.at_positions(positions.clone());
                let interventions = points(&sweep, &model, SEQ_LEN);
                let found = execute(&model, &interventions, &windows, Budget::default());
                for (intervention, found) in interventions.iter().zip(&found) {
                    let edit = &intervention.edits()[0];
                    let (point, hook) = (edit.point(), edit.point().hook);
                    let activation = clean(&model, &windows, point.slot, hook);
                    let (dims, values) = match kind {
                        EditKind::Mean(over) => (activation.dims(), mean_of(&activation, hook, *over)),
                        _ => (activation.dims(), vec![0.0; activation.to_vec().len()]),
                    };
                    let head = match edit.units() {
                        stratigraph_core::Units::Heads(heads) => Some(heads[0]),
                        _ => None,
                    };
                    let change = |at: [usize; 4], x: f32| {
                        let chosen = positions.contains(0, at[1]) && head.is_none_or(|head| head == at[2]);
                        if chosen { values[flat(at, &dims)] } else { x }
                    };
                    let plan = LayerPlan::full(model.n_layers());
                    let by_hand = run_with(&model, &plan, &windows, &mut ByElement { point, change });
                    assert_close(found, &by_hand, 1e-5, &format!("{intervention} of {name}"));
                }
            }
        }
    }
}
