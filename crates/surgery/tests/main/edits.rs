//! Every kind of edit through the executor against the same change made by a tap, number by number.

use burn::tensor::TensorData;
use stratigraph_core::{
    Activation, AttentionPair, Edit, Hook, HookPoint, NoTap, PairMask, Positions, ResidualModel, RunModel, TokenWindows,
};
use stratigraph_surgery::{Budget, Intervention, LayerPlan};
use stratigraph_testing::{Backend, ByElement, TestDevice, Toy, assert_close, device, devices, host};

use crate::by_hand::{KeepFirst, clean, flat};
use crate::support::{KINDS, SEQ_LEN, execute, least_budget, load, run_with, windows};

type Change = Box<dyn Fn([usize; 4], f32) -> f32>;

/// An edit in a slot, and what it does to one number.
struct Case {
    edit: Edit,
    change: Change,
}

fn case(edit: Edit, change: impl Fn([usize; 4], f32) -> f32 + 'static) -> Case {
    Case { edit, change: Box::new(change) }
}

const SLOT: usize = 2;

/// Zeroed and scaled activations.
fn plain_cases() -> Vec<Case> {
    let point = |hook: Hook| hook.at(SLOT);
    vec![
        case(Edit::zero(point(Hook::ResidPre)).with_positions(2..), |[_, p, ..], x| if p < 2 { x } else { 0.0 }),
        case(Edit::zero(point(Hook::AttnOut)), |_, _| 0.0),
        case(Edit::zero(point(Hook::MlpOut)), |_, _| 0.0),
        case(Edit::zero(point(Hook::Z)).with_heads([1]), |[_, _, head, _], x| if head == 1 { 0.0 } else { x }),
        case(Edit::zero(point(Hook::MlpPost)).with_units([0, 3]), |[_, _, unit, _], x| match unit {
            0 | 3 => 0.0,
            _ => x,
        }),
        case(Edit::scale(point(Hook::MlpOut), -1.5), |_, x| -1.5 * x),
        case(Edit::scale(point(Hook::Q), 3.0).with_heads([0]).with_positions(1..3), |[_, p, head, _], x| {
            if head == 0 && (p == 1 || p == 2) { 3.0 * x } else { x }
        }),
        case(Edit::scale(point(Hook::Pattern), 0.5).with_positions(4..).with_heads([1]), |[_, head, query, _], x| {
            if head == 1 && query >= 4 { 0.5 * x } else { x }
        }),
        case(Edit::scale(point(Hook::ResidPost), 0.25).with_positions(Positions::only([0, 4])), |[_, p, ..], x| {
            if p == 0 || p == 4 { 0.25 * x } else { x }
        }),
    ]
}

/// Masked keys, and a function of one's own.
fn masks_and_functions() -> Vec<Case> {
    let hidden = f32::NEG_INFINITY;
    vec![
        case(
            Edit::mask_distances(SLOT, 1..=3),
            move |[_, _, query, key], x| {
                if query > key && query - key <= 3 { hidden } else { x }
            },
        ),
        case(
            Edit::mask_keys(SLOT, Positions::only([0])),
            move |[_, _, query, key], x| {
                if key == 0 && query != 0 { hidden } else { x }
            },
        ),
        case(
            Edit::custom(Hook::MlpOut.at(SLOT), "squared", |x, context| {
                assert_eq!((context.hook, context.layer), (Hook::MlpOut, 1), "the layer that runs in the slot");
                Ok(x.wide(Hook::MlpOut.at(SLOT))?.square().into())
            }),
            |_, x| x * x,
        ),
    ]
}

