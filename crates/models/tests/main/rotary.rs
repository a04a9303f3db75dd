//! Rotary positions as configurations name them, inside and outside of their objects.

use std::fs;

use serde_json::{Value, json};
use stratigraph_models::{Checkpoint, DecoderConfig};

use crate::support::{assert_says, configure, copy};

#[test]
fn a_part_of_a_head_is_refused_where_whole_heads_are_rotated() {
    for name in
        ["cohere", "cohere2", "falcon", "gemma", "gemma2", "gpt-oss", "llama-gqa", "olmo", "olmo3", "starcoder2"]
    {
        let (_keep, path) = copy(name);
        configure(&path, json!({"partial_rotary_factor": 0.5}));
        assert_says(Checkpoint::open(&path).map(|_| ()), &["partial_rotary_factor", "rotates whole heads"]);
        configure(&path, json!({"partial_rotary_factor": 1.0}));
        assert!(Checkpoint::open(&path).is_ok(), "{name}");
    }
    let (_keep, path) = copy("gemma3");
    configure(&path, json!({"rope_scaling": {"rope_type": "linear", "factor": 8.0, "partial_rotary_factor": 0.5}}));
    assert_says(Checkpoint::open(&path).map(|_| ()), &["partial_rotary_factor", "rotates whole heads"]);
}

/// A Ministral 3 with an original context inside its rotary object, and perhaps another one outside.
fn ministral(inside: usize, outside: Option<usize>) -> DecoderConfig {
    let (_keep, path) = copy("ministral3");
    let config: Value = serde_json::from_slice(&fs::read(path.join("config.json")).unwrap()).unwrap();
    let mut rope = config["rope_parameters"].clone();
    rope["original_max_position_embeddings"] = inside.into();
    configure(&path, json!({"rope_parameters": rope, "original_max_position_embeddings": outside}));
    Checkpoint::open(&path).unwrap().config().clone()
}

#[test]
fn an_original_context_outside_the_object_is_that_of_yarn_and_of_queries() {
    assert_eq!(ministral(4, Some(8)), ministral(8, None));
    assert_ne!(ministral(4, None), ministral(8, None));
}
