//! That a study stays within its budget: this test is alone in its process, whose memory it measures.

#[path = "main/small.rs"]
mod small;

use peak_alloc::PeakAlloc;
use small::{Small, assert_close};
use stratigraph_core::{ModelShape, TokenWindows};
use stratigraph_study::Study;
use stratigraph_surgery::{Budget, Sweep};
use stratigraph_testing::device;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

#[test]
fn a_budget_is_kept() {
    // Its activations are larger than whatever else a process takes.
    let model = Small::of_shape(ModelShape::new(6, 256, 8192), &device());
    let ids: Vec<u32> = (0..64 * 64).map(|i| i * 7919 % 8192).collect();
    let windows = TokenWindows::new(&ids, 64).unwrap();
    let mut first = None;
    for bytes in [16 << 20, 40 << 20, 100 << 20] {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let study = Study::new(&model).add(Sweep::delete()).add(Sweep::swap());
        let found = study.with_budget(Budget { bytes, ..Budget::default() }).run(&windows).unwrap();
        let peak = ALLOCATOR.peak_usage() - before;
        assert!(peak <= bytes, "{peak} bytes of a budget of {bytes}");
        assert!(peak > bytes / 4, "{peak} bytes of a budget of {bytes}, which should be used");
        assert_close(&found, first.get_or_insert_with(|| found.clone()));
    }
}
