//! Sweeps through the executor: deletions that keep the first position, patches of a run into itself and into another.

use stratigraph_core::{
    ActivationCache, Edit, EditKind, Hook, ModelShape, NoTap, ResidualModel, RunModel, TokenWindows,
};
use stratigraph_surgery::{Budget, Intervention, LayerPlan, SurgeryError, Sweep, SweepContext};
use stratigraph_testing::{Backend, TestDevice, Toy, assert_close, device, devices};

use crate::by_hand::KeepFirst;
use crate::support::{KINDS, SEQ_LEN, execute, least_budget, load, points, run_with, windows};

#[test]
fn deletion_from_the_second_position_keeps_the_first() {
    for TestDevice { backend, device } in devices() {
        // wgpu may run in software.
        let kinds = if backend == Backend::Wgpu { &KINDS[..1] } else { &KINDS[..] };
        for name in kinds {
            let model = load(name, &device);
            let windows = windows(&model, 3, SEQ_LEN);
            let interventions = points(&Sweep::delete_at(1..), &model, SEQ_LEN);
            let full = LayerPlan::full(model.n_layers());
            let expected: Vec<_> = (0..model.n_layers())
                .map(|slot| run_with(&model, &full, &windows, &mut KeepFirst { slot, n: 1, entered: None }))
                .collect();
            for budget in [least_budget(&model, &interventions, &windows), Budget::default()] {
                let found = execute(&model, &interventions, &windows, budget);
                for (layer, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    assert_close(found, expected, 1e-5, &format!("layer {layer} of {name} on {backend}"));
                }
            }
            // What the whole layer does to the first position is kept, and what it does to the others is not.
            let deleted = execute(&model, &points(&Sweep::delete(), &model, SEQ_LEN), &windows, Budget::default());
            assert!(expected.iter().zip(&deleted).all(|(kept, deleted)| kept != deleted), "{name}");
        }
    }
}

#[test]
fn skipping_at_every_position_is_deleting() {
    let found = |model: &dyn ResidualModel, sweep: Sweep, seq_len: usize| {
        execute(model, &points(&sweep, model, seq_len), &windows(model, 2, seq_len), Budget::default())
    };
    let skip = || Sweep::each_layer("skip", |_, layer| Ok(Edit::skip_layer(layer)));
    let toy = Toy::default();
    assert_eq!(found(&toy, skip(), 5), found(&toy, Sweep::delete(), 5));
    for name in KINDS {
        let model = load(name, &device());
        let everywhere = found(&model, skip(), SEQ_LEN);
        for (everywhere, deleted) in everywhere.iter().zip(&found(&model, Sweep::delete(), SEQ_LEN)) {
            assert_close(everywhere, deleted, 1e-6, name);
        }
    }
}

const PATCHED: [Hook; 6] = [Hook::ResidPre, Hook::AttnOut, Hook::MlpOut, Hook::ResidPost, Hook::Z, Hook::MlpPost];

#[test]
fn patching_a_run_into_itself_changes_nothing() {
    let toy = Toy::default();
    let toy_windows = windows(&toy, 3, 5);
    let cache = toy.run_with_cache(&toy_windows, ActivationCache::at(PATCHED)).unwrap();
    let clean = run_with(&toy, &LayerPlan::full(3), &toy_windows, &mut NoTap);
    for hook in PATCHED {
        let [layers, positions] = [Sweep::patch_layers(hook, &cache), Sweep::patch(hook, &cache)].map(Result::unwrap);
        for sweep in [layers, positions] {
            let found = execute(&toy, &points(&sweep, &toy, 5), &toy_windows, Budget::default());
            assert!(found.iter().all(|found| *found == clean), "{sweep:?} of a toy");
        }
    }
    for name in KINDS {
        let model = load(name, &device());
        let windows = windows(&model, 3, SEQ_LEN);
        let cache = model.run_with_cache(&windows, ActivationCache::at(PATCHED)).unwrap();
        let clean = run_with(&model, &LayerPlan::full(model.n_layers()), &windows, &mut NoTap);
        for hook in PATCHED {
            let sweep = Sweep::patch_layers(hook, &cache).unwrap();
            for (layer, found) in
                execute(&model, &points(&sweep, &model, SEQ_LEN), &windows, Budget::default()).iter().enumerate()
            {
                assert_close(found, &clean, 1e-6, &format!("{hook} of layer {layer} of {name}"));
            }
        }
    }
}

