//! Plans and their algebra; a plan as a model of its own.

use std::ops::Range;

use burn::tensor::Tensor;
use proptest::prelude::*;
use stratigraph_core::{
    Activation, ActivationCache, Hook, HookSet, ModelWeights, NoTap, ResidualModel, Result, RunModel, Site, Tap, Taps,
};
use stratigraph_surgery::{Intervention, LayerPlan, PlannedModel, Step, SurgeryError};
use stratigraph_testing::{device, host};

use crate::support::{SEQ_LEN, load, run_with, windows};

#[test]
fn what_a_plan_does_not_have_is_an_error() {
    let empty = LayerPlan::new(vec![Step::Layer(0), Step::Parallel(Vec::new())]);
    assert_eq!(empty.validate(3), Err(SurgeryError::EmptyStep { slot: 1 }));
    let full = LayerPlan::full(3);
    let reversed = Range { start: 2, end: 1 };
    assert_eq!(full.reverse(reversed.clone()), Err(SurgeryError::EmptyRange { slots: reversed }));
    assert_eq!(full.parallel(1..1), Err(SurgeryError::EmptyRange { slots: 1..1 }));
    assert_eq!(full.delete(3), Err(SurgeryError::SlotOutOfRange { slot: 3, n_slots: 3 }));
    let shared = full.parallel(1..3).unwrap();
    assert!(matches!(shared.parallel(0..2), Err(SurgeryError::NotAWholeLayer { slot: 1, .. })));
    assert_eq!(LayerPlan::full(9).shuffle(1..8, 1).unwrap().to_string(), "0-1-3-7-2-6-5-4-8");
}

/// h + attention(h), and then the MLP on the sum, is what a sequential layer is.
#[test]
fn halves_add_up_to_the_whole_layer() {
    let model = load("llama-gqa", &device());
    let windows = windows(&model, 2, SEQ_LEN);
    let whole = Intervention::none(3).run(&model, &windows).unwrap();
    let halves: Intervention = "0a-0m-1a-1m-2a-2m".parse().unwrap();
    assert_eq!(host(halves.run(&model, &windows).unwrap()), host(whole));
}

/// Zeroes what both sublayers of a layer write.
struct Zero(usize);

impl Tap for Zero {
    fn hooks(&self) -> HookSet {
        [Hook::AttnOut, Hook::MlpOut].into()
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        site.layer == self.0 && self.hooks().contains(hook)
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> Result<Activation> {
        Ok(activation.wide(hook.at(site.slot))?.zeros_like().into())
    }
}

#[test]
fn deleting_equals_zeroing_what_both_sublayers_write() {
    let model = load("llama-gqa", &device());
    let windows = windows(&model, 2, SEQ_LEN);
    for layer in 0..3 {
        let deleted = run_with(&model, &LayerPlan::full(3).delete(layer).unwrap(), &windows, &mut NoTap);
        let zeroed = run_with(&model, &LayerPlan::full(3), &windows, &mut Zero(layer));
        assert_eq!(deleted, zeroed, "layer {layer}");
    }
}

#[test]
fn a_plan_as_a_model_is_the_plan() {
    let device = device();
    let model = load("llama-gqa", &device);
    let windows = windows(&model, 2, SEQ_LEN);
    let plan: LayerPlan = "2-0-0-1".parse().unwrap();
    let planned = PlannedModel::new(&model, &plan).unwrap();
    assert_eq!(planned.n_layers(), 4);
    let mut seen = [ActivationCache::at([Hook::ResidPost]), ActivationCache::at([Hook::ResidPost])];
    let [first, second] = &mut seen;
    let by_plan = run_with(&model, &plan, &windows, first);
    let tokens = windows.batch(0..2, &device);
    let as_model = host(planned.forward(tokens, &mut Taps::new([second as &mut dyn Tap])).unwrap());
    assert_eq!(by_plan, as_model);
    for slot in 0..4 {
        let [plan, model] = seen.each_ref().map(|cache| host(cache.tensor(Hook::ResidPost.at(slot)).unwrap()));
        assert_eq!(plan, model, "slot {slot}");
    }
    let w_out = |weights: Option<&dyn ModelWeights>, layer: usize| -> Tensor<2> {
        weights.expect("a decoder has weights").w_out(layer).unwrap()
    };
    assert_eq!(host(w_out(planned.weights(), 3)), host(w_out(model.weights(), 1)));
    assert!(PlannedModel::new(&model, &"0-7".parse().unwrap()).is_err());
    assert!(PlannedModel::new(&model, &"0-(1+2)".parse().unwrap()).is_err());
}

/// Plans of at most twelve steps over `n_layers` layers.
pub fn any_plan(n_layers: usize) -> impl Strategy<Value = LayerPlan> {
    let step = prop_oneof![
        4 => (0..n_layers).prop_map(Step::Layer),
        1 => prop::collection::vec(0..n_layers, 1..4).prop_map(Step::Parallel),
    ];
    prop::collection::vec(step, 0..12).prop_map(LayerPlan::new)
}

proptest! {
    #[test]
    fn plans_obey_their_algebra(plan in any_plan(9), a in 0usize..12, b in 0usize..12, seed: u64) {
        let n = plan.steps().len();
        let slots = a.min(b).min(n)..a.max(b).min(n);
        prop_assert_eq!(&plan.reverse(slots.clone()).unwrap().reverse(slots.clone()).unwrap(), &plan);
        prop_assert_eq!(plan.repeat(slots.clone()).unwrap().steps().len(), n + slots.len());
        prop_assert_eq!(plan.repeat_block(slots.clone(), 3).unwrap().steps().len(), n + 2 * slots.len());
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
}
