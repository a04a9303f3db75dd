//! Checkpoints written with other layers: they load as the plan of these layers runs, in every family and format.

use std::fs;
use std::path::{Path, PathBuf};

use stratigraph_core::{NoTap, ResidualModel, RunModel};
use stratigraph_models::{Checkpoint, DecoderConfig, Mlp, ModelError};
use stratigraph_surgery::LayerPlan;
use stratigraph_testing::{Expected, FAMILIES, GGUFS, device, fixture, host};

use crate::support::{assert_says, copy};

/// Deleted, swapped, repeated, and as it is.
fn orders(n: usize) -> [Vec<usize>; 4] {
    let swapped = [1, 0].into_iter().chain(2..n).collect();
    let repeated = [0, 0].into_iter().chain(1..n).collect();
    [(1..n).collect(), swapped, repeated, (0..n).collect()]
}

/// Logits of the checkpoint at `path`.
fn logits(path: &Path, family: &str) -> Vec<f32> {
    let model = Checkpoint::open(path).unwrap().load(&device()).unwrap();
    let ids = Expected::of_family(family).ids(&device());
    host(model.logits(model.forward(ids, &mut NoTap).unwrap()).unwrap())
}

/// Logits of the plan of these layers on the original.
fn of_plan(path: &Path, family: &str, layers: &[usize]) -> Vec<f32> {
    let model = Checkpoint::open(path).unwrap().load(&device()).unwrap();
    let plan: LayerPlan = layers.iter().copied().collect();
    let ids = Expected::of_family(family).ids(&device());
    host(model.logits(plan.run(&model, ids, &mut NoTap).unwrap()).unwrap())
}

#[test]
fn what_is_exported_runs_as_the_plan_in_every_family() {
    for name in FAMILIES {
        let checkpoint = Checkpoint::open(fixture(name)).unwrap();
        for layers in orders(checkpoint.config().n_layers) {
            let dir = tempfile::tempdir().unwrap();
            checkpoint.can_save(&layers).unwrap_or_else(|error| panic!("{name}: {error}"));
            checkpoint.export(&layers).unwrap().write(dir.path()).unwrap();
            let same = logits(dir.path(), name) == of_plan(&fixture(name), name, &layers);
            assert!(same, "{name} {layers:?}");
        }
    }
}

/// Whether some layers have a window, rotate or are mixtures and others not: most GGUF files have no list of these, but a period.
fn differs_by_layer(config: &DecoderConfig) -> bool {
    let some = |layers: &[usize]| !layers.is_empty() && layers.len() < config.n_layers;
    let dense = match &config.mlp {
        Mlp::Experts(experts) => some(&experts.dense_layers),
        _ => false,
    };
    dense || some(&config.unrotated_layers) || config.sliding_window.as_ref().is_some_and(|window| some(&window.layers))
}

#[test]
fn a_gguf_is_exported_as_a_gguf_that_runs_as_the_plan() {
    for name in GGUFS {
        let file = fixture(name).join("model.gguf");
        let checkpoint = Checkpoint::open(&file).unwrap();
        for layers in orders(checkpoint.config().n_layers) {
            let dir = tempfile::tempdir().unwrap();
            let export = match checkpoint.export(&layers) {
                Ok(export) => export,
                Err(error) if differs_by_layer(checkpoint.config()) => {
                    assert!(!layers.iter().copied().eq(0..checkpoint.config().n_layers), "{name}: {error}");
                    assert_says(Err(error), &["cannot export", "metadata cannot say which layers have a window"]);
                    continue;
                }
                Err(error) => panic!("{name} {layers:?}: {error}"),
            };
            assert!(export.is_gguf());
            let written = export.write(dir.path()).unwrap();
            assert_eq!(written, [dir.path().join("model.gguf")]);
            assert!(logits(&written[0], name) == of_plan(&file, name, &layers), "{name} {layers:?}");
        }
    }
}

/// An entry of a header as the library reads it, except for the number of layers.
fn metadata(path: &Path) -> Vec<String> {
    let header = rlx_gguf::GgufFile::from_path(path).unwrap();
    let shown = header.metadata.iter().map(|(key, value)| format!("{key} {value:?}"));
    let mut shown: Vec<_> = shown.filter(|line| !line.contains("block_count") && !line.starts_with("split.")).collect();
    shown.sort();
    shown
}

