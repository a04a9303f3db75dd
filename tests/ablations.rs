//! Ablations of half a layer against runs that are edited by hand, and what repeats and halves are.

mod common;

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use common::{assert_close, device, devices, fixture, host};
use stratigraph::core::{Sublayer, Taps, forward};
use stratigraph::prelude::*;
use stratigraph::surgery::{Ablation, Budget, Sink, SurgeryError};

const SEQ_LEN: usize = 12;
const HALVES: [(Sublayer, Hook); 2] = [(Sublayer::Attention, Hook::AttnOut), (Sublayer::Mlp, Hook::MlpOut)];

/// A model whose sublayers follow one another, or run side by side.
fn models(device: &Device) -> [Decoder; 2] {
    ["llama-gqa", "neox-parallel"].map(|name| Checkpoint::open(fixture(name)).unwrap().load(device).unwrap())
}

fn windows(model: &Decoder, n_sequences: usize) -> TokenWindows {
    let ids: Vec<u32> = (0..n_sequences * SEQ_LEN).map(|i| (i * i * 37 % model.d_vocab()) as u32).collect();
    TokenWindows::new(&ids, SEQ_LEN).unwrap()
}

struct Keep(Vec<Vec<f32>>);

impl Sink for Keep {
    type Error = SurgeryError;

    fn batch(&mut self, _sequences: Range<usize>, residuals: Vec<Tensor<3>>) -> Result<(), SurgeryError> {
        self.0.iter_mut().zip(residuals).for_each(|(kept, resid)| kept.extend(host(resid)));
        Ok(())
    }
}

fn execute(model: &Decoder, plans: &[LayerPlan], windows: &TokenWindows, budget: Budget) -> Vec<Vec<f32>> {
    let mut keep = Keep(vec![Vec::new(); plans.len()]);
    Executor::new(plans.to_vec()).with_budget(budget).run(model, windows, &mut keep).unwrap();
    keep.0
}

/// One window at a time, one state at a time.
fn smallest(model: &Decoder, n_plans: usize) -> Budget {
    let state = SEQ_LEN * model.d_model() * 4;
    let widest = SEQ_LEN * model.widest_activation(SEQ_LEN) * 4;
    let held = 2 * model.n_layers() * state;
    Budget { bytes: state * (n_plans + 3) + held + 8 * widest, largest_tensor_bytes: widest }
}

/// A run in which what one half of a layer writes is replaced by hand.
fn by_hand(model: &Decoder, windows: &TokenWindows, layer: usize, hook: Hook, with: Tensor<3>) -> Vec<f32> {
    let device = model.device();
    let mut edit = Edit::activation(layer, hook, |_| with.clone());
    host(forward(model, windows.batch(0..windows.n_sequences(), &device), &mut edit).unwrap())
}

#[test]
fn ablated_layers_are_layers_edited_by_hand_under_any_budget() {
    for (backend, device) in devices() {
        // wgpu may run in software.
        let n_models = if backend == Backend::Wgpu { 1 } else { 2 };
        for model in models(&device).into_iter().take(n_models) {
            let (n, windows) = (3, windows(&model, 3));
            let mut plans = vec![LayerPlan::full(model.n_layers())];
            let mut expected = Vec::new();
            let mut cache = ActivationCache::of([Hook::AttnOut, Hook::MlpOut]);
            expected.push(host(forward(&model, windows.batch(0..n, &device), &mut cache).unwrap()));
            for (half, hook) in HALVES {
                for ablation in Ablation::ALL {
                    plans.extend(sweep::ablate_each(model.n_layers(), half, ablation));
                    for layer in 0..model.n_layers() {
                        let output = cache.get(layer, hook).unwrap().clone();
                        let with = match ablation {
                            Ablation::Mean => output.clone().mean_dim(0).mean_dim(1).expand(output.dims()),
                            Ablation::Resample => {
                                let others = [1, 2, 0].map(|window| output.clone().narrow(0, window, 1));
                                Tensor::cat(others.to_vec(), 0)
                            }
                        };
                        expected.push(by_hand(&model, &windows, layer, hook, with));
                    }
                }
            }
            for budget in &[smallest(&model, plans.len()), Budget::default()][2 - n_models..] {
                let found = execute(&model, &plans, &windows, *budget);
                for ((plan, found), expected) in plans.iter().zip(found).zip(&expected) {
                    assert_close(&found, expected, 1e-5, &format!("{plan} on {backend}"));
                }
            }
        }
    }
}

