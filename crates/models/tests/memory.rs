//! That an export takes the memory of one tensor, whatever the model's size: this test is alone in its process, whose memory it
//! measures.

use std::fs;
use std::path::{Path, PathBuf};

use peak_alloc::PeakAlloc;
use rlx_gguf::{GgmlType, GgufWriter, MetaValue, TensorPayload};
use serde_json::json;
use stratigraph_models::Checkpoint;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const WIDTH: usize = 1024;
const NEURONS: usize = 12 * 1024;
const N_LAYERS: usize = 3;
/// The weights of the gate of one layer, in 16 bits.
const TENSOR: usize = WIDTH * NEURONS * 2;

/// Tensors of one layer: the names that Hugging Face and GGUF have, and the shape.
const LAYER: [(&str, &str, &[usize]); 9] = [
    ("input_layernorm", "attn_norm", &[WIDTH]),
    ("self_attn.q_proj", "attn_q", &[WIDTH, WIDTH]),
    ("self_attn.k_proj", "attn_k", &[WIDTH, WIDTH]),
    ("self_attn.v_proj", "attn_v", &[WIDTH, WIDTH]),
    ("self_attn.o_proj", "attn_output", &[WIDTH, WIDTH]),
    ("post_attention_layernorm", "ffn_norm", &[WIDTH]),
    ("mlp.gate_proj", "ffn_gate", &[NEURONS, WIDTH]),
    ("mlp.up_proj", "ffn_up", &[NEURONS, WIDTH]),
    ("mlp.down_proj", "ffn_down", &[WIDTH, NEURONS]),
];

/// A Hugging Face directory of zeros; its weights take no room on the disk.
fn hugging_face(dir: &Path) -> PathBuf {
    let config = json!({
        "model_type": "llama", "hidden_size": WIDTH, "intermediate_size": NEURONS, "num_hidden_layers": N_LAYERS,
        "num_attention_heads": 8, "vocab_size": 16, "max_position_embeddings": 8, "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": true,
    });
    fs::write(dir.join("config.json"), config.to_string()).unwrap();
    let of_layer = |layer: usize| LAYER.map(|(name, _, shape)| (format!("model.layers.{layer}.{name}.weight"), shape));
    let ends: [(String, &[usize]); 2] =
        [("model.embed_tokens.weight".into(), &[16, WIDTH]), ("model.norm.weight".into(), &[WIDTH])];
    let (mut header, mut end) = (json!({}), 0);
    for (name, shape) in ends.into_iter().chain((0..N_LAYERS).flat_map(of_layer)) {
        let start = end;
        end += shape.iter().product::<usize>() * 2;
        header[name] = json!({"dtype": "F16", "shape": shape, "data_offsets": [start, end]});
    }
    let (path, header) = (dir.join("model.safetensors"), header.to_string());
    fs::write(&path, [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat()).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len((8 + header.len() + end) as u64).unwrap();
    dir.to_owned()
}

/// The same model as a GGUF file.
fn gguf(dir: &Path) -> PathBuf {
    let mut writer = GgufWriter::new();
    writer.set_arch("llama");
    let sizes = [
        ("block_count", N_LAYERS),
        ("context_length", 8),
        ("embedding_length", WIDTH),
        ("feed_forward_length", NEURONS),
        ("attention.head_count", 8),
    ];
    for (key, value) in sizes {
        writer.set_meta(format!("llama.{key}"), MetaValue::U32(value as u32));
    }
    writer.set_meta("llama.attention.layer_norm_rms_epsilon", MetaValue::F32(1e-5));
    let mut add = |name: String, shape: &[usize]| {
        let (dtype, size) = if shape.len() == 1 { (GgmlType::F32, 4) } else { (GgmlType::F16, 2) };
        let bytes = vec![0; shape.iter().product::<usize>() * size];
        let shape = shape.iter().rev().copied().collect(); // GGUF counts from the innermost dimension
        writer.add_tensor(TensorPayload { name, shape, dtype, bytes }).unwrap();
    };
    add("token_embd.weight".into(), &[16, WIDTH]);
    add("output_norm.weight".into(), &[WIDTH]);
    for layer in 0..N_LAYERS {
        LAYER.iter().for_each(|(_, name, shape)| add(format!("blk.{layer}.{name}.weight"), shape));
    }
    let path = dir.join("model.gguf");
    writer.write_to_path(&path).unwrap();
    path
}

#[test]
fn an_export_takes_the_memory_of_one_tensor() {
    for make in [hugging_face, gguf] {
        let dir = tempfile::tempdir().unwrap();
        let path = make(dir.path());
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let export = Checkpoint::open(&path).unwrap();
        let export = export.export(&[0, 2, 2]).unwrap();
        let sizes = export.sizes();
        export.write(dir.path().join("out")).unwrap();
        let peak = ALLOCATOR.peak_usage() - before;
        assert!(sizes.bytes as usize > 9 * TENSOR && sizes.repeated_bytes as usize > 3 * TENSOR, "{sizes:?}");
        assert!(peak <= TENSOR, "{peak} bytes in memory for {path:?}, whose largest tensor has {TENSOR}");
    }
}
