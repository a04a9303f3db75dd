//! What the decoder's hooks show and what its errors are, on the checkpoints of every family.

mod hooks;
mod mlps;
mod precision;
mod replaced;

use burn::tensor::Device;
use stratigraph_core::TokenWindows;
use stratigraph_testing::fixture;

use super::Decoder;
use crate::Checkpoint;

const SEQ_LEN: usize = 12;

fn checkpoint(name: &str) -> Checkpoint {
    Checkpoint::open(fixture(name)).unwrap()
}

fn load(name: &str) -> Decoder {
    checkpoint(name).load(&Device::flex()).unwrap()
}

fn windows() -> TokenWindows {
    TokenWindows::new(&(0..2 * SEQ_LEN as u32).map(|i| i * i * 5 % 47).collect::<Vec<_>>(), SEQ_LEN).unwrap()
}

#[track_caller]
fn close(what: &str, found: &[f32], expected: &[f32]) {
    stratigraph_testing::assert_each_close(found, expected, 2e-5, what);
}
