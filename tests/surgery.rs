//! Surgery on a real decoder: algebra, the executor against plain runs, hooks and edits.

mod common;

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use common::{assert_close, device, devices, fixture, host};
use proptest::prelude::*;
use stratigraph::core::{CoreError, Sublayer, forward};
use stratigraph::prelude::*;
use stratigraph::surgery::{Ablation, Budget, Sink, Step, SurgeryError};

fn model(device: &Device) -> Decoder {
    Checkpoint::open(fixture("llama-gqa")).unwrap().load(device).unwrap()
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

/// On one thread: several share windows out, and a product of fewer rows may round otherwise. wgpu chooses its kernels by
/// timing them, and two of them may round differently.
#[test]
fn a_plan_equal_to_the_models_order_gives_the_same_bits() {
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    one_thread.install(|| {
        for (backend, device) in devices() {
            let model = model(&device);
            let windows = windows(2, 12);
            let straight = host(forward(&model, windows.batch(0..2, &device), &mut NoTap).unwrap());
            let plan = LayerPlan::full(3);
            assert_eq!(host(plan.run(&model, windows.batch(0..2, &device), &mut NoTap).unwrap()), straight);
            let executed = &execute(&model, &[plan], &windows, Budget::default()).residuals[0];
            if backend == Backend::Wgpu {
                assert_close(executed, &straight, 1e-6, "on wgpu");
            } else {
                assert_eq!(*executed, straight);
            }
        }
    });
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
        // From the least that one window needs to everything together.
        let least = least_budget(&model, &plans, &windows);
        for bytes in [least, least + least / 4, 2 * least, 4 * least, 2 << 30] {
            let budget = Budget { bytes, ..Budget::default() };
            let keep = execute(&model, &plans, &windows, budget);
            for ((plan, found), expected) in plans.iter().zip(&keep.residuals).zip(&alone) {
                assert_close(found, expected, 1e-5, &format!("{plan} on {backend} with {bytes} bytes"));
            }
        }
    }
}

#[test]
fn the_parts_of_a_corpus_give_what_the_whole_gives() {
    let model = model(&device());
    let windows = windows(5, 12);
    let ablated = |ablation| LayerPlan::full(3).ablate(1, Sublayer::Mlp, ablation).unwrap();
    let plans = [all_plans(), Ablation::ALL.map(ablated).to_vec()].concat();
    let whole = execute(&model, &plans, &windows, Budget::default());
    let executor = Executor::new(plans.clone());
    for cut in 0..=5 {
        let mut keep = Keep { residuals: vec![Vec::new(); plans.len()], steps: 0 };
        let mut prepared = executor.prepare(&model, &windows, 3).unwrap();
        [0..cut, cut..5].into_iter().for_each(|part| prepared.run(part, &mut keep).unwrap());
        assert_eq!(keep.steps, whole.steps, "cut at {cut}");
        for ((plan, found), expected) in plans.iter().zip(&keep.residuals).zip(&whole.residuals) {
            assert_close(found, expected, 1e-5, &format!("{plan} cut at {cut}"));
        }
    }
}

#[test]
#[should_panic(expected = "windows 1..6 of a corpus of 5")]
fn a_part_ends_where_the_corpus_ends() {
    let mut keep = Keep { residuals: vec![Vec::new()], steps: 0 };
    let (model, windows, executor) = (model(&device()), windows(5, 12), Executor::new(vec![LayerPlan::full(3)]));
    let _ = executor.prepare(&model, &windows, 5).unwrap().run(1..6, &mut keep);
}

