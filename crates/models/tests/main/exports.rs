//! Checkpoints written with other layers: they load as the plan of these layers runs, in every family.

use std::fs;

use stratigraph_core::{NoTap, ResidualModel, RunModel};
use stratigraph_models::{Checkpoint, ModelError};
use stratigraph_surgery::{LayerPlan, Step};
use stratigraph_testing::{Expected, FAMILIES, device, fixture, host};

use crate::support::assert_says;

#[test]
fn what_is_exported_runs_as_the_plan_in_every_family() {
    let device = device();
    for name in FAMILIES {
        let checkpoint = Checkpoint::open(fixture(name)).unwrap();
        let model = checkpoint.load(&device).unwrap();
        let n = model.n_layers();
        let ids = || Expected::of_family(name).ids(&device);
        let swapped: Vec<usize> = [1, 0].into_iter().chain(2..n).collect();
        let repeated: Vec<usize> = [0, 0].into_iter().chain(1..n).collect();
        for layers in [(1..n).collect(), swapped, repeated, (0..n).collect::<Vec<_>>()] {
            let dir = tempfile::tempdir().unwrap();
            checkpoint.can_save(&layers).unwrap_or_else(|error| panic!("{name}: {error}"));
            checkpoint.export(&layers).unwrap().write(dir.path()).unwrap();
            let exported = Checkpoint::open(dir.path()).unwrap().load(&device).unwrap();
            let plan = LayerPlan::new(layers.iter().copied().map(Step::Layer).collect());
            let expected = host(model.logits(plan.run(&model, ids(), &mut NoTap).unwrap()).unwrap());
            let found = host(exported.logits(exported.forward(ids(), &mut NoTap).unwrap()).unwrap());
            assert!(found == expected, "{name} {layers:?}");
        }
    }
}

#[test]
fn shards_are_small_and_files_of_the_tokenizer_go_along() {
    let (dir, device) = (tempfile::tempdir().unwrap(), device());
    let checkpoint = Checkpoint::open(fixture("llama-gqa")).unwrap();
    checkpoint.export(&[0, 2]).unwrap().with_max_shard_bytes(8192).write(dir.path()).unwrap();
    let shards = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let shards: Vec<_> = shards.filter(|path| path.extension().is_some_and(|e| e == "safetensors")).collect();
    assert!(shards.len() > 2, "{shards:?}");
    assert!(dir.path().join("model.safetensors.index.json").is_file());
    let exported = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(exported.tokenizer().unwrap().n_tokens(), 300);
    assert_eq!(exported.load(&device).unwrap().n_layers(), 2);
}

#[test]
fn what_cannot_be_exported_is_refused_before_any_work() {
    let refused = |name: &str, layers: &[usize]| Checkpoint::open(fixture(name)).unwrap().can_save(layers);
    assert_says(refused("llama-gqa", &[0, 3]), &["cannot export", "layer 3 does not exist; there are 3"]);
    assert_says(refused("llama-gqa", &[]), &["no layers"]);
    assert!(matches!(refused("llama-gqa/model.gguf", &[0]), Err(ModelError::CannotExport { .. })));
}

/// Exports of every family for `scripts/check_exports.py`.
#[test]
#[ignore = "it writes what another program reads: STRATIGRAPH_EXPORTS=DIR"]
fn exports_for_transformers() {
    let dir = std::path::PathBuf::from(
        std::env::var_os("STRATIGRAPH_EXPORTS").expect("STRATIGRAPH_EXPORTS names a directory"),
    );
    for name in FAMILIES {
        let checkpoint = Checkpoint::open(fixture(name)).unwrap();
        let n = checkpoint.config().n_layers;
        let swapped: Vec<usize> = [1, 0].into_iter().chain(2..n).collect();
        let repeated: Vec<usize> = (0..n).flat_map(|layer| [layer, layer]).collect();
        for (edit, layers) in [("delete_0", (1..n).collect()), ("swap_0", swapped), ("repeat_0", repeated)] {
            checkpoint.export(&layers).unwrap().write(dir.join(name).join(edit)).unwrap();
        }
    }
}
