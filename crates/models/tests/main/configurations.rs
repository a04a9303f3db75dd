//! Configurations as people have them: keys that are dead, that say how and not what is computed, and that change numbers.

use std::path::Path;

use serde_json::{Value, json};
use stratigraph_core::{NoTap, RunModel};
use stratigraph_models::{Checkpoint, ModelError};
use stratigraph_testing::{Expected, FAMILIES, device, fixture, host};

use crate::support::{assert_says, configure, copy, load, rewrite_header};

fn logits(path: &Path, of: &str) -> Vec<f32> {
    let device = device();
    let model = Checkpoint::open(path).unwrap().load(&device).unwrap();
    host(model.logits(model.forward(Expected::of_family(of).ids(&device), &mut NoTap).unwrap()).unwrap())
}

/// What transformers 4 writes with all of its defaults, and what people add.
const WITHOUT_EFFECT: &str = r#"{
    "attention_probs_dropout_prob": 0, "hidden_dropout_prob": 0.1, "layerdrop": 0.1, "embd_pdrop": 0.1,
    "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0, "diversity_penalty": 0.0, "do_sample": true,
    "max_length": 20, "min_length": 0, "num_beams": 1, "num_beam_groups": 1, "num_return_sequences": 1,
    "repetition_penalty": 1.1, "temperature": 0.7, "top_k": 50, "top_p": 0.9, "typical_p": 1.0, "bad_words_ids": null,
    "early_stopping": false, "length_penalty": 1.0, "output_scores": false, "return_dict": true, "prefix": null,
    "pruned_heads": {}, "chunk_size_feed_forward": 0, "torchscript": false, "use_bfloat16": true, "use_cache": false,
    "tf_legacy_loss": false, "tie_encoder_decoder": false, "cross_attention_hidden_size": null,
    "add_cross_attention": false, "is_decoder": true, "finetuning_task": "rte", "tokenizer_class": "GPT2Tokenizer",
    "initializer_factor": 1.0, "use_flash_attention_2": true, "_flash_attn_2_enabled": true, "attn_implementation": "sdpa",
    "_attn_implementation_autoset": true, "model_max_length": 1000000, "unsloth_version": "2024.9"
}"#;

