//! A Hugging Face directory: [`open`] finds its configuration and its weights.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use stratigraph_core::shown;

use crate::family::{Family, Recipe};
use crate::files::{Mxfp4, Safetensors, SafetensorsFile, ShardedSafetensors, TensorFiles};
use crate::{ModelError, Result};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// What `peft` writes for the difference of a tuned model from the one that it began with.
const ADAPTER: &str = "adapter_config.json";
/// Where that difference is.
const ADAPTER_WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];

type Weights = Box<dyn TensorFiles + Send + Sync>;

/// The weights of a directory, and how they become a decoder of a built-in family, or one of `families`.
pub(crate) fn open(path: &Path, families: &[Family]) -> Result<(Weights, Recipe)> {
    let config = path.join(CONFIG);
    if !is_there(&config)? {
        return Err(not_a_model(path, &format!("the directory has no {CONFIG}")));
    }
    let recipe = Recipe::from_hf(read_json_object(&config)?, families)?;
    let weights = weights(path)?;
    let has = |name: &str| path.join(name).is_file();
    if has(ADAPTER) && ADAPTER_WEIGHTS.into_iter().any(has) {
        let reason = format!(
            "beside its weights is an adapter, which transformers would add to them; merge it, or remove {ADAPTER}"
        );
        return Err(ModelError::not_a_model(path, reason));
    }
    let weights: Weights = if recipe.in_mxfp4 { Box::new(Mxfp4::new(weights)?) } else { weights };
    Ok((weights, recipe))
}

/// A single file comes first, as in transformers: an index beside it is left over from another version of the model.
fn weights(path: &Path) -> Result<Box<dyn Safetensors + Send + Sync>> {
    let (whole, index) = (path.join(WEIGHTS), path.join(INDEX));
    if is_there(&whole)? {
        return Ok(Box::new(SafetensorsFile::open(&whole)?));
    }
    if is_there(&index)? {
        return Ok(Box::new(ShardedSafetensors::open(&index)?));
    }
    match ShardedSafetensors::without_index(path)? {
        Some(shards) => Ok(Box::new(shards)),
        None => Err(not_a_model(path, &format!("the directory has neither {WEIGHTS} nor {INDEX}"))),
    }
}

/// Whether there is such a file.
///
/// # Errors
/// When it is a link to nothing.
pub(crate) fn is_there(file: &Path) -> Result<bool> {
    match fs::metadata(file) {
        Ok(metadata) => Ok(metadata.is_file()),
        Err(_) if file.symlink_metadata().is_err() => Ok(false),
        Err(reason) => Err(ModelError::io(file)(reason)),
    }
}

/// What is missing, and what the directory has that could be meant.
fn not_a_model(path: &Path, missing: &str) -> ModelError {
    let reason = if path.join(ADAPTER).is_file() {
        adapter(path)
    } else if let Some(other) = other_weights(path) {
        format!("{missing}; it has {other}")
    } else {
        missing.to_owned()
    };
    ModelError::not_a_model(path, reason)
}

/// What an adapter is, and how it becomes a model.
fn adapter(path: &Path) -> String {
    let base = read_json_object(&path.join(ADAPTER)).ok();
    let base = base.and_then(|config| config.get("base_model_name_or_path")?.as_str().map(str::to_owned));
    let base = base.map_or_else(|| "a model that it does not name".to_owned(), |base| format!("`{}`", shown(&base)));
    format!(
        "it is an adapter ({ADAPTER}) of {base}, which has to be merged into it first: python -c \"from peft import \
         AutoPeftModelForCausalLM as M; M.from_pretrained('{}').merge_and_unload().save_pretrained('merged')\"",
        path.display()
    )
}

/// Weights of another kind, and what to do with them.
fn other_weights(path: &Path) -> Option<String> {
    let names = fs::read_dir(path).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names.collect();
    names.sort();
    let ends_with = |ends: &[&str]| names.iter().find(|name| ends.iter().any(|end| name.ends_with(end)));
    if let Some(gguf) = ends_with(&[".gguf"]) {
        return Some(format!("{}, which is opened by its own name", shown(gguf)));
    }
    let pickled = ends_with(&[".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack"])?;
    Some(format!(
        "{}, which is not read; load it with transformers, and save it with save_pretrained, which writes safetensors",
        shown(pickled)
    ))
}

/// The object in a file of JSON.
pub(crate) fn read_json_object(path: &Path) -> Result<Map<String, Value>> {
    let text = fs::read_to_string(path).map_err(ModelError::io(path))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text); // a byte order mark
    serde_json::from_str(text).map_err(|e| ModelError::malformed(path, e))
}