/// Edits that hold values: a direction, what another run had, and masks of each window.
fn cases_with_values(model: &dyn ResidualModel, windows: &TokenWindows) -> Vec<Case> {
    let vector: Vec<f32> = (0..model.d_model()).map(|unit| (unit as f32).cos()).collect();
    let added = vector.clone();
    let other = clean(model, windows, 0, Hook::ResidPost);
    let (dims, values) = (other.dims(), other.to_vec());
    let of_first = other.windows(0..1);
    let (first_dims, first_values) = (of_first.dims(), of_first.to_vec());
    let mask = |window: usize, position: usize| (window + position).is_multiple_of(3);
    let masks = (0..windows.n_sequences()).map(|w| (0..windows.seq_len()).map(|p| mask(w, p)).collect()).collect();
    vec![
        case(Edit::add(Hook::ResidPre.at(SLOT), vector.as_slice()).with_positions(1..), move |[_, p, unit, _], x| {
            if p == 0 { x } else { x + added[unit] }
        }),
        case(Edit::patch(Hook::ResidPost.at(SLOT), other), move |at, _| values[flat(at, &dims)]),
        case(Edit::patch(Hook::ResidPre.at(SLOT), of_first).with_positions(2..5), move |[window, p, unit, _], x| {
            let _ = window; // one window's values serve every window
            if (2..5).contains(&p) { first_values[flat([0, p, unit, 0], &first_dims)] } else { x }
        }),
        case(
            Edit::zero(Hook::AttnOut.at(SLOT)).with_positions(Positions::mask("thirds", masks)),
            move |[window, p, ..], x| if mask(window, p) { 0.0 } else { x },
        ),
        case(Edit::mask_pairs(SLOT, some_pairs(windows)), |[window, _, query, key], x| {
            if is_paired(window, query, key) { f32::NEG_INFINITY } else { x }
        }),
    ]
}

/// Which queries and keys [`some_pairs`] pairs, in every window but the second.
fn is_paired(window: usize, query: usize, key: usize) -> bool {
    window != 1 && key < query && (window + 2 * query + key).is_multiple_of(3)
}

fn some_pairs(windows: &TokenWindows) -> PairMask {
    let of_window = |window: usize| {
        let all = (0..windows.seq_len()).flat_map(|query| (0..query).map(move |key| AttentionPair::new(query, key)));
        all.filter(|pair| is_paired(window, pair.query, pair.key)).collect()
    };
    PairMask::new("thirds", (0..windows.n_sequences()).map(of_window).collect())
}

/// Runs the cases together, under some budgets, and one by one by a tap, in a plan whose third slot runs layer 1 again.
fn check(model: &dyn ResidualModel, windows: &TokenWindows, n_budgets: usize, name: &str) {
    let plan = LayerPlan::full(model.n_layers()).repeat(1..2).unwrap();
    let cases: Vec<_> =
        [plain_cases(), masks_and_functions(), cases_with_values(model, windows)].into_iter().flatten().collect();
    let interventions: Vec<Intervention> = cases.iter().map(|case| plan.clone().edit(case.edit.clone())).collect();
    let by_hand: Vec<_> = cases
        .into_iter()
        .map(|Case { edit, change }| run_with(model, &plan, windows, &mut ByElement { point: edit.point(), change }))
        .collect();
    let unedited = run_with(model, &plan, windows, &mut NoTap);
    for (intervention, by_hand) in interventions.iter().zip(&by_hand) {
        assert!(*by_hand != unedited, "{intervention} of {name} has no effect");
    }
    let budgets = [least_budget(model, &interventions, windows), Budget::default()];
    for budget in &budgets[2 - n_budgets..] {
        let found = execute(model, &interventions, windows, *budget);
        for ((intervention, found), expected) in interventions.iter().zip(&found).zip(&by_hand) {
            assert_close(found, expected, 1e-5, &format!("{intervention} of {name}, {budget:?}"));
        }
    }
}

#[test]
fn edits_through_the_executor_are_the_changes_of_a_tap() {
    for TestDevice { backend, device } in devices() {
        // wgpu may run in software.
        let (kinds, n_budgets) = if backend == Backend::Wgpu { (&KINDS[..1], 1) } else { (&KINDS[..], 2) };
        for name in kinds {
            let model = load(name, &device);
            let windows = windows(&model, 3, SEQ_LEN);
            check(&model, &windows, n_budgets, &format!("{name} on {backend}"));
        }
    }
}

#[test]
fn an_intervention_alone_gives_what_the_executor_gives() {
    let model = load("gpt2", &device());
    let windows = windows(&model, 3, SEQ_LEN);
    let plan = LayerPlan::full(3).repeat(1..2).unwrap();
    let cases = [plain_cases(), masks_and_functions(), cases_with_values(&model, &windows)];
    let edited = cases.into_iter().flatten().map(|case| plan.clone().edit(case.edit));
    let interventions: Vec<Intervention> = edited.collect();
    let found = execute(&model, &interventions, &windows, Budget::default());
    for (intervention, found) in interventions.iter().zip(&found) {
        let alone = host(intervention.run(&model, &windows).unwrap());
        assert_close(&alone, found, 1e-5, &intervention.to_string());
    }
}