/// A patch at one position changes that position and later ones; a patch at every position gives the clean run.
#[test]
fn patching_the_residual_stream_changes_the_patched_position_and_later_ones() {
    let model = load("gpt2", &device());
    // Two windows that have no token in common at any position.
    let [clean, corrupted] = [0, 5].map(|first| {
        let ids: Vec<u32> = (0..SEQ_LEN as u32).map(|i| (7 * i + first) % 96).collect();
        TokenWindows::new(&ids, SEQ_LEN).unwrap()
    });
    let cache = model.run_with_cache(&clean, ActivationCache::at([Hook::ResidPre])).unwrap();
    let sweep = Sweep::patch(Hook::ResidPre, &cache).unwrap();
    let context = SweepContext::new(model.shape(), SEQ_LEN);
    let grid = sweep.points(&context).unwrap();
    assert_eq!(grid.axes.iter().map(|axis| axis.len()).collect::<Vec<_>>(), [3, SEQ_LEN]);
    assert_eq!(grid.interventions[SEQ_LEN + 4].name(), "patch_resid_pre 1 4");
    let found = execute(&model, &grid.interventions, &corrupted, Budget::default());
    let [of_clean, of_corrupted] =
        [&clean, &corrupted].map(|windows| run_with(&model, &LayerPlan::full(3), windows, &mut NoTap));
    let width = model.shape().d_model;
    for (index, found) in found.iter().enumerate() {
        let position = index % SEQ_LEN;
        let before = position * width;
        if before > 0 {
            assert_close(&found[..before], &of_corrupted[..before], 1e-5, "what comes before does not change");
        }
        assert!(found[before..] != of_corrupted[before..], "{index}");
    }
    let all = points(&Sweep::patch_layers(Hook::ResidPre, &cache).unwrap(), &model, SEQ_LEN);
    for found in execute(&model, &all, &corrupted, Budget::default()) {
        assert_close(&found, &of_clean, 1e-5, "every position is the clean one's");
    }
}

#[test]
fn a_patch_needs_the_activations_of_its_layers() {
    let model = load("gpt2", &device());
    let windows = windows(&model, 1, SEQ_LEN);
    let cache = model.run_with_cache(&windows, ActivationCache::at([Hook::ResidPre.at(1)])).unwrap();
    assert!(matches!(Sweep::patch(Hook::MlpOut, &cache), Err(SurgeryError::Core(_))));
    let sweep = Sweep::patch_layers(Hook::ResidPre, &cache).unwrap();
    let refused = sweep.points(&SweepContext::new(model.shape(), SEQ_LEN)).unwrap_err().to_string();
    assert!(refused.contains("no activation of `blocks.0.hook_resid_pre` was kept"), "{refused}");
}

#[test]
fn every_head_of_every_layer_is_ablated_alone() {
    let model = load("llama-gqa", &device());
    let windows = windows(&model, 2, SEQ_LEN);
    let heads = points(&Sweep::heads(EditKind::Zero), &model, SEQ_LEN);
    assert_eq!(heads.len(), 3 * 4);
    let found = execute(&model, &heads, &windows, Budget::default());
    assert!((1..found.len()).all(|index| !found[..index].contains(&found[index])), "no two are alike");
    // All heads of a layer at once are attention without a bias: this model has none.
    let together = LayerPlan::full(3).edit(Edit::zero(Hook::Z.at(1)));
    let attention: Intervention = "0..3 | blocks.1.hook_attn_out zero".parse().unwrap();
    let [together, attention] = [together, attention].map(|each| execute(&model, &[each], &windows, Budget::default()));
    assert_close(&together[0], &attention[0], 1e-6, "all heads of a layer");
}

#[test]
fn a_repeated_block_runs_each_of_its_layers_twice() {
    let context = SweepContext::new(ModelShape::new(4, 8, 16), 3);
    let texts = |length: usize| -> Result<Vec<String>, SurgeryError> {
        Ok(Sweep::repeat(length).points(&context)?.interventions.iter().map(Intervention::to_string).collect())
    };
    assert_eq!(texts(2).unwrap(), ["0-0-1-1..4", "0-1-1-2-2-3", "0..3-2-3-3"]);
    assert_eq!(texts(4).unwrap().len(), 1);
    for length in [0, 5] {
        assert!(matches!(texts(length), Err(SurgeryError::EmptySweep { .. })), "{length}");
    }
}
