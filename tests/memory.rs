//! That a study stays within its budget: this test is alone in its process, whose memory it measures.

mod common;

use burn::tensor::Device;
use common::{device, fixture};
use peak_alloc::PeakAlloc;
use stratigraph::Experiment;
use stratigraph::models::DecoderConfig;
use stratigraph::prelude::*;
use stratigraph::surgery::Budget;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// A decoder whose activations are larger than whatever else a process takes.
fn wide(device: &Device) -> Decoder {
    let axes = Pretrained::open(fixture("llama-gqa")).unwrap().config().clone();
    let n_heads = 8;
    let n_kv_heads = n_heads / (axes.n_heads / axes.n_kv_heads);
    let sizes = DecoderConfig { n_layers: 6, d_model: 256, d_mlp: 1024, d_vocab: 8192, ..axes };
    let sizes = DecoderConfig { n_heads, n_kv_heads, d_head: 32, n_ctx: 256, ..sizes };
    sizes.init(0, device).unwrap()
}

#[test]
fn a_budget_is_kept() {
    let model = wide(&device());
    let ids: Vec<u32> = (0..64 * 64).map(|i| i * 7919 % 8192).collect();
    let windows = TokenWindows::new(&ids, 64).unwrap();
    let mut first = None;
    for bytes in [16 << 20, 40 << 20, 100 << 20] {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let study = Study::new(&model).experiments([Experiment::Delete, Experiment::Swap]);
        let found = study.budget(Budget { bytes, ..Budget::default() }).run(&windows).unwrap();
        let peak = ALLOCATOR.peak_usage() - before;
        assert!(peak <= bytes, "{peak} bytes of a budget of {bytes}");
        assert!(peak > bytes / 4, "{peak} bytes of a budget of {bytes}, which should be used");
        let expected = first.get_or_insert(found.clone());
        for (name, curve) in &found.curves {
            for (a, b) in curve.mean.iter().zip(&expected.curves[name].mean) {
                assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{name}: {a} and {b}");
            }
        }
    }
}
