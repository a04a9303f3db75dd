//! Means, resampled and frozen activations: of sublayers, heads, patterns and MLP units, against values computed by hand.

use stratigraph_core::{Edit, EditKind, Hook, MeanOver, Positions, ResidualModel, TokenWindows};
use stratigraph_surgery::{Budget, CorpusMeans, Executor, Intervention, LayerPlan, MeanActivation, SurgeryError};
use stratigraph_testing::{ByElement, Toy, assert_close, device};

use crate::by_hand::{clean, flat, mean_of, next_of};
use crate::support::{KINDS, Keep, SEQ_LEN, execute, least_budget, load, run_with, windows};

/// An edit whose values come from the corpus, and which numbers of the activation it changes.
struct Case {
    edit: Edit,
    changes: fn([usize; 4]) -> bool,
}

fn cases(kind: &EditKind, slot: usize) -> Vec<Case> {
    let at = |hook: Hook| Edit::new(hook.at(slot), kind.clone());
    vec![
        Case { edit: at(Hook::Z).with_heads([1]), changes: |[_, _, head, _]| head == 1 },
        Case { edit: at(Hook::Z), changes: |_| true },
        Case { edit: at(Hook::Pattern), changes: |_| true },
        Case {
            edit: at(Hook::Pattern).with_heads([0]).with_positions(2..),
            changes: |[_, head, query, _]| head == 0 && query >= 2,
        },
        Case { edit: at(Hook::MlpPost).with_units([1, 4]), changes: |[_, _, unit, _]| unit == 1 || unit == 4 },
        Case { edit: at(Hook::MlpPost), changes: |_| true },
        Case { edit: at(Hook::MlpOut), changes: |_| true },
        Case {
            edit: at(Hook::AttnOut).with_positions(Positions::only([1, 3])),
            changes: |[_, p, ..]| p == 1 || p == 3,
        },
        Case { edit: at(Hook::ResidPre).with_positions(1..), changes: |[_, p, ..]| p >= 1 },
    ]
}

fn values(model: &dyn ResidualModel, windows: &TokenWindows, (edit, layer): (&Edit, usize)) -> (Vec<usize>, Vec<f32>) {
    let hook = edit.point().hook;
    let activation = clean(model, windows, layer, hook);
    let values = match edit.kind() {
        EditKind::Mean(over) => mean_of(&activation, hook, *over),
        EditKind::Resample => next_of(&activation),
        EditKind::Clean => activation.to_vec(),
        kind => panic!("{kind:?}"),
    };
    (activation.dims(), values)
}

/// Scores and patterns have no mean from a position on.
fn fits(edit: &Edit) -> bool {
    !(edit.point().hook.is_square() && matches!(edit.kind(), EditKind::Mean(MeanOver::From(_))))
}

/// Layer 2 runs in slot 1; its values are those of layer 2 of the unchanged model.
fn check(model: &dyn ResidualModel, windows: &TokenWindows, name: &str) {
    let plan = LayerPlan::full(3).delete(1).unwrap();
    let means = [MeanOver::All, MeanOver::Each, MeanOver::from(2..)].map(EditKind::Mean);
    let kinds = means.into_iter().chain([EditKind::Resample, EditKind::Clean]);
    let cases: Vec<_> = kinds.flat_map(|kind| cases(&kind, 1)).filter(|case| fits(&case.edit)).collect();
    let interventions: Vec<Intervention> = cases.iter().map(|case| plan.clone().edit(case.edit.clone())).collect();
    let unedited = run_with(model, &plan, windows, &mut stratigraph_core::NoTap);
    let by_hand = |Case { edit, changes }: &Case| {
        let (dims, values) = values(model, windows, (edit, 2));
        let change = |at: [usize; 4], x: f32| if changes(at) { values[flat(at, &dims)] } else { x };
        run_with(model, &plan, windows, &mut ByElement { point: edit.point(), change })
    };
    let expected: Vec<_> = cases.iter().map(by_hand).collect();
    for budget in [least_budget(model, &interventions, windows), Budget::default()] {
        let found = execute(model, &interventions, windows, budget);
        for ((intervention, found), expected) in interventions.iter().zip(&found).zip(&expected) {
            let what = format!("{intervention} of {name}");
            assert!(*expected != unedited, "{what} has no effect");
            assert_close(found, expected, 1e-5, &what);
        }
    }
}

#[test]
fn means_and_resampled_activations_are_those_of_the_unchanged_model() {
    for name in KINDS {
        let model = load(name, &device());
        check(&model, &windows(&model, 3, SEQ_LEN), name);
    }
    let toy = Toy::default();
    check(&toy, &windows(&toy, 4, 5), "a toy");
}

