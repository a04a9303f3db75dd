//! Weights that are finite, and whose squares are not: a study says where, and has no number that is not finite.

use std::fs;

use safetensors::SafeTensors;
use stratigraph_core::TokenWindows;
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_study::measurements::{ResidualGeometry, VocabularyNeurons};
use stratigraph_study::{Measurement, Study};
use stratigraph_testing::{device, fixture};

/// A fixture with every value of one tensor changed.
fn changed(tensor: &str, change: impl Fn(f32) -> f32) -> Decoder {
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(fixture("llama-gqa").join(file), dir.path().join(file)).unwrap();
    }
    let path = dir.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let (header, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let (begin, end) = metadata.info(tensor).unwrap().data_offsets;
    for value in bytes[8 + header + begin..8 + header + end].as_chunks_mut::<4>().0 {
        *value = change(f32::from_le_bytes(*value)).to_le_bytes();
    }
    fs::write(&path, bytes).unwrap();
    Checkpoint::open(dir.path()).unwrap().load(&device()).unwrap()
}

fn message(model: &Decoder, measurement: impl Measurement) -> String {
    let ids: Vec<u32> = (0..16).map(|id| (id * 7) % 300).collect();
    let windows = TokenWindows::new(&ids, 8).unwrap();
    Study::new(model).add(measurement).run(&windows).unwrap_err().to_string()
}

#[test]
fn not_finite_lengths_are_refused_with_their_layer() {
    let large = changed("model.layers.1.self_attn.o_proj.weight", |value| value.signum() * 1e20);
    let message = message(&large, ResidualGeometry::default());
    assert!(message.contains("length of the residual stream at residual position 2"), "{message}");
    assert!(message.contains("window or sentence 0") && message.contains("range of f32"), "{message}");
}

#[test]
fn not_finite_directions_are_refused_with_their_position() {
    let zero = changed("model.embed_tokens.weight", |_| 0.0);
    let message = message(&zero, ResidualGeometry::default());
    assert!(message.contains("residual position 0 is zero somewhere in window 0"), "{message}");
}

#[test]
fn a_sublayer_that_writes_zeros_has_no_cosine() {
    let zero = changed("model.layers.1.mlp.down_proj.weight", |_| 0.0);
    let windows = TokenWindows::new(&(1..17).collect::<Vec<u32>>(), 8).unwrap();
    let findings = Study::new(&zero).add(ResidualGeometry::default()).run(&windows).unwrap();
    let has_value =
        |curve: &str| findings.curve(curve).unwrap().mean.iter().map(|it| it.is_finite()).collect::<Vec<_>>();
    assert_eq!(has_value("mlp_write_cosine"), [true, false, true]);
    assert_eq!(has_value("attn_write_cosine"), [true; 3]);
}

#[test]
fn not_finite_squares_of_weights_are_refused_by_name() {
    let large = changed("model.layers.1.mlp.down_proj.weight", |value| value.signum() * 1e25);
    let told = message(&large, VocabularyNeurons);
    assert!(told.contains("squares of the output weights of layer 1's MLP"), "{told}");
}
