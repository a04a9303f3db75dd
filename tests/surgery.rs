//! Surgery on a real decoder: algebra, the executor against plain runs, hooks and edits.

mod common;

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use common::{assert_close, device, devices, fixture, host};
use proptest::prelude::*;
use stratigraph::core::{CoreError, Sublayer, forward};
use stratigraph::prelude::*;
use stratigraph::surgery::{Budget, Sink, Step, SurgeryError};

fn model(device: &Device) -> Decoder {
    Pretrained::open(fixture("llama-gqa")).unwrap().load(device).unwrap()
}

fn windows(n_sequences: usize, seq_len: usize) -> TokenWindows {
    let ids: Vec<u32> = (0..n_sequences * seq_len).map(|i| (i * 37 % 300) as u32).collect();
    TokenWindows::new(&ids, seq_len).unwrap()
}

/// Keeps every residual stream, plan by plan.
struct Keep {
    residuals: Vec<Vec<f32>>,
    steps: usize,
}

impl Sink for Keep {
    type Error = SurgeryError;

    fn batch(&mut self, _sequences: Range<usize>, residuals: Vec<Tensor<3>>) -> Result<(), SurgeryError> {
        for (kept, resid) in self.residuals.iter_mut().zip(residuals) {
            kept.extend(host(resid));
        }
        Ok(())
    }

    fn step_done(&mut self, n_sequences: usize) {
        self.steps += n_sequences;
    }
}

fn execute(model: &Decoder, plans: &[LayerPlan], windows: &TokenWindows, budget: Budget) -> Keep {
    let executor = Executor::new(plans.to_vec()).with_budget(budget);
    let mut keep = Keep { residuals: vec![Vec::new(); plans.len()], steps: 0 };
    executor.run(model, windows, &mut keep).unwrap();
    assert_eq!(keep.steps, executor.n_steps() * windows.n_sequences(), "each distinct prefix runs once a window");
    keep
}

/// Plans of every kind over three layers.
fn all_plans() -> Vec<LayerPlan> {
    let full = LayerPlan::full(3);
    let mut plans = [sweep::prefixes(3), sweep::delete_each(3), sweep::swap_adjacent(3)].concat();
    plans.extend([
        full.repeat(0..3).unwrap(),
        full.reverse(0..3).unwrap(),
        full.parallel(1..3).unwrap(),
        full.only(1, Sublayer::Attention).unwrap(),
        full.only(2, Sublayer::Mlp).unwrap(),
        full.clone(),
    ]);
    plans
}

#[test]
fn a_plan_equal_to_the_models_order_gives_the_same_bits() {
    for (_, device) in devices() {
        let model = model(&device);
        let windows = windows(2, 12);
        let straight = host(forward(&model, windows.batch(0..2, &device), &mut NoTap).unwrap());
        let plan = LayerPlan::full(3);
        assert_eq!(host(plan.run(&model, windows.batch(0..2, &device), &mut NoTap).unwrap()), straight);
        assert_eq!(execute(&model, &[plan], &windows, Budget::default()).residuals[0], straight);
    }
}

