//! Mistral, Ministral and Ministral 3: Llama's shape, with a sliding window in some or all layers of the first versions, and
//! queries scaled by their position in the last. Of `mistral3`, the vision-language models, the text model is read.

use super::keys::{Keys, missing, unsupported};
use super::{Recipe, gguf, hf, windows};
use crate::files::GgufFile;
use crate::{Position, QueryScaling, Result, RopeScaling, Yarn};

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    // transformers takes 4,096 if the key is absent, and no window if it is null; an absent key is refused here.
    keys.required("sliding_window")?;
    let config = hf::llama_like(keys)?;
    let window = windows::everywhere(keys, config.n_layers)?;
    Ok(Recipe::like_llama(config.with_sliding_window(window)))
}

/// A window in the layers that are listed, or in every layer.
pub(super) fn ministral_from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.required("sliding_window")?; // as in Mistral
    let config = hf::llama_like(keys)?;
    let window = match windows::listed(keys, config.n_layers)? {
        Some(listed) => windows::window(keys.size_or_none("sliding_window")?, listed, None)?,
        None => windows::everywhere(keys, config.n_layers)?,
    };
    Ok(Recipe::like_llama(config.with_sliding_window(window)))
}

pub(super) fn ministral3_from_hf(keys: &mut Keys) -> Result<Recipe> {
    // The rotary object also says how queries grow; the rest of it is what every family has.
    let name = if keys.has("rope_parameters") { "rope_parameters" } else { "rope_scaling" };
    let mut rotary = keys.object_or_none(name)?.ok_or_else(|| missing("rope_parameters"))?;
    let beta = rotary.number_or_none("llama_4_scaling_beta")?.ok_or_else(|| missing("llama_4_scaling_beta"))?;
    let inner = rotary.size("original_max_position_embeddings")?;
    keys.without_in(name, &["llama_4_scaling_beta", "max_position_embeddings"]);
    let config = hf::llama_like(keys)?;
    // Where the rope type has this number, the one outside the object has priority, for queries too.
    let original_n_ctx = config.position.rope().and_then(|rope| rope.scaling.original_n_ctx()).unwrap_or(inner);
    let window = windows::everywhere(keys, config.n_layers)?;
    let config = config.with_query_scaling(QueryScaling { beta, original_n_ctx }).with_sliding_window(window);
    Ok(Recipe::like_llama(config))
}

/// `mistral3`: the text model of Mistral 3 or a Ministral 3, with rows of queries and keys permuted as Llama's.
pub(super) fn mistral3_from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::rms(keys)?;
    let mut config = gguf::common(keys, file, norm)?;
    keys.only("rope.dimension_count", config.d_head)?;
    let mut growth = None;
    if let Position::Rotary(rope) = &mut config.position
        && let RopeScaling::Yarn(yarn) = &mut rope.scaling
    {
        // The multiplier is `mscale_all_dim`; `mscale` is 1.
        if let Some(scale) = keys.number_or_none("rope.scaling.yarn_log_multiplier")?.filter(|scale| *scale != 0.0) {
            let of = |scale| Yarn::attention_factor_of(yarn.factor, scale);
            yarn.attention_factor = of(1.0) / of(scale);
        }
        let original_n_ctx = yarn.original_n_ctx;
        let beta = keys.number_or_none("attention.temperature_scale")?;
        growth = beta.map(|beta| QueryScaling { beta, original_n_ctx });
    }
    Ok(Recipe::gguf(config.with_query_scaling(growth), gguf::stored_in_pairs))
}

/// The text model of a vision-language model. What its configuration leaves out has the defaults of the text model's own family.
pub(super) fn from_hf_with_images(keys: &mut Keys) -> Result<Recipe> {
    let mut text = keys.object_or_none("text_config")?.ok_or_else(|| missing("text_config"))?;
    text.default("model_type", "mistral");
    // Where both say whether the head is tied, the text model's own configuration is meant.
    if keys.has("tie_word_embeddings") {
        let tied = keys.flag_or("tie_word_embeddings", false)?;
        text.default("tie_word_embeddings", tied);
    }
    keys.dead(&["vision_config", "image_token_index", "projector_hidden_act", "vision_feature_layer"]);
    keys.dead(&["multimodal_projector_bias", "spatial_merge_size"]);
    let recipe = match text.text("model_type")?.as_str() {
        "mistral" => from_hf(&mut text)?,
        "ministral3" => ministral3_from_hf(&mut text)?,
        other => return Err(unsupported("text_config.model_type", other, "known: mistral, ministral3")),
    };
    recipe.of_text_model(&mut text)
}