#[test]
fn a_gguf_keeps_its_metadata_and_the_bytes_of_its_tensors() {
    let dir = tempfile::tempdir().unwrap();
    let source = fixture("llama-gqa/model.gguf");
    let checkpoint = Checkpoint::open(&source).unwrap();
    let same = dir.path().join("same");
    checkpoint.export(&[0, 1, 2]).unwrap().write(&same).unwrap();
    let (before, after) = (fs::read(&source).unwrap(), fs::read(same.join("model.gguf")).unwrap());
    assert!(before[8..] == after[8..] && before[..8] == after[..8], "all layers in order are the file itself");
    let other = dir.path().join("other");
    checkpoint.export(&[2, 2, 0]).unwrap().write(&other).unwrap();
    assert_eq!(metadata(&other.join("model.gguf")), metadata(&source));
    let (from, to) = (rlx_gguf::GgufFile::from_path(&source), rlx_gguf::GgufFile::from_path(other.join("model.gguf")));
    let (from, to) = (from.unwrap(), to.unwrap());
    for (place, layer) in [2, 2, 0].into_iter().enumerate() {
        let [a, b] = [(&from, layer), (&to, place)].map(|(file, n)| {
            let tensor = file.get(&format!("blk.{n}.ffn_down.weight")).unwrap();
            (file.tensor_bytes(tensor).unwrap().to_vec(), tensor.dtype, tensor.shape.clone())
        });
        assert!(a == b, "place {place}");
    }
}

#[test]
fn sizes_say_what_repeats_cost() {
    for path in [fixture("llama-gqa"), fixture("llama-gqa/model.gguf")] {
        let checkpoint = Checkpoint::open(&path).unwrap();
        let sizes = |layers: &[usize]| checkpoint.export(layers).unwrap().sizes();
        let (full, without, twice) = (sizes(&[0, 1, 2]), sizes(&[0, 2]), sizes(&[0, 1, 1, 1, 2]));
        let block = full.bytes - without.bytes;
        assert!(block > 0 && full.source_bytes == full.bytes && full.repeated_bytes == 0);
        assert_eq!((twice.bytes, twice.repeated_bytes), (full.bytes + 2 * block, 2 * block));
        let dir = tempfile::tempdir().unwrap();
        let files = checkpoint.export(&[0, 1, 1, 1, 2]).unwrap().write(dir.path()).unwrap();
        let weights = files.iter().find(|file| file.extension().is_some_and(|e| e == "safetensors" || e == "gguf"));
        assert!(fs::metadata(weights.unwrap()).unwrap().len() >= twice.bytes);
    }
}

#[test]
fn shards_are_small_and_files_of_the_tokenizer_go_along() {
    let (dir, device) = (tempfile::tempdir().unwrap(), device());
    let checkpoint = Checkpoint::open(fixture("llama-gqa")).unwrap();
    let export = checkpoint.export(&[0, 2]).unwrap().with_max_shard_bytes(8192).with_file("README.md", "a card\n");
    assert_eq!(export.dtypes(), ["float32"]);
    let files = export.write(dir.path()).unwrap();
    let shards = files.iter().filter(|path| path.extension().is_some_and(|e| e == "safetensors"));
    assert!(shards.count() > 2, "{files:?}");
    assert!(dir.path().join("model.safetensors.index.json").is_file());
    assert_eq!(fs::read_to_string(dir.path().join("README.md")).unwrap(), "a card\n");
    for name in ["tokenizer.json", "generation_config.json"] {
        assert!(fs::read(dir.path().join(name)).unwrap() == fs::read(fixture("llama-gqa").join(name)).unwrap());
    }
    let exported = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(exported.tokenizer().unwrap().n_tokens(), 300);
    assert_eq!(exported.load(&device).unwrap().n_layers(), 2);
}

#[test]
fn what_cannot_be_exported_is_refused_before_any_work() {
    let refused = |name: &str, layers: &[usize]| Checkpoint::open(fixture(name)).unwrap().can_save(layers);
    for name in ["llama-gqa", "llama-gqa/model.gguf"] {
        assert_says(refused(name, &[0, 3]), &["cannot export", "layer 3 does not exist; there are 3"]);
        assert_says(refused(name, &[]), &["no layers"]);
    }
}

/// The names in a directory.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_place_that_is_taken_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("file"), "x").unwrap();
    fs::create_dir(at("full")).unwrap();
    fs::write(at("full").join("x"), "x").unwrap();
    fs::create_dir(at("empty")).unwrap();
    let checkpoint = Checkpoint::open(fixture("llama-gqa")).unwrap();
    let write = |path: PathBuf| checkpoint.export(&[0, 1]).unwrap().write(path).map(|_| ());
    assert_says(write(at("file")), &["cannot write", "file", "it is a file; name a directory"]);
    assert_says(write(at("full")), &["cannot write", "full", "not empty; name a new one"]);
    assert_says(write(at("file").join("x")), &["cannot write"]);
    assert_says(write("/".into()), &["cannot write /"]);
    write(at("empty")).unwrap();
    write(at("new").join("and").join("deep")).unwrap();
    assert_eq!(names(dir.path()), ["empty", "file", "full", "new"]);
    assert_eq!(names(&at("full")), ["x"]);
    assert_says(write(at("empty")), &["not empty"]);
    let twice = checkpoint.export(&[0]).unwrap().with_file("config.json", "{}").write(at("twice")).map(|_| ());
    assert_says(twice, &["config.json is written already"]);
    assert!(!at("twice").exists() && names(dir.path()) == ["empty", "file", "full", "new"]);
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_and_one_to_nothing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("real")).unwrap();
    std::os::unix::fs::symlink(at("real"), at("link")).unwrap();
    std::os::unix::fs::symlink(at("nothing"), at("broken")).unwrap();
    let checkpoint = Checkpoint::open(fixture("llama-gqa/model.gguf")).unwrap();
    let write = |path: PathBuf| checkpoint.export(&[0, 1]).unwrap().write(path).map(|_| ());
    write(at("link")).unwrap();
    assert!(at("real").join("model.gguf").is_file());
    assert_says(write(at("broken")), &["a link to nothing"]);
}

