//! From a model to files that others open: [`Decoder::save`].

use std::fs;
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::Dtype;
use serde_json::{Map, Value};

use crate::family::{Recipe, StoredTensors, WRITTEN, Written};
use crate::write::{NewTensor, PendingFile, put_json, put_safetensors};
use crate::{Checkpoint, Decoder, ModelError, Result};

/// How weights are stored in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// 4 bytes a weight, exact.
    F32,
    /// 2 bytes a weight, 11 significant bits, values up to 65,504.
    F16,
    /// 2 bytes a weight, 8 significant bits, the range of f32.
    Bf16,
}

impl Decoder {
    /// Writes `config.json` and `model.safetensors` to the directory `dir`, as transformers writes them for the family
    /// whose shape the decoder has: GPT-2, Llama or GPT-NeoX. The directory is made when it is not there. Files that are there are
    /// replaced when both new ones are whole, and not before.
    ///
    /// # Errors
    /// When no family that can be written has this shape, a weight is not finite or too large for `storage`, or a file
    /// cannot be written.
    pub fn save(&self, dir: impl AsRef<Path>, storage: Storage) -> Result<()> {
        let dir = dir.as_ref();
        // A configuration that does not read back unchanged belongs to another family.
        let as_family = |(_, to_hf): &Written| {
            let Value::Object(config) = to_hf(self.config()) else { return None };
            let recipe = Recipe::from_hf(config.clone(), &[]).ok().filter(|recipe| recipe.config == *self.config())?;
            Some((config, recipe))
        };
        let known = WRITTEN.iter().map(|(name, _)| *name).collect();
        let (config, recipe) = WRITTEN.iter().find_map(as_family).ok_or(ModelError::NoFamilyToSave { known })?;
        self.write(config, &recipe, dir, storage)
    }

    /// Writes the configuration and every tensor as the recipe's family stores it.
    fn write(&self, mut config: Map<String, Value>, recipe: &Recipe, dir: &Path, storage: Storage) -> Result<()> {
        config.remove("dtype"); // the newer name of the next key
        config.insert("torch_dtype".into(), Value::from(storage.torch_name()));
        let stored = self.stored(recipe, storage)?;
        let tensors = stored.iter().map(|(name, (shape, bytes))| {
            let (dtype, size) = (storage.dtype(), bytes.len());
            NewTensor { name, dtype, shape, size, data: bytes }
        });
        let tensors = tensors.collect();
        fs::create_dir_all(dir).map_err(ModelError::write(dir))?;
        let config = PendingFile::write(&dir.join("config.json"), |file| put_json(file, &config))?;
        let weights = PendingFile::write(&dir.join("model.safetensors"), |file| {
            put_safetensors(file, tensors, |file, bytes| file.put(bytes))
        })?;
        config.commit()?;
        weights.commit()
    }

    /// Every tensor as the recipe's family stores it: its shape and bytes, by name.
    fn stored(&self, recipe: &Recipe, storage: Storage) -> Result<StoredTensors<u8>> {
        let mut tensors = StoredTensors::<f32>::new();
        self.visit_params(&mut |param, shape, values| recipe.put(param, shape, &values, &mut tensors));
        let encode = |(name, (shape, values)): (String, (Vec<usize>, Vec<f32>))| {
            if let Some(index) = values.iter().position(|value| !storage.holds(*value)) {
                return Err(ModelError::NotFinite { name, value: values[index], index });
            }
            let bytes = values.into_iter().flat_map(|value| storage.bytes(value)).collect();
            Ok((name, (shape, bytes)))
        };
        tensors.into_iter().map(encode).collect()
    }
}

impl Checkpoint {
    /// Writes a decoder of this checkpoint's shape, such as one whose weights were fine-tuned or edited, to the directory `dir`:
    /// `config.json` and `model.safetensors`, under the names and in the layout of the checkpoint's family.
    ///
    /// # Errors
    /// When the decoder has another shape, the checkpoint is a GGUF or the text model of a larger one, a weight is not finite or
    /// too large for `storage`, or a file cannot be written.
    pub fn save_weights(&self, decoder: &Decoder, dir: impl AsRef<Path>, storage: Storage) -> Result<()> {
        let refused =
            |reason: &str| ModelError::CannotExport { path: self.path().to_owned(), reason: reason.to_owned() };
        if decoder.config() != self.config() {
            return Err(refused("the decoder has another shape than the checkpoint"));
        }
        let config = self.hf_config()?.filter(|config| !config.contains_key("text_config"));
        let mut config =
            config.ok_or_else(|| refused("only a Hugging Face directory of a text model has the names to write"))?;
        config.remove("quantization_config"); // what is written is not quantised
        let recipe = self.read_config(config.clone())?;
        decoder.write(config, &recipe, dir.as_ref(), storage)
    }
}

impl Storage {
    fn dtype(self) -> Dtype {
        match self {
            Storage::F32 => Dtype::F32,
            Storage::F16 => Dtype::F16,
            Storage::Bf16 => Dtype::BF16,
        }
    }

    fn torch_name(self) -> &'static str {
        match self {
            Storage::F32 => "float32",
            Storage::F16 => "float16",
            Storage::Bf16 => "bfloat16",
        }
    }

    /// Whether the value is a finite number of this type.
    fn holds(self, value: f32) -> bool {
        match self {
            Storage::F32 => value.is_finite(),
            Storage::F16 => f16::from_f32(value).is_finite(),
            Storage::Bf16 => bf16::from_f32(value).is_finite(),
        }
    }

    /// The value's bytes, of which there are 2 or 4.
    fn bytes(self, value: f32) -> impl Iterator<Item = u8> {
        let (bytes, n) = match self {
            Storage::F32 => (value.to_le_bytes(), 4),
            Storage::F16 => (two(f16::from_f32(value).to_le_bytes()), 2),
            Storage::Bf16 => (two(bf16::from_f32(value).to_le_bytes()), 2),
        };
        bytes.into_iter().take(n)
    }
}

