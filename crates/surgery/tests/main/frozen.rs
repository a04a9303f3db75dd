//! Layers deleted while later layers keep the clean run's patterns or norm scales, against runs edited by hand, on every
//! family.

use stratigraph_core::{ActivationCache, Hook, HookPoint, NoTap, ResidualModel, RunModel, Tap, Taps, TokenWindows};
use stratigraph_surgery::{Budget, Intervention, LayerPlan, Sweep, SweepContext};
use stratigraph_testing::{Backend, FAMILIES, TestDevice, Toy, assert_close, device, devices};

use crate::by_hand::Replace;
use crate::support::{SEQ_LEN, execute, least_budget, load, points, run_with, windows};

/// A run without a layer, in which some activations of all later layers are those of the clean run.
fn by_hand(model: &dyn ResidualModel, windows: &TokenWindows, layer: usize, hooks: &[Hook]) -> Vec<f32> {
    let cache = model.run_with_cache(windows, ActivationCache::at(hooks.iter().copied())).unwrap();
    let replace = |later: usize, hook: Hook| {
        let with = cache.activation(hook.at(later)).unwrap().clone();
        let point = HookPoint { slot: later - 1, hook };
        Replace { point, with }
    };
    let later = layer + 1..model.n_layers();
    let mut replaced: Vec<_> = later.flat_map(|later| hooks.iter().map(move |hook| replace(later, *hook))).collect();
    let taps = replaced.iter_mut().map(|replace| replace as &mut dyn Tap);
    let plan = LayerPlan::full(model.n_layers()).delete(layer).unwrap();
    run_with(model, &plan, windows, &mut Taps::new(taps))
}

fn hooks_of(sweep: &Sweep, model: &dyn ResidualModel) -> Vec<Hook> {
    match sweep.name() {
        "delete_frozen_patterns" => vec![Hook::Pattern],
        _ => [Hook::Ln1Scale, Hook::Ln2Scale].into_iter().filter(|hook| model.hooks().contains(*hook)).collect(),
    }
}

#[test]
fn frozen_deletions_are_deletions_frozen_by_hand_in_every_family() {
    for TestDevice { backend, device } in devices() {
        // wgpu may run in software.
        let families = if backend == Backend::Wgpu { &FAMILIES[..1] } else { &FAMILIES[..] };
        for name in families {
            let model = load(name, &device);
            let windows = windows(&model, 3, SEQ_LEN);
            for sweep in [Sweep::delete_frozen_patterns(), Sweep::delete_frozen_norms()] {
                let interventions = points(&sweep, &model, SEQ_LEN);
                let hooks = hooks_of(&sweep, &model);
                if hooks.is_empty() {
                    // Norms that come only after sublayers cannot be frozen in this way.
                    assert!(interventions[0].check(&model.shape(), SEQ_LEN).is_err(), "{name}");
                    continue;
                }
                for budget in [least_budget(&model, &interventions, &windows), Budget::default()] {
                    let found = execute(&model, &interventions, &windows, budget);
                    for (layer, found) in found.iter().enumerate() {
                        let expected = by_hand(&model, &windows, layer, &hooks);
                        let what = format!("{} {layer} of {name} on {backend}", sweep.name());
                        assert_close(found, &expected, 1e-5, &what);
                    }
                }
            }
        }
    }
}

/// Freezing changes the result of every deletion but that of the last layer, after which nothing is frozen.
#[test]
fn freezing_changes_what_a_deletion_does() {
    for name in ["llama-gqa", "gpt2", "phi"] {
        let model = load(name, &device());
        let windows = windows(&model, 3, SEQ_LEN);
        let run = |sweep: Sweep| execute(&model, &points(&sweep, &model, SEQ_LEN), &windows, Budget::default());
        let deleted = run(Sweep::delete());
        for frozen in [run(Sweep::delete_frozen_patterns()), run(Sweep::delete_frozen_norms())] {
            let last = model.n_layers() - 1;
            assert_close(&frozen[last], &deleted[last], 1e-6, name);
            assert!((0..last).all(|layer| frozen[layer] != deleted[layer]), "{name}");
        }
    }
}

/// With every part of the later layers frozen, nothing of a deletion reaches them but through the residual stream itself.
#[test]
fn a_layer_whose_sublayers_are_frozen_adds_what_it_adds_in_the_clean_run() {
    let model = load("gpt2", &device());
    let windows = windows(&model, 2, SEQ_LEN);
    let text = "1-2 | blocks.0.hook_attn_out clean | blocks.0.hook_mlp_out clean | blocks.1.hook_attn_out clean \
                | blocks.1.hook_mlp_out clean";
    let found = execute(&model, &[text.parse::<Intervention>().unwrap()], &windows, Budget::default());
    let cache =
        model.run_with_cache(&windows, ActivationCache::at([Hook::Embed, Hook::AttnOut, Hook::MlpOut])).unwrap();
    let added = |layer: usize| [Hook::AttnOut, Hook::MlpOut].map(|hook| cache.tensor(hook.at(layer)).unwrap());
    let sum = [1, 2].into_iter().flat_map(added).fold(cache.tensor(Hook::Embed.at(0)).unwrap(), |sum, out| sum + out);
    assert_close(&found[0], &stratigraph_testing::host(sum), 1e-5, "the sum of the clean outputs");
}

#[test]
fn a_model_without_the_hook_is_refused() {
    let toy = Toy::default();
    let points = Sweep::delete_frozen_norms().points(&SweepContext::new(toy.shape(), 5)).unwrap();
    let windows = windows(&toy, 2, 5);
    let refused = points.interventions[0].check(&toy.shape(), 5).unwrap_err().to_string();
    assert_eq!(refused, "this model does not offer the hook `ln1.hook_scale`");
    let alone = "0..3 | blocks.1.hook_mlp_out clean".parse::<Intervention>().unwrap();
    let refused = alone.run(&toy, &windows).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("its values come from another run, and this run has none; use an executor"), "{refused}");
    assert!(LayerPlan::full(3).run(&toy, windows.batch(0..2, &toy.device()), &mut NoTap).is_ok());
}
