//! Mixtures of experts: the router's hooks, single experts left out, neurons numbered across experts, and the cost.

use std::time::Instant;

use burn::tensor::{Int, Tensor, TensorData};
use stratigraph_core::{
    ActivationCache, Edit, EditTap, Hook, ModelWeights, NoTap, ResidualModel, Result, RunModel, Site, Tap,
};
use stratigraph_models::{Checkpoint, Decoder, DecoderConfig, Experts, Mlp};
use stratigraph_surgery::LayerPlan;
use stratigraph_testing::{Expected, assert_close, device, fixture, host};

/// The fixtures whose layers are all mixtures.
const MIXTURES: [&str; 4] = ["gpt-oss", "mixtral", "olmoe", "qwen2-moe"];

fn load(name: &str) -> Decoder {
    Checkpoint::open(fixture(name)).unwrap().load(&device()).unwrap()
}

fn ids(name: &str) -> Tensor<2, Int> {
    Expected::of_family(name).ids(&device())
}

fn run(model: &Decoder, name: &str, edits: &[Edit]) -> Vec<f32> {
    let [batch, _] = ids(name).dims();
    host(model.forward(ids(name), &mut EditTap::new(edits, (0..batch).collect())).unwrap())
}

#[test]
fn the_routers_hooks_agree() {
    for name in MIXTURES {
        let model = load(name);
        let shape = model.shape().experts.unwrap();
        let mut cache = ActivationCache::at([Hook::ExpertWeights, Hook::ExpertIndices]);
        model.forward(ids(name), &mut cache).unwrap();
        for layer in 0..model.n_layers() {
            let weights = host(cache.tensor(Hook::ExpertWeights.at(layer)).unwrap());
            let indices = host(cache.tensor(Hook::ExpertIndices.at(layer)).unwrap());
            let rows = weights.chunks(shape.n_experts).zip(indices.chunks(shape.n_active));
            for (weights, indices) in rows {
                let chosen: Vec<usize> = indices.iter().map(|index| *index as usize).collect();
                assert!(chosen.is_sorted_by(|a, b| weights[*a] >= weights[*b]), "{name}: by falling weight");
                let used = weights.iter().filter(|weight| **weight > 0.0).count();
                assert!(used == shape.n_active && chosen.iter().all(|expert| weights[*expert] > 0.0), "{name}");
                let sum: f32 = weights.iter().sum();
                let renormalized = ["gpt-oss", "mixtral"].contains(&name);
                assert!(if renormalized { (sum - 1.0).abs() < 1e-6 } else { sum < 1.0 }, "{name}: {sum}");
            }
        }
    }
}

/// Leaving an expert out takes away exactly what it writes: the other experts keep their weights.
#[test]
fn an_expert_that_is_left_out_writes_nothing_and_changes_no_other() {
    for name in MIXTURES {
        let model = load(name);
        let n_experts = model.shape().experts.unwrap().n_experts;
        let at = Hook::MlpOut.at(0);
        let written = |edits: &[Edit]| {
            let [batch, _] = ids(name).dims();
            let (mut edit, mut cache) = (EditTap::new(edits, (0..batch).collect()), ActivationCache::at([at]));
            let mut taps = stratigraph_core::Taps::new([&mut edit as &mut dyn Tap, &mut cache]);
            model.forward(ids(name), &mut taps).unwrap();
            host(cache.tensor(at).unwrap())
        };
        let without = |expert: usize| written(&[Edit::zero(Hook::ExpertWeights.at(0)).with_units([expert])]);
        let (whole, none) = (written(&[]), written(&[Edit::zero(Hook::ExpertWeights.at(0))]));
        // The sum over experts of what each takes away is all that they write together.
        let mut taken = vec![0.0; whole.len()];
        for expert in 0..n_experts {
            taken.iter_mut().zip(whole.iter().zip(without(expert))).for_each(|(sum, (all, less))| *sum += all - less);
        }
        let expected: Vec<f32> = whole.iter().zip(&none).map(|(whole, none)| whole - none).collect();
        assert_close(&taken, &expected, 1e-5, name);
        assert!(without(0) != whole || without(1) != whole, "{name}");
    }
}