#[test]
fn edits_of_a_model_of_ones_own_too() {
    let model = Toy::default();
    check(&model, &windows(&model, 3, 5), 2, "a toy");
}

#[test]
fn several_edits_are_made_in_the_order_of_the_run() {
    let model = load("gpt2", &device());
    let windows = windows(&model, 2, SEQ_LEN);
    let point = Hook::MlpOut.at(1);
    let ones = Activation::from(burn::tensor::Tensor::<3>::ones([1, 1, model.d_model()], &device()));
    // At one point in the order in which they were added: (x + 1) * 2 is not x * 2 + 1.
    let add_then_scale = Intervention::none(3).edit(Edit::add(point, ones.clone())).edit(Edit::scale(point, 2.0));
    let scale_then_add = Intervention::none(3).edit(Edit::scale(point, 2.0)).edit(Edit::add(point, ones));
    // In two slots: what the first changes, the second sees.
    let two = Intervention::none(3).edit(Edit::zero(Hook::AttnOut.at(2))).edit(Edit::zero(Hook::MlpOut.at(0)));
    let found = execute(&model, &[add_then_scale, scale_then_add, two], &windows, Budget::default());
    let plan = LayerPlan::full(3);
    let by_hand = |point: HookPoint, change: fn(f32) -> f32| {
        run_with(&model, &plan, &windows, &mut ByElement { point, change: move |_, x| change(x) })
    };
    assert_close(&found[0], &by_hand(point, |x| (x + 1.0) * 2.0), 1e-5, "add, scale");
    assert_close(&found[1], &by_hand(point, |x| x * 2.0 + 1.0), 1e-5, "scale, add");
    let mut first = ByElement { point: Hook::AttnOut.at(2), change: |_, _| 0.0 };
    let mut second = ByElement { point: Hook::MlpOut.at(0), change: |_, _| 0.0 };
    let taps: [&mut dyn stratigraph_core::Tap; 2] = [&mut first, &mut second];
    let expected = run_with(&model, &plan, &windows, &mut stratigraph_core::Taps::new(taps));
    assert_close(&found[2], &expected, 1e-5, "two slots");
}

#[test]
fn skipped_layers_are_left_out_and_the_embedding_can_be_edited() {
    for name in KINDS {
        let model = load(name, &device());
        let windows = windows(&model, 2, SEQ_LEN);
        let full = LayerPlan::full(3);
        let scaled = full.clone().edit(Edit::scale(Hook::Embed.at(0), 0.5).with_positions(3..));
        let interventions = [
            full.clone().edit(Edit::skip_layer(1)),
            full.delete(1).unwrap().into(),
            full.clone().edit(Edit::skip_layer(2).with_positions(3..)),
            scaled,
        ];
        let found = execute(&model, &interventions, &windows, Budget::default());
        assert_close(&found[0], &found[1], 1e-6, "skipping a layer is deleting it");
        let by_hand = run_with(&model, &full, &windows, &mut KeepFirst { slot: 2, n: 3, entered: None });
        assert_close(&found[2], &by_hand, 1e-5, name);
        let change = |[_, p, ..]: [usize; 4], x: f32| if p < 3 { x } else { 0.5 * x };
        let by_hand = run_with(&model, &full, &windows, &mut ByElement { point: Hook::Embed.at(0), change });
        assert_close(&found[3], &by_hand, 1e-5, name);
    }
}

/// A corpus in which the same values serve windows of other calls and batches.
#[test]
fn values_of_each_window_reach_that_window_in_every_part() {
    let model = Toy::default();
    let windows = windows(&model, 5, 5);
    let tokens = || windows.batch(0..5, &model.device());
    let shifts: Vec<f32> = (0..5 * 5 * 4).map(|index| (index / 20) as f32).collect();
    let data = TensorData::new(shifts, [5, 5, 4]);
    let shift = burn::tensor::Tensor::<3>::from_data(data, &model.device());
    let intervention = Intervention::none(3).edit(Edit::add(Hook::ResidPre.at(1), shift));
    let mut by_hand = ByElement { point: Hook::ResidPre.at(1), change: |[w, ..]: [usize; 4], x: f32| x + w as f32 };
    let expected = host(model.forward(tokens(), &mut by_hand).unwrap());
    for budget in [least_budget(&model, std::slice::from_ref(&intervention), &windows), Budget::default()] {
        let found = execute(&model, std::slice::from_ref(&intervention), &windows, budget);
        assert_close(&found[0], &expected, 1e-6, "shifts of each window");
    }
}
