//! GPT-2: LayerNorm, learned positions, and transposed matrices.

use serde_json::{Value, json};

use super::keys::Keys;
use super::{Layout, Recipe, Stored, gguf, hf};
use crate::files::GgufFile;
use crate::param::{Param, Part};
use crate::{Activation, Bias, DecoderConfig, Head, Mlp, Norm, Position, Result};

const PREFIX: &str = "transformer.";

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.only("scale_attn_weights", true)?;
    keys.only("scale_attn_by_inverse_layer_idx", false)?;
    keys.dead(&["n_ctx"]); // transformers reads n_positions alone
    let (d_model, n_heads) = (keys.size("n_embd")?, keys.size("n_head")?);
    let n_ctx = keys.size("n_positions")?;
    let (n_layers, d_mlp) = (keys.size("n_layer")?, keys.size_or_none("n_inner")?);
    let sizes = DecoderConfig::new(n_layers, d_model, n_heads, keys.size("vocab_size")?).with_n_ctx(n_ctx);
    let sizes = d_mlp.map_or(sizes.clone(), |d_mlp| sizes.with_d_mlp(d_mlp));
    let config = sizes
        .with_norm(Norm::Layer { eps: keys.number("layer_norm_epsilon")? })
        .with_mlp(Mlp::Plain { activation: hf::activation(keys, "activation_function", "gelu_new")? })
        .with_position(Position::Learned)
        .with_head(hf::head(keys, Head::Tied)?)
        .with_biases(Bias::Present);
    Ok(Recipe::new(config, PREFIX, stored_in_hf).ignoring(hf::is_causal_mask))
}

/// The keys that [`from_hf`] reads as `config`, when it is of GPT-2's shape.
pub(crate) fn to_hf(config: &DecoderConfig) -> Value {
    json!({
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": config.d_vocab,
        "n_positions": config.n_ctx,
        "n_embd": config.d_model,
        "n_layer": config.n_layers,
        "n_head": config.n_heads,
        "n_inner": config.d_mlp,
        "activation_function": hf::activation_name(config.mlp.activation()),
        "layer_norm_epsilon": config.norm.eps(),
        "tie_word_embeddings": config.head == Head::Tied,
        "bos_token_id": null, // what ends a text is the tokenizer's to say; without these, transformers assumes 50256
        "eos_token_id": null,
    })
}

fn stored_in_hf(_config: &DecoderConfig, param: Param) -> Stored {
    let (name, layout) = match param.part {
        Part::Embed => ("transformer.wte", Layout::SAME),
        Part::PosEmbed => ("transformer.wpe", Layout::SAME),
        Part::Unembed => ("lm_head", Layout::SAME),
        Part::FinalNorm => ("transformer.ln_f", Layout::SAME),
        Part::AttnNorm => ("ln_1", Layout::SAME),
        Part::Query => ("attn.c_attn", Layout::SAME.part(0, 3)),
        Part::Key => ("attn.c_attn", Layout::SAME.part(1, 3)),
        Part::Value => ("attn.c_attn", Layout::SAME.part(2, 3)),
        Part::AttnOut => ("attn.c_proj", Layout::SAME),
        Part::MlpNorm => ("ln_2", Layout::SAME),
        Part::Up => ("mlp.c_fc", Layout::SAME),
        Part::Down => ("mlp.c_proj", Layout::SAME),
        other => unreachable!("GPT-2 has no {other:?}"),
    };
    Stored { name: hf::full_name("transformer.h", name, param), layout }
}

pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::layer_norm(keys)?;
    let config = DecoderConfig {
        mlp: Mlp::Plain { activation: Activation::GeluTanh },
        position: Position::Learned,
        ..gguf::common(keys, file, norm)?
    };
    Ok(Recipe::gguf(config, gguf::stored_fused))
}