fn two([first, second]: [u8; 2]) -> [u8; 4] {
    [first, second, 0, 0]
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, ModuleMapper, Param};
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::{DecoderConfig, Norm};

    /// Makes every parameter too large for half precision.
    struct Louder;

    impl ModuleMapper for Louder {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor * 1e8)
        }
    }

    /// A decoder of GPT-2's shape, from its family's own keys.
    fn config() -> DecoderConfig {
        let keys = serde_json::json!({
            "model_type": "gpt2", "vocab_size": 50, "n_positions": 16, "n_embd": 24, "n_layer": 3, "n_head": 3,
            "n_inner": 40, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "tie_word_embeddings": false,
        });
        Recipe::from_hf(keys.as_object().unwrap().clone(), &[]).unwrap().config
    }

    fn params(decoder: &Decoder) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let mut params = Vec::new();
        decoder.visit_params(&mut |param, shape, values| params.push((format!("{param:?}"), shape.to_vec(), values)));
        params
    }

    #[test]
    fn what_is_saved_loads_as_it_was() {
        let (dir, device) = (tempfile::tempdir().unwrap(), Device::flex());
        let decoder = config().init(7, &device).unwrap();
        decoder.save(dir.path().join("new"), Storage::F32).unwrap();
        let checkpoint = Checkpoint::open(dir.path().join("new")).unwrap();
        assert_eq!(checkpoint.config(), decoder.config());
        assert!(checkpoint.unread_keys().is_empty(), "{:?}", checkpoint.unread_keys());
        assert_eq!(params(&checkpoint.load(&device).unwrap()), params(&decoder));
    }

    #[test]
    fn shapes_are_saved_as_their_families() {
        let device = Device::flex();
        for (name, expected) in [("gpt2", "gpt2"), ("llama-gqa", "llama"), ("neox-parallel", "gpt_neox")] {
            let dir = tempfile::tempdir().unwrap();
            let decoder = Checkpoint::open(stratigraph_testing::fixture(name)).unwrap().load(&device).unwrap();
            decoder.save(dir.path(), Storage::F32).unwrap();
            let saved = Checkpoint::open(dir.path()).unwrap();
            let config: Value = serde_json::from_slice(&fs::read(dir.path().join("config.json")).unwrap()).unwrap();
            assert_eq!((saved.config(), &config["model_type"]), (decoder.config(), &Value::from(expected)));
            assert!(saved.unread_keys().is_empty(), "{name}: {:?}", saved.unread_keys());
            assert!(params(&saved.load(&device).unwrap()) == params(&decoder), "{name}");
        }
    }

    #[test]
    fn every_family_is_saved_as_it_was_read() {
        let device = Device::flex();
        for name in stratigraph_testing::FAMILIES {
            let dir = tempfile::tempdir().unwrap();
            let checkpoint = Checkpoint::open(stratigraph_testing::fixture(name)).unwrap();
            let decoder = checkpoint.load(&device).unwrap();
            checkpoint.save_weights(&decoder, dir.path(), Storage::F32).unwrap();
            let saved = Checkpoint::open(dir.path()).unwrap();
            assert_eq!(saved.config(), checkpoint.config(), "{name}");
            assert!(params(&saved.load(&device).unwrap()) == params(&decoder), "{name}");
            let other = config().init(7, &device).unwrap();
            assert!(checkpoint.save_weights(&other, dir.path(), Storage::F32).is_err(), "{name}");
        }
    }

    #[test]
    fn half_precision_rounds_and_a_chunked_embedding_is_whole() {
        let (dir, device) = (tempfile::tempdir().unwrap(), Device::flex());
        let decoder = config().init(7, &device).unwrap();
        decoder.save(dir.path(), Storage::F32).unwrap();
        let options = crate::LoadOptions::default().with_largest_tensor_bytes(11 * 24 * 4);
        let chunked = Checkpoint::open(dir.path()).unwrap().load_with(&options, &device).unwrap();
        for (storage, round) in [
            (Storage::F16, (|x| f16::from_f32(x).to_f32()) as fn(f32) -> f32),
            (Storage::Bf16, |x| bf16::from_f32(x).to_f32()),
        ] {
            chunked.save(dir.path(), storage).unwrap();
            let loaded = Checkpoint::open(dir.path()).unwrap().load(&device).unwrap();
            for ((name, _, before), (_, _, after)) in params(&decoder).into_iter().zip(params(&loaded)) {
                assert_eq!(after, before.into_iter().map(round).collect::<Vec<_>>(), "{storage:?} {name}");
            }
        }
    }

    #[test]
    fn what_cannot_be_stored_is_refused_by_name() {
        let (dir, device) = (tempfile::tempdir().unwrap(), Device::flex());
        let rms = DecoderConfig { norm: Norm::Rms { eps: 1e-5 }, ..config() }; // with learned positions
        let refused = rms.init(1, &device).unwrap().save(dir.path(), Storage::F32);
        assert!(matches!(refused, Err(ModelError::NoFamilyToSave { .. })));
        let loud = config().init(1, &device).unwrap().map(&mut Louder);
        let refused = loud.save(dir.path(), Storage::F16).unwrap_err();
        assert!(matches!(&refused, ModelError::NotFinite { .. }), "{refused}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(config().init(1, &device).unwrap().save(&file, Storage::F32).unwrap_err().to_string().contains("file"));
    }
}
