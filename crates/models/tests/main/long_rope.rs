//! LongRoPE: angles depend on the length of the whole window, whatever part of it a layer runs on.

use stratigraph_core::{BlockEdits, Edit, Positions, ResidualModel, SplitMix64, TokenWindows};
use stratigraph_models::Checkpoint;
use stratigraph_testing::{assert_close, device, fixture, host};

/// A layer that is skipped from a position on could run on the positions before it alone, but for these angles.
#[test]
fn a_skip_from_a_position_on_has_the_angles_of_the_whole_window() {
    let model = Checkpoint::open(fixture("phi3")).unwrap().load(&device()).unwrap();
    let mut random = SplitMix64::new(7);
    let ids: Vec<u32> = (0..2 * 12).map(|_| random.below(model.d_vocab()) as u32).collect();
    let resid = model.embed(TokenWindows::new(&ids, 12).unwrap().batch(0..2, &device())).unwrap();
    let skipped = |positions: Positions| {
        let edits = [Edit::skip_layer(0).with_positions(positions)];
        host(BlockEdits { edits: &edits, corpus: None }.run(&model, 0, resid.clone(), vec![0, 1]).unwrap())
    };
    assert_close(&skipped(Positions::from(3)), &skipped(Positions::only(3..12)), 1e-6, "phi3");
}