#[test]
fn leaving_a_half_out_is_replacing_what_it_writes_by_nothing() {
    let device = device();
    for model in models(&device) {
        let windows = windows(&model, 2);
        for (half, hook) in HALVES {
            let plans = sweep::delete_each_half(model.n_layers(), half);
            let found = execute(&model, &plans, &windows, Budget::default());
            let zeros = Tensor::zeros([2, SEQ_LEN, model.d_model()], &device);
            for (layer, found) in found.iter().enumerate() {
                assert_close(found, &by_hand(&model, &windows, layer, hook, zeros.clone()), 1e-6, hook.name());
            }
        }
    }
}

#[test]
fn ablating_what_never_changes_changes_nothing() {
    let device = device();
    let [model, _] = models(&device);
    // Equal windows: what another window writes is what this one writes.
    let ids: Vec<u32> = windows(&model, 1).ids().repeat(3);
    let windows = TokenWindows::new(&ids, SEQ_LEN).unwrap();
    let full = LayerPlan::full(model.n_layers());
    let plans = [vec![full], sweep::ablate_each(model.n_layers(), Sublayer::Mlp, Ablation::Resample)].concat();
    let found = execute(&model, &plans, &windows, Budget::default());
    for (plan, resid) in plans.iter().zip(&found) {
        assert_close(resid, &found[0], 1e-6, &plan.to_string());
    }
}

#[test]
fn what_an_ablation_lacks_is_said() {
    let device = device();
    let [model, _] = models(&device);
    let plan: LayerPlan = "0-1[m=resample]-2".parse().unwrap();
    let alone = windows(&model, 1);
    let refused = Executor::new(vec![plan.clone()]).run(&model, &alone, &mut Keep(vec![Vec::new()]));
    assert_eq!(refused, Err(SurgeryError::NothingToResample));
    let refused = plan.run(&model, alone.batch(0..1, &device), &mut NoTap).map(|_| ()).unwrap_err();
    assert!(matches!(refused, SurgeryError::NeedsCorpus { slot: 1, .. }), "{refused}");
    assert!(refused.to_string().contains("`1[m=resample]` in slot 1"), "{refused}");
}

#[test]
fn a_repeated_block_runs_each_of_its_layers_twice() {
    let plans = sweep::repeat_each(4, 2);
    assert_eq!(
        plans.iter().map(LayerPlan::to_string).collect::<Vec<_>>(),
        ["0-0-1-1-2-3", "0-1-1-2-2-3", "0-1-2-2-3-3"]
    );
    assert_eq!(sweep::repeat_each(4, 4).len(), 1);
    assert_eq!([sweep::repeat_each(4, 5), sweep::repeat_each(4, 0)].concat(), []);
}

#[test]
fn a_plan_as_a_model_is_the_plan() {
    use stratigraph::surgery::Rearranged;
    let device = device();
    let [model, _] = models(&device);
    let windows = windows(&model, 2);
    let plan: LayerPlan = "2-0-0-1".parse().unwrap();
    let rearranged = Rearranged::new(&model, &plan).unwrap();
    assert_eq!(rearranged.n_layers(), 4);
    let tokens = || windows.batch(0..2, &device);
    let mut seen = [ActivationCache::of([Hook::ResidPost]), ActivationCache::of([Hook::ResidPost])];
    let [first, second] = &mut seen;
    let by_plan = host(plan.run(&model, tokens(), first).unwrap());
    let as_model = host(forward(&rearranged, tokens(), &mut Taps::new([second as &mut dyn Tap])).unwrap());
    assert_eq!(by_plan, as_model);
    for slot in 0..4 {
        let [plan, model] = seen.each_ref().map(|cache| host(cache.get(slot, Hook::ResidPost).unwrap().clone()));
        assert_eq!(plan, model, "slot {slot}");
    }
    assert_eq!(host(rearranged.neuron_outputs(3).unwrap()), host(model.neuron_outputs(1).unwrap()));
    assert!(Rearranged::new(&model, &"0-7".parse().unwrap()).is_err());
    assert!(Rearranged::new(&model, &"0-1a-2".parse().unwrap()).is_err());
}
