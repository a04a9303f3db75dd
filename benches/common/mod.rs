//! What the benchmarks measure on.

use std::path::Path;

use burn::tensor::Device;
use stratigraph::models::DecoderConfig;
use stratigraph::prelude::*;

/// Windows, and tokens in each.
pub const WINDOWS: usize = 4;
pub const SEQ_LEN: usize = 64;

/// A random decoder of eight layers with the axes of a family: what is computed does not depend on what the weights are.
///
/// The axes are those of the tiny checkpoint of that name among the tests' fixtures.
pub fn config_of(fixture: &str) -> DecoderConfig {
    let path = root().join("tests/fixtures").join(fixture);
    let axes = Pretrained::open(path).expect("the fixture is committed").config().clone();
    let sizes = DecoderConfig { n_layers: 8, d_model: 128, n_heads: 4, d_head: 32, d_mlp: 384, ..axes };
    DecoderConfig { n_kv_heads: 4 / (axes.n_heads / axes.n_kv_heads), d_vocab: 8192, n_ctx: 256, ..sizes }
}

/// As Llama is.
#[allow(dead_code)] // every benchmark uses a part of this file
pub fn config() -> DecoderConfig {
    config_of("llama-gqa")
}

/// Where the repository lies.
#[allow(dead_code)]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The tokenizer of the model that comes with the repository.
#[allow(dead_code)]
pub fn tokenizer() -> Tokenizer {
    Tokenizer::from_file(root().join("models/tiny/tokenizer.json")).expect("the tokenizer is committed")
}

/// The trained model that comes with the repository, and windows of the sample text.
#[allow(dead_code)]
pub fn tiny(device: &Device) -> (Decoder, TokenWindows) {
    let checkpoint = Pretrained::open(root().join("models/tiny")).expect("the model is committed");
    let ids = tokenizer().encode(include_str!("../../examples/data/sample.txt")).expect("it is text");
    let windows = TokenWindows::new(&ids, SEQ_LEN).expect("the text is long").take(WINDOWS);
    (checkpoint.load(device).expect("the model is whole"), windows)
}

/// Windows for [`config`].
#[allow(dead_code)]
pub fn windows() -> TokenWindows {
    let ids: Vec<u32> = (0..WINDOWS * SEQ_LEN).map(|i| (i * 7919 % 8192) as u32).collect();
    TokenWindows::new(&ids, SEQ_LEN).expect("four windows")
}
