//! A family of checkpoints of its own: [`my_llama`].

use stratigraph::models::family::{Family, Keys, Layout, Param, Part, Recipe, Stored};
use stratigraph::models::{Activation, DecoderConfig, Head, Mlp, ModelError, Norm, Position, Rope, RopeScaling};

/// Llama's shape under other keys, with the norm of the MLP under another name.
pub fn my_llama() -> Family {
    Family::new("my_llama", read)
}

fn read(keys: &mut Keys) -> Result<Recipe, ModelError> {
    let (d_head, n_heads) = (keys.size("width_of_heads")?, keys.size("heads")?);
    let rope = Rope { base: keys.number("base")?, d_rotary: d_head, scaling: RopeScaling::None };
    let config = DecoderConfig::new(keys.size("depth")?, keys.size("width")?, n_heads, keys.size("tokens")?)
        .with_heads(n_heads, keys.size("kv_heads")?, d_head)
        .with_d_mlp(keys.size("neurons")?)
        .with_n_ctx(keys.size("longest")?)
        .with_norm(Norm::Rms { eps: keys.number("eps")? })
        .with_mlp(Mlp::Gated { activation: Activation::Silu })
        .with_position(Position::Rotary(rope))
        .with_head(Head::Tied);
    Ok(Recipe::new(config, "model.", stored))
}

fn stored(config: &DecoderConfig, param: Param) -> Stored {
    match (param.part, param.layer) {
        (Part::MlpNorm, Some(layer)) => Stored::new(format!("model.layers.{layer}.norm_of_mlp.weight"), Layout::SAME),
        _ => Stored::as_in_llama(config, param),
    }
}