#[test]
fn resampled_activations_are_those_of_the_next_window_of_another_document() {
    let model = load("gpt2", &device());
    let plain = windows(&model, 5, SEQ_LEN);
    let edits = [Hook::MlpOut, Hook::Pattern].map(|hook| Intervention::none(3).edit(Edit::resample(hook.at(1))));
    let run = |windows: &TokenWindows| execute(&model, &edits, windows, Budget::default());
    assert!(run(&plain) == run(&plain.clone().with_documents(vec![7; 5]).unwrap()), "one document is as none");
    let documents = plain.clone().with_documents(vec![0, 0, 1, 1, 1]).unwrap();
    let source = [2, 2, 0, 0, 0];
    let by_hand = [Hook::MlpOut, Hook::Pattern].map(|hook| {
        let (activation, point) = (clean(&model, &plain, 1, hook), hook.at(1));
        let (dims, values) = (activation.dims(), activation.to_vec());
        let change = |[window, rest @ ..]: [usize; 4], _: f32| {
            let [a, b, c] = rest;
            values[flat([source[window], a, b, c], &dims)]
        };
        run_with(&model, &LayerPlan::full(3), &plain, &mut ByElement { point, change })
    });
    for budget in [least_budget(&model, &edits, &documents), Budget::default()] {
        for (found, expected) in execute(&model, &edits, &documents, budget).iter().zip(&by_hand) {
            assert_close(found, expected, 1e-5, "of another document");
        }
    }
    assert!(run(&documents) != run(&plain));
}

#[test]
fn freezing_what_no_edit_has_changed_changes_nothing() {
    for name in KINDS {
        let model = load(name, &device());
        let windows = windows(&model, 3, SEQ_LEN);
        let hooks = model.shape().hooks.iter().filter(|hook| hook.is_in_block());
        let frozen =
            hooks.flat_map(|hook| (0..3).map(move |layer| Intervention::none(3).edit(Edit::freeze(hook.at(layer)))));
        let interventions: Vec<_> = std::iter::once(Intervention::none(3)).chain(frozen).collect();
        let found = execute(&model, &interventions, &windows, Budget::default());
        for (intervention, resid) in interventions.iter().zip(&found) {
            assert_close(resid, &found[0], 1e-6, &format!("{intervention} of {name}"));
        }
    }
}

#[test]
fn means_that_were_measured_before_are_used() {
    let model = load("llama-gqa", &device());
    let windows = windows(&model, 4, SEQ_LEN);
    let edits =
        [MeanOver::All, MeanOver::Each, MeanOver::from(1..)].map(|over| Edit::mean_over(Hook::MlpOut.at(1), over));
    let interventions = edits.map(|edit| Intervention::none(3).edit(edit));
    let measured = Executor::new(interventions.to_vec()).means(&model, &windows).unwrap();
    assert_eq!(measured.iter().count(), 3);
    let run = |means: CorpusMeans, interventions: &[Intervention]| {
        let executor = Executor::new(interventions.to_vec()).with_means(means.into());
        let mut keep = Keep::default();
        executor.run(&model, &windows, &mut keep).map(|()| keep.residuals())
    };
    let expected = execute(&model, &interventions, &windows, Budget::default());
    for (found, expected) in run(measured.clone(), &interventions).unwrap().iter().zip(&expected) {
        assert_close(found, expected, 1e-6, "means of another executor");
    }
    let zeros = |mean: &MeanActivation| MeanActivation { values: vec![0.0; mean.values.len()], ..mean.clone() };
    let zeros = CorpusMeans::new(measured.iter().map(zeros));
    let zeroed = Intervention::none(3).edit(Edit::zero(Hook::MlpOut.at(1)));
    let zeroed = execute(&model, &[zeroed], &windows, Budget::default());
    for found in run(zeros, &interventions).unwrap() {
        assert_close(&found, &zeroed[0], 1e-6, "what was given counts");
    }
    let others = Intervention::none(3).edit(Edit::mean(Hook::MlpOut.at(2)));
    assert_eq!(run(measured, &[others]), Err(SurgeryError::MeansMissing));
}

#[test]
fn resampling_what_is_the_same_in_every_window_changes_nothing() {
    let model = load("llama-gqa", &device());
    let ids = windows(&model, 1, SEQ_LEN).ids().repeat(3);
    let windows = TokenWindows::new(&ids, SEQ_LEN).unwrap();
    let edits = [Hook::Z, Hook::Pattern, Hook::MlpPost, Hook::MlpOut, Hook::ResidPost];
    let edited = edits.map(|hook| Intervention::none(3).edit(Edit::resample(hook.at(1))));
    let interventions: Vec<_> = std::iter::once(Intervention::none(3)).chain(edited).collect();
    let found = execute(&model, &interventions, &windows, Budget::default());
    for (intervention, resid) in interventions.iter().zip(&found) {
        assert_close(resid, &found[0], 1e-6, &intervention.to_string());
    }
}
