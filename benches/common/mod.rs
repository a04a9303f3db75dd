//! What the benchmarks measure on.

use stratigraph::models::{Activation, Bias, DecoderConfig, Head, Mlp, Norm, Position, RopeScaling};
use stratigraph::prelude::*;

/// Windows, and tokens in each.
pub const WINDOWS: usize = 4;
pub const SEQ_LEN: usize = 64;

/// A random decoder of eight layers: what is computed does not depend on what the weights are.
pub fn config() -> DecoderConfig {
    DecoderConfig {
        n_layers: 8,
        d_model: 128,
        n_heads: 4,
        n_kv_heads: 2,
        d_head: 32,
        d_mlp: 384,
        d_vocab: 8192,
        n_ctx: 256,
        norm: Norm::Rms { eps: 1e-5 },
        mlp: Mlp::Gated { activation: Activation::Silu },
        position: Position::Rotary { base: 10_000.0, scaling: RopeScaling::None },
        head: Head::Tied,
        qkv_bias: Bias::Absent,
        attn_out_bias: Bias::Absent,
        mlp_bias: Bias::Absent,
    }
}

pub fn windows() -> TokenWindows {
    let ids: Vec<u32> = (0..WINDOWS * SEQ_LEN).map(|i| (i * 7919 % 8192) as u32).collect();
    TokenWindows::new(&ids, SEQ_LEN).expect("four windows")
}
