//! Exports that another program reads: `scripts/check_exports.py` opens them with transformers and the package gguf.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Int, Tensor};
use safetensors::tensor::{Dtype, TensorView};
use stratigraph_core::{NoTap, RunModel};
use stratigraph_models::{Checkpoint, ModelError};
use stratigraph_surgery::LayerPlan;
use stratigraph_testing::{FAMILIES, GGUFS, device, fixture, host, skipped};

fn exports() -> PathBuf {
    std::env::var_os("STRATIGRAPH_EXPORTS").expect("STRATIGRAPH_EXPORTS names a directory").into()
}

/// Exports of every family.
#[test]
#[ignore = "it writes what another program reads: STRATIGRAPH_EXPORTS=DIR"]
fn exports_for_transformers() {
    for name in FAMILIES {
        let checkpoint = Checkpoint::open(fixture(name)).unwrap();
        let n = checkpoint.config().n_layers;
        let swapped: Vec<usize> = [1, 0].into_iter().chain(2..n).collect();
        let repeated: Vec<usize> = (0..n).flat_map(|layer| [layer, layer]).collect();
        for (edit, layers) in [("delete_0", (1..n).collect()), ("swap_0", swapped), ("repeat_0", repeated)] {
            checkpoint.export(&layers).unwrap().write(exports().join(name).join(edit)).unwrap();
        }
    }
}

/// Exports of checkpoints that are not in the repository, and of all GGUF files that are, with the logits of the same plan run on
/// the original, and those of the whole original.
#[test]
#[ignore = "it writes what another program reads: STRATIGRAPH_EXPORTS=DIR STRATIGRAPH_SOURCES=MODEL[:MODEL ...]"]
fn exports_with_logits() {
    let sources = std::env::var_os("STRATIGRAPH_SOURCES").unwrap_or_default();
    let sources: Vec<PathBuf> = std::env::split_paths(&sources).filter(|path| path.exists()).collect();
    let own = GGUFS.iter().map(|name| fixture(name).join("model.gguf"));
    for source in sources.into_iter().chain(own) {
        let checkpoint = Checkpoint::open(&source).unwrap();
        let n = checkpoint.config().n_layers;
        let (third, block) = (n / 3, (n / 7).max(1));
        let pruned: Vec<usize> = (0..n).filter(|layer| !(2 * third..2 * third + block).contains(layer)).collect();
        let repeated: Vec<usize> = (0..third + block).chain(third..n).collect();
        let parent = source.parent().and_then(Path::file_name).unwrap().to_string_lossy().into_owned();
        let name = format!("{parent}-{}", source.file_name().unwrap().to_string_lossy());
        fs::create_dir_all(exports().join(&name)).unwrap();
        let whole: Vec<usize> = (0..n).collect();
        write_logits(&checkpoint, &whole, &exports().join(&name).join("whole.safetensors"));
        for (edit, layers) in [("pruned", pruned), ("repeated", repeated)] {
            let dir = exports().join(&name).join(edit);
            match checkpoint.export(&layers) {
                Ok(export) => export.write(&dir).unwrap(),
                // Most GGUF files cannot say another order of windows.
                Err(ModelError::CannotExport { reason, .. }) => {
                    skipped(&format!("{name} {edit}: {reason}"));
                    continue;
                }
                Err(error) => panic!("{name}: {error}"),
            };
            write_logits(&checkpoint, &layers, &dir.with_extension("safetensors"));
        }
    }
}

/// Writes 32 token ids, or as many as the model takes, the logits of a plan for them, and where the original is.
fn write_logits(checkpoint: &Checkpoint, layers: &[usize], path: &Path) {
    let model = checkpoint.load(&device()).unwrap();
    let n = checkpoint.config().n_ctx.min(32);
    let vocab = checkpoint.config().d_vocab;
    let ids: Vec<i32> = (0..n).map(|place| ((place * 7919 + 13) % vocab) as i32).collect();
    let tokens = Tensor::<1, Int>::from_data(&ids[..], &device()).unsqueeze::<2>();
    let plan: LayerPlan = layers.iter().copied().collect();
    let logits = host(model.logits(plan.run(&model, tokens, &mut NoTap).unwrap()).unwrap());
    let bytes = |values: Vec<[u8; 4]>| values.concat();
    let ids = bytes(ids.iter().map(|id| id.to_le_bytes()).collect());
    let logits = bytes(logits.iter().map(|logit| logit.to_le_bytes()).collect());
    let tensors = HashMap::from([
        ("ids", TensorView::new(Dtype::I32, vec![1, n], &ids).unwrap()),
        ("logits", TensorView::new(Dtype::F32, vec![n, vocab], &logits).unwrap()),
    ]);
    let original = checkpoint.path().canonicalize().unwrap().to_str().unwrap().to_owned();
    let metadata = HashMap::from([("original".to_owned(), original)]);
    fs::write(path, safetensors::serialize(tensors, Some(metadata)).unwrap()).unwrap();
}
