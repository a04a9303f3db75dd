//! Means and resampled activations: of sublayers, heads, patterns and MLP units, against values computed by hand.

use stratigraph_core::{Edit, EditKind, Hook, Positions, ResidualModel, TokenWindows};
use stratigraph_surgery::{Budget, Intervention, LayerPlan};
use stratigraph_testing::{ByElement, Toy, assert_close, device};

use crate::by_hand::{clean, flat, mean_of, next_of};
use crate::support::{KINDS, SEQ_LEN, execute, least_budget, load, run_with, windows};

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
        EditKind::Mean => mean_of(&activation, hook),
        EditKind::Resample => next_of(&activation),
        kind => panic!("{kind:?}"),
    };
    (activation.dims(), values)
}

/// Layer 2 runs in slot 1; its values are those of layer 2 of the unchanged model.
fn check(model: &dyn ResidualModel, windows: &TokenWindows, name: &str) {
    let plan = LayerPlan::full(3).delete(1).unwrap();
    let cases: Vec<_> = [EditKind::Mean, EditKind::Resample].iter().flat_map(|kind| cases(kind, 1)).collect();
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
