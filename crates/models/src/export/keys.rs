//! A `config.json` for other layers: [`with_layer_order`].

use serde_json::{Map, Value, json};

use crate::DecoderConfig;

/// The configuration of a checkpoint with `layers` in this order. Whatever differs between layers is listed layer by layer, in
/// the keys that transformers has for it.
pub(super) fn with_layer_order(
    mut json: Map<String, Value>,
    config: &DecoderConfig,
    layers: &[usize],
) -> Map<String, Value> {
    if let Some(Value::Object(text)) = json.get_mut("text_config") {
        *text = with_layer_order(std::mem::take(text), config, layers);
        return json;
    }
    for key in ["num_hidden_layers", "n_layer", "num_layers"] {
        if let Some(depth) = json.get_mut(key) {
            *depth = layers.len().into();
        }
    }
    for key in ["no_rope_layers", "attention_layers"] {
        if let Some(listed) = json.get_mut(key).and_then(Value::as_array_mut) {
            *listed = layers.iter().filter_map(|layer| listed.get(*layer).cloned()).collect();
        }
    }
    say_windows(&mut json, config, layers);
    if json.contains_key("no_rope_layer_interval") {
        let rotates = layers.iter().map(|layer| u8::from(!config.unrotated_layers.contains(layer)));
        json.insert("no_rope_layers".into(), rotates.collect());
    }
    if json.contains_key("mlp_only_layers") || json.contains_key("decoder_sparse_step") {
        let dense = (0..layers.len()).filter(|place| config.experts_of(layers[*place]).is_none());
        json.insert("mlp_only_layers".into(), dense.collect());
        json.insert("decoder_sparse_step".into(), 1.into());
    }
    json
}

/// Lists the kinds of layers where only some have a window, or where the configuration lists them.
fn say_windows(json: &mut Map<String, Value>, config: &DecoderConfig, layers: &[usize]) {
    let has_window = |layer: &usize| config.window_of(*layer).is_some();
    if json.contains_key("attention_types") || json.contains_key("attention_layers") {
        let kind = |layer: &usize| json!([[if has_window(layer) { "local" } else { "global" }], 1]);
        json.insert("attention_types".into(), layers.iter().map(kind).collect());
        return;
    }
    let n_windows = (0..config.n_layers).filter(has_window).count();
    if json.get("layer_types").is_some_and(Value::is_array) || (n_windows > 0 && n_windows < config.n_layers) {
        let kind = |layer: &usize| if has_window(layer) { "sliding_attention" } else { "full_attention" };
        json.insert("layer_types".into(), layers.iter().map(kind).collect());
    }
}