#[test]
fn the_neurons_of_an_expert_are_its_part_of_all() {
    for name in MIXTURES {
        let model = load(name);
        let Mlp::Experts(experts) = &model.config().mlp else { panic!("{name} has experts") };
        let [n_neurons, _] = model.w_out(0).unwrap().dims();
        assert_eq!((n_neurons, model.shape().d_mlp), (experts.n_neurons(), Some(n_neurons)), "{name}");
        // With biases an expert without neurons still writes.
        let without_bias = name != "gpt-oss";
        let of_expert = |expert: usize| expert * experts.d_expert..(expert + 1) * experts.d_expert;
        for expert in 0..experts.n_experts {
            let neurons = Edit::zero(Hook::MlpPost.at(1)).with_units(of_expert(expert));
            let weights = Edit::zero(Hook::ExpertWeights.at(1)).with_units([expert]);
            let (found, expected) = (run(&model, name, &[neurons]), run(&model, name, &[weights]));
            if without_bias {
                assert_close(&found, &expected, 1e-6, name);
            }
        }
        let post = |model: &Decoder| {
            let cache =
                model.run_with_cache(&Expected::of_family(name).windows(), ActivationCache::at([Hook::MlpPost.at(0)]));
            host(cache.unwrap().tensor(Hook::MlpPost.at(0)).unwrap())
        };
        let active = post(&model).chunks(n_neurons).map(|row| row.iter().filter(|x| **x != 0.0).count()).max().unwrap();
        assert!(active <= experts.n_active_neurons(), "{name}: {active} neurons are used");
    }
}

#[test]
fn a_deleted_mlp_runs_no_expert() {
    struct Refuses;
    impl Tap for Refuses {
        fn hooks(&self) -> stratigraph_core::HookSet {
            [Hook::MlpOut].into()
        }
        fn visit(
            &mut self,
            _: Site,
            _: Hook,
            activation: stratigraph_core::Activation,
        ) -> Result<stratigraph_core::Activation> {
            Ok(activation)
        }
    }
    for name in MIXTURES.into_iter().chain(["qwen3-moe"]) {
        let model = load(name);
        let n = model.n_layers();
        let edits: Vec<Edit> = (0..n).map(|slot| Edit::zero(Hook::MlpOut.at(slot))).collect();
        let mut cache = ActivationCache::at([Hook::AttnOut, Hook::Embed]);
        let [batch, _] = ids(name).dims();
        let mut edit = EditTap::new(&edits, (0..batch).collect());
        let mut taps = stratigraph_core::Taps::new([&mut edit as &mut dyn Tap, &mut cache]);
        let found = host(model.forward(ids(name), &mut taps).unwrap());
        let start = cache.tensor(Hook::Embed.at(0)).unwrap();
        let sum = (0..n).fold(start, |sum, layer| sum + cache.tensor(Hook::AttnOut.at(layer)).unwrap());
        assert_close(&found, &host(sum), 1e-6, name);
        let plan = LayerPlan::full(n).delete(0).unwrap();
        assert!(
            host(plan.run(&model, ids(name), &mut NoTap).unwrap())
                != host(model.forward(ids(name), &mut Refuses).unwrap())
        );
    }
}

/// 64 experts of which 8 are used, and one MLP of the size of 8. The bound is loose: the machine may be busy.
#[test]
#[ignore = "it measures time: cargo test --release ... -- --ignored --nocapture cost"]
fn the_cost_is_that_of_the_experts_that_are_used() {
    let device = device();
    let base = DecoderConfig::new(2, 256, 4, 64).with_n_ctx(512);
    let dense = base.clone().with_d_mlp(8 * 256);
    let sparse = base.with_mlp(Mlp::Experts(Experts::new(64, 8, 256)));
    let ids: Vec<i32> = (0..8 * 512).map(|i| i * 31 % 64).collect();
    let seconds = |config: &DecoderConfig| {
        let model = config.init(3, &device).unwrap();
        let run = || {
            let ids = Tensor::<2, Int>::from_data(TensorData::new(ids.clone(), [8, 512]), &device);
            let start = Instant::now();
            model.forward(ids, &mut NoTap).unwrap();
            start.elapsed().as_secs_f64()
        };
        (0..5).map(|_| run()).fold(f64::INFINITY, f64::min)
    };
    let (dense, sparse) = (seconds(&dense), seconds(&sparse));
    println!("dense {dense:.3} s, 8 of 64 experts {sparse:.3} s: {:.2} times as long", sparse / dense);
    assert!(sparse < 1.5 * dense, "{sparse} and {dense}");
}