#[test]
fn keys_without_effect_change_nothing_in_any_family() {
    for name in FAMILIES {
        let (_keep, path) = copy(name);
        configure(&path, serde_json::from_str(WITHOUT_EFFECT).unwrap());
        let checkpoint = Checkpoint::open(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(checkpoint.unread_keys().is_empty(), "{name}: {:?}", checkpoint.unread_keys());
        assert_eq!(checkpoint.config(), Checkpoint::open(fixture(name)).unwrap().config(), "{name}");
    }
}

#[test]
fn keys_that_change_numbers_are_refused_in_every_family() {
    for name in FAMILIES {
        for (key, value) in [
            ("is_causal", json!(false)),
            ("add_cross_attention", json!(true)),
            ("pruned_heads", json!({"0": [1]})),
            ("use_bidirectional_attention", json!(true)),
            ("alibi_bias_max", json!(8)),
        ] {
            let (_keep, path) = copy(name);
            configure(&path, json!({key: value}));
            assert_says(Checkpoint::open(&path).map(|_| ()), &[key]);
        }
    }
}

#[test]
fn dead_keys_of_one_family() {
    for (name, changes) in [
        ("gpt2", json!({"n_ctx": 3})),
        ("llama-gqa", json!({"pretraining_tp": 4})),
        ("qwen2", json!({"dual_chunk_attention_config": {"chunk_size": 262_144, "local_size": 8192}})),
        ("bloom", json!({"masked_softmax_fusion": true, "offset_alibi": 100, "skip_bias_add": true})),
        ("gpt-neo", json!({"attention_types": [[["global"], 3]]})), // `attention_layers` is there too
        ("cohere2", json!({"rotary_pct": 0.5, "position_embedding_type": "rope_gptj", "use_parallel_block": true})),
        ("phi3", json!({"attention_bias": true, "full_attn_mod": 1})),
        ("gemma3", json!({"attn_logit_softcapping": 50.0})),
        ("gemma2", json!({"sliding_window_size": 4096})),
        ("qwen3-moe", json!({"use_qk_norm": true, "shared_expert_intermediate_size": 0})),
        ("starcoder2", json!({"rms_norm_eps": 1e-5})),
        ("olmo3", json!({"original_max_position_embeddings": 8})), // `rope_parameters` by kind of layer have their own
        ("neox-parallel", json!({"rope_theta": 500.0, "partial_rotary_factor": 1.0})), // rotary_emb_base, rotary_pct
    ] {
        let (_keep, path) = copy(name);
        configure(&path, changes);
        assert_eq!(
            Checkpoint::open(&path).unwrap().config(),
            Checkpoint::open(fixture(name)).unwrap().config(),
            "{name}"
        );
    }
}

#[test]
fn windows_of_gpt_neo_are_those_of_its_list_of_layers() {
    let windowed = |changes: Value| {
        let (_keep, path) = copy("gpt-neo");
        configure(&path, changes);
        Checkpoint::open(&path).unwrap().config().sliding_window.as_ref().map(|window| window.layers.clone())
    };
    assert_eq!(windowed(json!({"attention_layers": ["local", "local", "global"]})), Some(vec![0, 1]));
    assert_eq!(windowed(json!({"attention_layers": null, "attention_types": [[["global"], 3]]})), None);
    let (_keep, path) = copy("gpt-neo");
    configure(&path, json!({"attention_layers": ["local"]}));
    assert_says(Checkpoint::open(&path).map(|_| ()), &["attention_layers", "each of the 3 layers"]);
}

/// transformers gives it YaRN where it says nothing.
#[test]
fn gpt_oss_is_scaled_where_its_configuration_says_nothing() {
    let scaling = |changes: Value| {
        let (_keep, path) = copy("gpt-oss");
        configure(&path, changes);
        Checkpoint::open(&path).unwrap().config().position.clone()
    };
    let usual = scaling(json!({"rope_parameters": {
        "rope_type": "yarn", "rope_theta": 150_000.0, "factor": 32.0, "truncate": false,
        "original_max_position_embeddings": 4096,
    }}));
    assert_eq!(scaling(json!({"rope_parameters": null})), usual);
    assert_eq!(scaling(json!({"rope_parameters": null, "rope_scaling": null})), usual);
}

#[test]
fn gemma_3_may_cap_its_logits() {
    let (_keep, path) = copy("gemma3");
    configure(&path, json!({"final_logit_softcapping": 3.0}));
    assert_eq!(Checkpoint::open(&path).unwrap().config().logit_soft_cap, Some(3.0));
}

#[test]
fn other_names_of_one_nonlinearity() {
    let config = |name: &str| {
        let (_keep, path) = copy("neox-parallel");
        configure(&path, json!({"hidden_act": name}));
        Checkpoint::open(&path).unwrap().config().clone()
    };
    for name in ["gelu_fast", "gelu_accurate", "gelu_pytorch_tanh"] {
        assert_eq!(config(name), config("gelu_new"), "{name}");
    }
    assert_ne!(config("gelu"), config("gelu_new"));
}

#[test]
fn dynamic_scaling_begins_behind_the_longest_window() {
    let (_keep, path) = copy("llama-gqa");
    configure(&path, json!({"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 4.0}}));
    assert!(logits(&path, "llama-gqa") == logits(&fixture("llama-gqa"), "llama-gqa"));
}

#[test]
fn quantised_checkpoints_are_refused_by_their_method() {
    for (name, method) in [("llama-gqa", "gptq"), ("gpt-oss", "awq")] {
        let (_keep, path) = copy(name);
        configure(&path, json!({"quantization_config": {"quant_method": method, "bits": 4}}));
        assert_says(Checkpoint::open(&path).map(|_| ()), &["quantization_config.quant_method", method]);
    }
    for off in [json!(null), json!({})] {
        for name in ["llama-gqa", "gpt-oss"] {
            let (_keep, path) = copy(name);
            configure(&path, json!({"quantization_config": off}));
            load(&path).unwrap_or_else(|error| panic!("{name}, {off}: {error}"));
        }
    }
    let (_keep, path) = copy("llama-gqa");
    configure(&path, json!({"quantization_config": null, "unknown": null}));
    assert!(Checkpoint::open(&path).unwrap().unread_keys().is_empty());
    // Blocks without their scales, and weights that the configuration says are in MXFP4.
    let (_keep, path) = copy("gpt-oss-mxfp4");
    rename(&path, |name| name.replace("0.mlp.experts.down_proj_scales", "0.mlp.experts.scales"));
    assert_says(load(&path), &["lacks", "model.layers.0.mlp.experts.down_proj_scales"]);
    let (_keep, path) = copy("gpt-oss-mxfp4");
    configure(&path, json!({"quantization_config": null}));
    assert_says(load(&path), &["lacks", "model.layers.0.mlp.experts.gate_up_proj"]);
}

/// As the 350M has it, the only OPT whose norms stand on the residual stream.
#[test]
fn norms_on_the_stream_are_refused_with_the_reason() {
    let (_keep, path) = copy("opt");
    configure(&path, json!({"do_layer_norm_before": false, "word_embed_proj_dim": 12}));
    assert_says(Checkpoint::open(&path).map(|_| ()), &["do_layer_norm_before", "not a sum of what sublayers add"]);
}

/// Takes a tensor out of the header of a safetensors file by giving it another name.
fn rename(path: &Path, new_name: impl Fn(&str) -> String) {
    rewrite_header(path, |header| {
        let tensors = std::mem::take(header.as_object_mut().unwrap());
        for (name, tensor) in tensors {
            let name = if name == "__metadata__" { name } else { new_name(&name) };
            header[name] = tensor;
        }
    });
}

#[test]
fn a_tied_embedding_may_have_the_heads_name() {
    let (_keep, path) = copy("llama-gqa");
    rename(&path, |name| name.replace("model.embed_tokens", "lm_head"));
    assert!(logits(&path, "llama-gqa") == logits(&fixture("llama-gqa"), "llama-gqa"));
}

#[test]
fn rotary_frequencies_may_be_stored_for_each_layer_or_once() {
    for buffer in ["model.rotary_emb.inv_freq", "model.layers.2.self_attn.rotary_emb.inv_freq"] {
        let (_keep, path) = copy("llama-untied");
        // The last norm takes the buffer's name, and a copy of the header's entry keeps its own.
        rename(&path, |name| if name == "lm_head.weight" { buffer.to_owned() } else { name.to_owned() });
        configure(&path, json!({"tie_word_embeddings": true}));
        load(&path).unwrap_or_else(|error| panic!("{buffer}: {error}"));
    }
}

/// Puts a text model's configuration and names inside those of a model that sees images.
fn with_images(
    name: &str,
    model_type: &str,
    new_name: impl Fn(&str) -> String,
) -> (tempfile::TempDir, std::path::PathBuf) {
    let (keep, path) = copy(name);
    let text: Value = serde_json::from_slice(&std::fs::read(path.join("config.json")).unwrap()).unwrap();
    let whole = json!({
        "model_type": model_type, "architectures": ["ForConditionalGeneration"], "text_config": text,
        "vision_config": {"hidden_size": 8}, "image_token_index": 5,
    });
    std::fs::write(path.join("config.json"), whole.to_string()).unwrap();
    rename(&path, new_name);
    (keep, path)
}

#[test]
fn text_models_of_models_that_see_images() {
    let in_front = |name: &str| format!("language_model.{name}");
    let inside = |name: &str| name.replacen("model.", "model.language_model.", 1);
    for (name, model_type) in [("gemma3", "gemma3"), ("gemma3-plain", "gemma3"), ("ministral3", "mistral3")] {
        let orders: [&dyn Fn(&str) -> String; 2] = [&in_front, &inside];
        for order in orders {
            let (_keep, path) = with_images(name, model_type, order);
            assert!(logits(&path, name) == logits(&fixture(name), name), "{name}");
        }
    }
    let (_keep, path) = with_images("mistral", "mistral3", in_front);
    assert!(logits(&path, "mistral") == logits(&fixture("mistral"), "mistral"));
    configure(&path, json!({"text_config": {"model_type": "mamba"}}));
    assert_says(Checkpoint::open(&path).map(|_| ()), &["text_config.model_type", "mamba", "ministral3"]);
}

/// Directories in which `scripts/make_configurations.py` has changed one key, with the logits of transformers: what is not
/// refused must have the same ones. A refusal of a key that changes nothing is said, and is no error.
#[test]
#[ignore = "it reads what a script writes: STRATIGRAPH_CONFIGURATIONS=DIR"]
fn changed_configurations_are_refused_or_have_the_logits_of_transformers() {
    let dir = std::env::var("STRATIGRAPH_CONFIGURATIONS").expect("STRATIGRAPH_CONFIGURATIONS names a directory");
    let mut cases: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    let (mut n_equal, mut n_refused, mut wrong) = (0, 0, Vec::new());
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let expected = Expected::open(case.join("expected.safetensors").to_str().unwrap());
        let run = || -> Result<Vec<f32>, ModelError> {
            let model = Checkpoint::open(&case)?.load(&device())?;
            let resid = model.forward(expected.ids(&device()), &mut NoTap).unwrap();
            Ok(host(model.logits(resid).unwrap()))
        };
        match run() {
            Ok(found) => {
                let wanted = expected.tensor("logits").values;
                let scale = wanted.iter().fold(0.0f32, |max, x| max.max(x.abs()));
                let worst = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / scale;
                n_equal += 1;
                if found.len() != wanted.len() || worst.is_nan() || worst > 1e-4 {
                    wrong.push(format!("{name}: differs by {worst:.1e}"));
                }
            }
            Err(error) => {
                n_refused += 1;
                let changes = expected.tensor("changes").values[0] != 0.0;
                println!("{name}: {} refused: {error}", if changes { "changes numbers," } else { "changes nothing," });
            }
        }
    }
    println!("{n_equal} are read and {n_refused} refused");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