#[test]
fn a_checkpoint_without_a_tensor_is_refused_before_anything_is_written() {
    let (_dir, path) = copy("llama-gqa");
    let out = tempfile::tempdir().unwrap();
    crate::support::rewrite_header(&path, |header| {
        let header = header.as_object_mut().unwrap();
        let moved = header.remove("model.layers.1.mlp.up_proj.weight").unwrap();
        header.insert("model.layers.1.mlp.other.weight".into(), moved);
    });
    let missing = Checkpoint::open(&path).unwrap().export(&[0, 2]).map(|_| ());
    assert_says(missing, &["lacks the tensor `model.layers.1.mlp.up_proj.weight`"]);
    // In a GGUF, the name of a tensor of the same length.
    let mut bytes = fs::read(fixture("llama-gqa/model.gguf")).unwrap();
    let at = crate::support::position(&bytes, b"blk.1.ffn_up.weight");
    bytes[at + 6] = b'x';
    let file = out.path().join("damaged.gguf");
    fs::write(&file, &bytes).unwrap();
    let missing = Checkpoint::open(&file).unwrap().export(&[0, 2]).map(|_| ());
    assert_says(missing, &["lacks the tensor `blk.1.ffn_up.weight`"]);
    // And one that ends early.
    fs::write(&file, &bytes[..bytes.len() - 64]).unwrap();
    assert!(Checkpoint::open(&file).is_err());
}

/// What `/dev/full` is to a file, a source that shrinks is to a reader: it fails in the middle of the work.
#[test]
fn a_source_that_ends_while_it_is_copied_leaves_nothing() {
    let (_dir, path) = copy("llama-gqa");
    let out = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let export = checkpoint.export(&[0, 1]).unwrap();
    let weights = path.join("model.safetensors");
    let len = fs::metadata(&weights).unwrap().len();
    fs::OpenOptions::new().write(true).open(&weights).unwrap().set_len(len / 2).unwrap();
    assert_says(export.write(out.path().join("new")).map(|_| ()), &["model.safetensors", "it ends at byte"]);
    assert!(names(out.path()).is_empty(), "{:?}", names(out.path()));
}

/// A GGUF with values for each layer: they move with the layers, and other lists stay.
#[test]
fn lists_of_layers_in_metadata_move_with_the_layers() {
    use rlx_gguf::{GgufFile, GgufWriter, MetaValue, TensorPayload};
    let dir = tempfile::tempdir().unwrap();
    let whole = GgufFile::from_path(fixture("llama-gqa/model.gguf")).unwrap();
    let mut writer = GgufWriter::new().with_alignment(64);
    whole.metadata.iter().for_each(|(key, value)| writer.set_meta(key.clone(), value.clone()));
    let list = |values: [u32; 3]| MetaValue::Array(values.map(MetaValue::U32).to_vec());
    writer.set_meta("llama.unknown_list", list([7, 8, 9]));
    writer.set_meta("llama.classifier.output_labels", list([1, 2, 3]));
    writer.set_meta("other.list", list([4, 5, 6]));
    let mut tensors: Vec<_> = whole.tensors.values().collect();
    tensors.sort_by_key(|tensor| tensor.offset);
    for tensor in tensors {
        let (name, shape, dtype) = (tensor.name.clone(), tensor.shape.clone(), tensor.dtype);
        let bytes = whole.tensor_bytes(tensor).unwrap().to_vec();
        writer.add_tensor(TensorPayload { name, shape, dtype, bytes }).unwrap();
    }
    let source = dir.path().join("lists.gguf");
    writer.write_to_path(&source).unwrap();
    let out = dir.path().join("out");
    let exported = Checkpoint::open(&source).unwrap().export(&[2, 0]).map(|export| export.write(&out).map(|_| ()));
    match exported {
        Ok(written) => written.unwrap(),
        Err(error) => panic!("{error}"),
    }
    let read = GgufFile::from_path(out.join("model.gguf")).unwrap();
    let numbers = |key: &str| -> Vec<u32> {
        read.metadata[key].as_array().unwrap().iter().map(|value| value.as_u32().unwrap()).collect()
    };
    assert_eq!(numbers("llama.unknown_list"), [9, 7]);
    assert_eq!(numbers("llama.classifier.output_labels"), [1, 2, 3]);
    assert_eq!(numbers("other.list"), [4, 5, 6]);
    assert_eq!(read.alignment, 64);
    assert!(read.tensors.values().all(|tensor| tensor.offset.is_multiple_of(64)));
    assert!(matches!(&Checkpoint::open(&source).unwrap().export(&[5]), Err(ModelError::CannotExport { .. })));
}
