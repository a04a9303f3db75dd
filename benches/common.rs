//! Models, windows and devices that the benchmarks measure on.

use std::path::Path;

use burn::tensor::Device;
use stratigraph::models::DecoderConfig;
use stratigraph::prelude::*;

/// How many windows there are.
pub const WINDOWS: usize = 4;
/// How many tokens each window has.
pub const SEQ_LEN: usize = 64;

/// A random decoder of eight layers with the axes of a family: what is computed does not depend on what the weights are.
///
/// The axes are those of the tiny checkpoint of that name among the tests' fixtures.
pub fn config_of(fixture: &str) -> DecoderConfig {
    let path = root().join("tests/fixtures").join(fixture);
    let axes = Checkpoint::open(path).expect("the fixture is committed").config().clone();
    let n_kv_heads = 4 / (axes.n_heads / axes.n_kv_heads);
    axes.with_n_layers(8)
        .with_d_model(128)
        .with_heads(4, n_kv_heads, 32)
        .with_d_mlp(384)
        .with_d_vocab(8192)
        .with_n_ctx(256)
}

/// As Llama is.
pub fn config() -> DecoderConfig {
    config_of("llama-gqa")
}

/// Where the repository lies.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the benchmarks lie in the repository")
}

/// The tokenizer of the model that comes with the repository.
pub fn tokenizer() -> Tokenizer {
    Tokenizer::from_file(root().join("models/tiny/tokenizer.json")).expect("the tokenizer is committed")
}

/// The trained model that comes with the repository, and windows of the sample text.
pub fn tiny(device: &Device) -> (Decoder, TokenWindows) {
    let checkpoint = Checkpoint::open(root().join("models/tiny")).expect("the model is committed");
    let ids = tokenizer().encode(include_str!("../examples/data/sample.txt")).expect("it is text");
    let windows = TokenWindows::new(&ids, SEQ_LEN).expect("the text is long").take(WINDOWS);
    (checkpoint.load(device).expect("the model is whole"), windows)
}

/// Windows for [`config`].
pub fn windows() -> TokenWindows {
    let ids: Vec<u32> = (0..WINDOWS * SEQ_LEN).map(|i| (i * 7919 % 8192) as u32).collect();
    TokenWindows::new(&ids, SEQ_LEN).expect("four windows")
}

/// An environment variable that sets what a benchmark measures.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Whether this is a benchmark; Cargo says so. Otherwise it is a test that every one runs, on small sizes.
pub fn is_benchmark() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Backends that are built in and whose device can be opened; of those that `STRATIGRAPH_DEVICES` lists, such as
/// `flex,wgpu`, where it is set.
pub fn backends() -> impl Iterator<Item = (Backend, Device)> {
    let listed = variable("STRATIGRAPH_DEVICES");
    let asked = move |backend: &Backend| match &listed {
        Some(listed) => listed.split(',').any(|name| name == backend.to_string()),
        None => true,
    };
    Backend::ALL.into_iter().filter(asked).filter_map(|backend| Some((backend, backend.device().ok()?)))
}

/// Llama's axes in two sizes: 128 wide, or 576 wide as SmolLM2-135M, and of one layer.
pub fn config_of_width(d_model: usize) -> DecoderConfig {
    let axes = config_of("llama-gqa");
    match d_model {
        128 => axes.with_n_layers(1),
        576 => axes.with_n_layers(1).with_d_model(576).with_heads(9, 3, 64).with_d_mlp(1536).with_d_vocab(49_152),
        _ => panic!("there is no configuration of that width"),
    }
}

/// Operations of one block on `tokens` tokens: products with weights, and scores and mixtures of what each query sees.
pub fn flops_of_block(config: &DecoderConfig, tokens: usize, seq_len: usize) -> u64 {
    let DecoderConfig { d_model, n_heads, n_kv_heads, d_head, d_mlp, .. } = *config;
    let weights = d_model * d_head * (2 * n_heads + 2 * n_kv_heads) + 3 * d_model * d_mlp;
    let seen = n_heads * d_head * (seq_len + 1); // twice, over half of the keys on average
    2 * (tokens * (weights + seen)) as u64
}

/// Windows of tokens that mean nothing.
pub fn random_windows(config: &DecoderConfig, n_sequences: usize, seq_len: usize) -> TokenWindows {
    let ids: Vec<u32> = (0..n_sequences * seq_len).map(|i| (i * 7919 % config.d_vocab) as u32).collect();
    TokenWindows::new(&ids, seq_len).expect("there are windows")
}

/// Every deletion and every swap, as a study's sweeps have them.
pub fn deletions_and_swaps(model: &Decoder, windows: &TokenWindows) -> Vec<Intervention> {
    let context = SweepContext::new(model.shape(), windows.seq_len());
    let points = |sweep: Sweep| sweep.points(&context).expect("the model has several layers").interventions;
    [points(Sweep::delete()), points(Sweep::swap())].concat()
}