#[test]
fn the_executor_gives_what_each_plan_gives_alone_under_any_budget() {
    for (backend, device) in devices() {
        let model = model(&device);
        let windows = windows(5, 12);
        let plans = all_plans();
        let alone: Vec<_> = plans
            .iter()
            .map(|plan| host(plan.run(&model, windows.batch(0..5, &device), &mut NoTap).unwrap()))
            .collect();
        // From one window and one state at a time to everything together.
        for bytes in [60_000, 100_000, 200_000, 2 << 30] {
            let budget = Budget { bytes, ..Budget::default() };
            let keep = execute(&model, &plans, &windows, budget);
            for ((plan, found), expected) in plans.iter().zip(&keep.residuals).zip(&alone) {
                assert_close(found, expected, 1e-5, &format!("{plan} on {backend} with {bytes} bytes"));
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let model = model(&device());
    let run = |plan: &str, budget: usize, windows: &TokenWindows| {
        let executor = Executor::new(vec![plan.parse().unwrap()]);
        let executor = executor.with_budget(Budget { bytes: budget, ..Budget::default() });
        executor.run(&model, windows, &mut Keep { residuals: vec![Vec::new()], steps: 0 })
    };
    let fine = windows(1, 12);
    assert_eq!(run("0-3", 1 << 30, &fine), Err(CoreError::LayerOutOfRange { layer: 3, n_layers: 3 }.into()));
    assert!(matches!(run("0-1", 1000, &fine), Err(SurgeryError::BudgetTooSmall { budget: 1000, .. })));
    let long = windows(1, 129);
    assert_eq!(run("0", 1 << 30, &long), Err(CoreError::WindowTooLong { seq_len: 129, n_ctx: 128 }.into()));
    let foreign = TokenWindows::new(&[1, 300], 2).unwrap();
    assert_eq!(run("0", 1 << 30, &foreign), Err(CoreError::TokenOutOfRange { id: 300, d_vocab: 300 }.into()));
}

#[test]
fn halves_add_up_to_the_whole_layer() {
    // h + attention(h) and then the MLP on the sum is what a sequential layer is.
    let device = device();
    let model = model(&device);
    let tokens = || windows(2, 12).batch(0..2, &device);
    let whole = LayerPlan::full(3).run(&model, tokens(), &mut NoTap).unwrap();
    let halves: LayerPlan = "0a-0m-1a-1m-2a-2m".parse().unwrap();
    assert_eq!(host(halves.run(&model, tokens(), &mut NoTap).unwrap()), host(whole));
}

#[test]
fn deleting_equals_zeroing_what_both_sublayers_write() {
    struct Zero(usize);
    impl Tap for Zero {
        fn hooks(&self) -> Vec<Hook> {
            vec![Hook::AttnOut, Hook::MlpOut]
        }
        fn wants(&self, site: Site, hook: Hook) -> bool {
            site.layer == self.0 && self.hooks().contains(&hook)
        }
        fn visit(&mut self, _: Site, _: Hook, activation: Tensor<3>) -> Tensor<3> {
            activation.zeros_like()
        }
    }
    let device = device();
    let model = model(&device);
    let tokens = || windows(2, 12).batch(0..2, &device);
    for layer in 0..3 {
        let deleted = LayerPlan::full(3).delete(layer).unwrap().run(&model, tokens(), &mut NoTap).unwrap();
        let zeroed = forward(&model, tokens(), &mut Zero(layer)).unwrap();
        assert_eq!(host(deleted), host(zeroed), "layer {layer}");
    }
}

#[test]
fn every_hook_fires_once_a_slot_and_editing_it_changes_what_comes_out() {
    #[derive(Default)]
    struct Count(std::collections::BTreeMap<(usize, Hook), usize>);
    impl Tap for Count {
        fn hooks(&self) -> Vec<Hook> {
            Hook::ALL.to_vec()
        }
        fn wants(&self, _: Site, _: Hook) -> bool {
            true
        }
        fn visit(&mut self, site: Site, hook: Hook, activation: Tensor<3>) -> Tensor<3> {
            *self.0.entry((site.slot, hook)).or_default() += 1;
            activation
        }
        fn visit_pattern(&mut self, site: Site, pattern: Tensor<4>) -> Tensor<4> {
            *self.0.entry((site.slot, Hook::Pattern)).or_default() += 1;
            pattern
        }
    }
    let device = device();
    let model = model(&device);
    let tokens = || windows(1, 12).batch(0..1, &device);
    let plan: LayerPlan = "0-1-1-2".parse().unwrap();
    let mut count = Count::default();
    let clean = host(plan.run(&model, tokens(), &mut count).unwrap());
    assert_eq!(count.0.len(), 4 * Hook::ALL.len());
    assert!(count.0.values().all(|&n| n == 1));
    for slot in 0..4 {
        for hook in Hook::ALL {
            let mut edit = match hook {
                Hook::Pattern => Edit::pattern(slot, |pattern| pattern * 0.5),
                _ => Edit::activation(slot, hook, |activation| activation * 0.5),
            };
            let edited = host(plan.run(&model, tokens(), &mut edit).unwrap());
            assert!(edited != clean, "editing {hook} in slot {slot} had no effect");
        }
    }
}

#[test]
fn an_edit_that_never_fires_is_an_error() {
    let device = device();
    let model = model(&device);
    let mut edit = Edit::activation(3, Hook::MlpOut, |out| out);
    let result = forward(&model, windows(1, 12).batch(0..1, &device), &mut edit);
    assert_eq!(
        result.unwrap_err().to_string(),
        "the edit at `blocks.3.hook_mlp_out` never fired: no block ran in slot 3"
    );
    // Half a layer has no residual stream between its halves.
    let mut edit = Edit::activation(1, Hook::ResidMid, |out| out);
    let plan: LayerPlan = "0-1a-2".parse().unwrap();
    assert!(plan.run(&model, windows(1, 12).batch(0..1, &device), &mut edit).is_err());
}

fn plan(n_layers: usize) -> impl Strategy<Value = LayerPlan> {
    let step = prop_oneof![
        (0..n_layers).prop_map(Step::Layer),
        (0..n_layers).prop_map(|layer| Step::Half(layer, Sublayer::Attention)),
        (0..n_layers).prop_map(|layer| Step::Half(layer, Sublayer::Mlp)),
        prop::collection::vec(0..n_layers, 1..4).prop_map(Step::Parallel),
    ];
    prop::collection::vec(step, 0..12).prop_map(LayerPlan::new)
}

proptest! {
    #[test]
    fn plans_print_parse_and_serialise(plan in plan(40)) {
        prop_assert_eq!(&plan.to_string().parse::<LayerPlan>().unwrap(), &plan);
        let json = serde_json::to_string(&plan).unwrap();
        prop_assert_eq!(serde_json::from_str::<LayerPlan>(&json).unwrap(), plan);
    }

    #[test]
    fn edits_obey_their_algebra(plan in plan(9), a in 0usize..12, b in 0usize..12, seed: u64) {
        let n = plan.steps().len();
        let slots = a.min(b).min(n)..a.max(b).min(n);
        prop_assert_eq!(&plan.reverse(slots.clone()).unwrap().reverse(slots.clone()).unwrap(), &plan);
        prop_assert_eq!(plan.repeat(slots.clone()).unwrap().steps().len(), n + slots.len());
        prop_assert_eq!(plan.delete_range(slots.clone()).unwrap().steps().len(), n - slots.len());
        let sorted = |plan: &LayerPlan| { let mut steps = plan.steps().to_vec(); steps.sort(); steps };
        let shuffled = plan.shuffle(slots.clone(), seed).unwrap();
        prop_assert_eq!(sorted(&shuffled), sorted(&plan));
        prop_assert_eq!(&shuffled.steps()[..slots.start], &plan.steps()[..slots.start]);
        if a < n && b < n {
            prop_assert_eq!(plan.swap(a, b).unwrap().swap(a, b).unwrap(), plan);
        } else {
            prop_assert!(plan.swap(a, b).is_err());
        }
    }

    #[test]
    fn any_text_is_a_plan_or_an_error(text in "[0-9am()+\\-none ]{0,20}") {
        if let Ok(plan) = text.parse::<LayerPlan>() {
            prop_assert_eq!(plan.to_string().parse::<LayerPlan>().unwrap(), plan);
        }
    }
}

#[test]
fn texts_that_are_no_plans_are_refused() {
    for text in ["", "0--1", "0-x", "-1", "(1+2", "0-+3", "99999999999999999999999", "()"] {
        assert!(matches!(text.parse::<LayerPlan>(), Err(SurgeryError::BadPlan { .. })), "{text}");
    }
}