/// The least budget that the executor accepts.
fn least_budget(model: &Decoder, plans: &[LayerPlan], windows: &TokenWindows) -> usize {
    let executor = Executor::new(plans.to_vec()).with_budget(Budget { bytes: 0, ..Budget::default() });
    match executor.run(model, windows, &mut Keep { residuals: Vec::new(), steps: 0 }) {
        Err(SurgeryError::BudgetTooSmall { budget: 0, needed }) => needed,
        other => panic!("{other:?}"),
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
    assert_eq!(run("0", 1 << 30, &fine.clone().take(0)), Err(CoreError::NoWindows.into()));
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

#[test]
fn an_edit_can_be_used_again_and_is_checked_again() {
    let device = device();
    let model = model(&device);
    let tokens = || windows(1, 12).batch(0..1, &device);
    let mut edit = Edit::activation(2, Hook::MlpOut, |out| out);
    assert!(LayerPlan::full(3).run(&model, tokens(), &mut edit).is_ok());
    assert!(LayerPlan::full(2).run(&model, tokens(), &mut edit).is_err());
}

#[test]
fn what_a_model_or_a_plan_does_not_have_is_an_error() {
    /// A decoder that offers no hooks and no halves of layers.
    struct Closed(Decoder);
    impl ResidualModel for Closed {
        fn n_layers(&self) -> usize {
            self.0.n_layers()
        }
        fn d_model(&self) -> usize {
            self.0.d_model()
        }
        fn d_vocab(&self) -> usize {
            self.0.d_vocab()
        }
        fn device(&self) -> Device {
            self.0.device()
        }
        fn embed(&self, tokens: Tensor<2, burn::tensor::Int>) -> Tensor<3> {
            self.0.embed(tokens)
        }
        fn block(&self, site: Site, resid: Tensor<3>, _: &mut dyn Tap) -> Tensor<3> {
            self.0.block(site, resid, &mut NoTap)
        }
        fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> Tensor<2> {
            self.0.unembed(normed, vocab)
        }
    }
    let device = device();
    let (open, closed) = (model(&device), Closed(model(&device)));
    let tokens = || windows(1, 12).batch(0..1, &device);
    let run = |model: &dyn ResidualModel, plan: &str, tap: &mut dyn Tap| {
        plan.parse::<LayerPlan>().unwrap().run(model, tokens(), tap).map(|_| ())
    };
    assert_eq!(run(&closed, "0-1-2", &mut NoTap), Ok(()));
    let mut cache = ActivationCache::of([Hook::Pattern]);
    assert_eq!(run(&closed, "0-1-2", &mut cache), Err(CoreError::HookMissing { hook: Hook::Pattern }.into()));
    let sublayer = Sublayer::Mlp;
    assert_eq!(run(&closed, "0-1m-2", &mut NoTap), Err(CoreError::SublayerMissing { sublayer }.into()));
    assert_eq!(run(&open, "0-(1+2)", &mut NoTap), Ok(()));
    let refused = run(&open, "0-(1+2)", &mut cache).unwrap_err();
    assert_eq!(refused.to_string(), "a tap cannot tell apart the layers of `(1+2)`, which share slot 1");
    let empty = LayerPlan::new(vec![Step::Layer(0), Step::Parallel(Vec::new())]);
    assert_eq!(empty.validate(3), Err(SurgeryError::EmptyStep { slot: 1 }));
    let full = LayerPlan::full(3);
    let reversed = Range { start: 2, end: 1 };
    assert_eq!(full.reverse(reversed.clone()), Err(SurgeryError::EmptyRange { slots: reversed }));
    assert_eq!(full.parallel(1..1), Err(SurgeryError::EmptyRange { slots: 1..1 }));
    assert_eq!(full.delete(3), Err(SurgeryError::SlotOutOfRange { slot: 3, n_slots: 3 }));
    let halved = full.only(1, Sublayer::Attention).unwrap();
    assert!(matches!(halved.only(1, Sublayer::Mlp), Err(SurgeryError::NotAWholeLayer { slot: 1, .. })));
    assert_eq!(LayerPlan::full(9).shuffle(1..8, 1).unwrap().to_string(), "0-1-3-7-2-6-5-4-8");
}

fn plan(n_layers: usize) -> impl Strategy<Value = LayerPlan> {
    let step = prop_oneof![
        (0..n_layers).prop_map(Step::Layer),
        (0..n_layers).prop_map(|layer| Step::Half(layer, Sublayer::Attention)),
        (0..n_layers).prop_map(|layer| Step::Half(layer, Sublayer::Mlp)),
        (0..n_layers).prop_map(|layer| Step::Ablated(layer, Sublayer::Mlp, Ablation::Mean)),
        (0..n_layers).prop_map(|layer| Step::Ablated(layer, Sublayer::Attention, Ablation::Resample)),
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
    fn any_text_is_a_plan_or_an_error(text in "[0-9am()+\\-none\\[\\]= ]{0,20}") {
        if let Ok(plan) = text.parse::<LayerPlan>() {
            prop_assert_eq!(plan.to_string().parse::<LayerPlan>().unwrap(), plan);
        }
    }
}

#[test]
fn texts_that_are_no_plans_are_refused() {
    let bad = ["", "0--1", "0-x", "-1", "(1+2", "0-+3", "99999999999999999999999", "()"];
    for text in bad.into_iter().chain(["3[a]", "3[x=mean]", "3[a=zero]", "3a=mean]", "3[a=mean", "[a=mean]"]) {
        assert!(matches!(text.parse::<LayerPlan>(), Err(SurgeryError::BadPlan { .. })), "{text}");
    }
}
