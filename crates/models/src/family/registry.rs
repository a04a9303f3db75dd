//! Which family reads which configuration: [`Family`], and the families of this crate.

use serde_json::{Map, Value};

use super::keys::Keys;
use super::recipe::Recipe;
use super::{
    Format, bloom, cohere, exaone4, falcon, gemma, gemma3, glm, gpt_neo, gpt_oss, gpt2, gptj, granite, llama, mistral,
    mixtral, nemotron, neox, olmo, opt, phi, phi3, qwen, qwen_moe, smollm3, stablelm, starcoder2,
};
use crate::files::GgufFile;
use crate::{ModelError, Result};

/// Reads the configuration of a family.
type Read = fn(&mut Keys) -> Result<Recipe>;

/// A family of checkpoints in the form of Hugging Face: the `model_type` of its `config.json`, and how that file reads.
///
/// ```
/// use stratigraph_models::{Activation, DecoderConfig, Mlp};
/// use stratigraph_models::family::{Family, Keys, Recipe, Stored};
///
/// fn read(keys: &mut Keys) -> stratigraph_models::Result<Recipe> {
///     let (n_layers, d_model, n_heads) = (keys.size("depth")?, keys.size("width")?, keys.size("heads")?);
///     let config = DecoderConfig::new(n_layers, d_model, n_heads, keys.size("vocab_size")?)
///         .with_mlp(Mlp::Gated { activation: Activation::Relu2 });
///     Ok(Recipe::new(config, "model.", Stored::as_in_llama))
/// }
///
/// let family = Family::new("my_llama", read);
/// assert_eq!(family.model_type(), "my_llama");
/// ```
#[derive(Debug, Clone)]
pub struct Family {
    model_type: String,
    read: Read,
}

impl Family {
    /// The family of the configurations with this `model_type`.
    pub fn new(model_type: impl Into<String>, read: fn(&mut Keys) -> Result<Recipe>) -> Self {
        Self { model_type: model_type.into(), read }
    }

    /// The `model_type` of its configurations.
    pub fn model_type(&self) -> &str {
        &self.model_type
    }
}

const BY_MODEL_TYPE: [(&str, Read); 38] = [
    ("bloom", bloom::from_hf),
    ("cohere", cohere::cohere_from_hf),
    ("cohere2", cohere::cohere2_from_hf),
    ("exaone4", exaone4::from_hf),
    ("falcon", falcon::from_hf),
    ("gemma", gemma::gemma_from_hf),
    ("gemma2", gemma::gemma2_from_hf),
    ("gemma3", gemma3::from_hf_with_images),
    ("gemma3_text", gemma3::from_hf),
    ("glm", glm::glm_from_hf),
    ("glm4", glm::glm4_from_hf),
    ("gpt2", gpt2::from_hf),
    ("gpt_neo", gpt_neo::from_hf),
    ("gpt_neox", neox::from_hf),
    ("gpt_oss", gpt_oss::from_hf),
    ("gptj", gptj::from_hf),
    ("granite", granite::from_hf),
    ("llama", llama::from_hf),
    ("ministral", mistral::ministral_from_hf),
    ("ministral3", mistral::ministral3_from_hf),
    ("mistral", mistral::from_hf),
    ("mistral3", mistral::from_hf_with_images),
    ("mixtral", mixtral::from_hf),
    ("nemotron", nemotron::from_hf),
    ("olmo", olmo::olmo_from_hf),
    ("olmo2", olmo::olmo2_from_hf),
    ("olmo3", olmo::olmo3_from_hf),
    ("olmoe", qwen_moe::olmoe_from_hf),
    ("opt", opt::from_hf),
    ("phi", phi::from_hf),
    ("phi3", phi3::from_hf),
    ("qwen2", qwen::qwen2_from_hf),
    ("qwen2_moe", qwen_moe::qwen2_from_hf),
    ("qwen3", qwen::qwen3_from_hf),
    ("qwen3_moe", qwen_moe::qwen3_from_hf),
    ("smollm3", smollm3::from_hf),
    ("stablelm", stablelm::from_hf),
    ("starcoder2", starcoder2::from_hf),
];

/// Reads the metadata of a GGUF of some architecture.
type ReadGguf = fn(&mut Keys, &GgufFile) -> Result<Recipe>;

const BY_ARCHITECTURE: [(&str, ReadGguf); 28] = [
    ("bloom", bloom::from_gguf),
    ("cohere2", cohere::cohere2_from_gguf),
    ("command-r", cohere::cohere_from_gguf),
    ("exaone4", exaone4::from_gguf),
    ("falcon", falcon::from_gguf),
    ("gemma", gemma::gemma_from_gguf),
    ("gemma2", gemma::gemma2_from_gguf),
    ("gemma3", gemma3::from_gguf),
    ("glm4", glm::glm4_from_gguf),
    ("gpt-oss", gpt_oss::from_gguf),
    ("gpt2", gpt2::from_gguf),
    ("gptneox", neox::from_gguf),
    ("granite", granite::from_gguf),
    ("llama", llama::from_gguf),
    ("mistral3", mistral::mistral3_from_gguf),
    ("nemotron", nemotron::from_gguf),
    ("olmo", olmo::olmo_from_gguf),
    ("olmo2", olmo::olmo2_from_gguf),
    ("olmoe", qwen_moe::olmoe_from_gguf),
    ("phi2", phi::from_gguf),
    ("phi3", phi3::from_gguf),
    ("qwen2", qwen::qwen2_from_gguf),
    ("qwen2moe", qwen_moe::qwen2_from_gguf),
    ("qwen3", qwen::qwen3_from_gguf),
    ("qwen3moe", qwen_moe::qwen3_from_gguf),
    ("smollm3", smollm3::from_gguf),
    ("stablelm", stablelm::from_gguf),
    ("starcoder2", starcoder2::from_gguf),
];

impl Recipe {
    /// From the content of a Hugging Face `config.json`, by one of the `added` families or of those of this crate.
    pub(crate) fn from_hf(json: Map<String, Value>, added: &[Family]) -> Result<Self> {
        let mut keys = Keys::new(json);
        let model_type = keys.text("model_type")?;
        let of_user = added.iter().find(|family| family.model_type == model_type).map(|family| family.read);
        let built_in = || BY_MODEL_TYPE.iter().find(|(name, _)| *name == model_type).map(|(_, read)| *read);
        let Some(read) = of_user.or_else(built_in) else {
            let added = added.iter().map(|family| family.model_type.clone());
            let known = BY_MODEL_TYPE.iter().map(|(name, _)| (*name).to_owned()).chain(added).collect();
            return Err(ModelError::UnknownArchitecture { architecture: model_type, known });
        };
        read(&mut keys)?.checked(&mut keys, Format::HuggingFace, "")
    }

    /// From the metadata of a GGUF file.
    pub(crate) fn from_gguf(file: &GgufFile) -> Result<Self> {
        let missing = || ModelError::MissingKey { key: "general.architecture".into() };
        let architecture = file.text("general.architecture").ok_or_else(missing)?.to_owned();
        let mut keys = Keys::new(file.keys_of(&architecture));
        let Some((_, read)) = BY_ARCHITECTURE.iter().find(|(name, _)| *name == architecture) else {
            let known = BY_ARCHITECTURE.map(|(name, _)| name.to_owned()).into();
            return Err(ModelError::UnknownArchitecture { architecture, known });
        };
        read(&mut keys, file)?.checked(&mut keys, Format::Gguf, &format!("{architecture}."))
    }
}
