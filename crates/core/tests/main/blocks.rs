//! Edits of single blocks: a layer that is skipped, wholly or from some position on, and what then need not be computed.

use burn::tensor::Tensor;
use stratigraph_core::{
    ActivationCache, BlockEdits, Edit, EditTap, Hook, NoTap, Positions, ResidualModel, RunModel, Site,
};
use stratigraph_testing::toy::{D_MODEL, N_LAYERS, SublayerRuns, windows};
use stratigraph_testing::{Toy, host};

use crate::assert_close;

fn resid(model: &Toy) -> Tensor<3> {
    model.embed(windows().batch(0..2, &model.device())).unwrap()
}

fn block(model: &Toy, layer: usize, edits: &[Edit]) -> Vec<f32> {
    let edits = BlockEdits { edits, corpus: None };
    host(edits.run(model, layer, resid(model), vec![0, 1]).unwrap())
}

/// The same by a tap on the whole block, in slot 0.
fn by_tap(model: &Toy, layer: usize, edits: &[Edit]) -> Vec<f32> {
    host(model.block(Site { slot: 0, layer }, resid(model), &mut EditTap::new(edits, vec![0, 1])).unwrap())
}

#[test]
fn a_layer_skipped_from_a_position_on_runs_on_the_positions_before_it() {
    let model = Toy::default();
    let (plain, entered) = (block(&model, 1, &[]), host(resid(&model)));
    for first in 0..5 {
        let edits = [Edit::skip_layer(0).with_positions(first..)];
        let found = block(&model, 1, &edits);
        assert_close(&found, &by_tap(&model, 1, &edits));
        for (row, (found, (plain, entered))) in
            found.chunks(D_MODEL).zip(plain.chunks(D_MODEL).zip(entered.chunks(D_MODEL))).enumerate()
        {
            assert_close(found, if row % 5 < first { plain } else { entered });
        }
    }
}

#[test]
fn other_positions_are_skipped_one_by_one() {
    let model = Toy::default();
    let (plain, entered) = (block(&model, 2, &[]), host(resid(&model)));
    let found = block(&model, 2, &[Edit::skip_layer(0).with_positions(Positions::only([1, 3]))]);
    for (row, found) in found.chunks(D_MODEL).enumerate() {
        let expected = if [1, 3].contains(&(row % 5)) { &entered } else { &plain };
        assert_close(found, &expected[row * D_MODEL..(row + 1) * D_MODEL]);
    }
}

#[test]
fn a_skipped_layer_is_not_computed() {
    let model = Toy::default();
    assert_eq!(block(&model, 1, &[Edit::skip_layer(0)]), host(resid(&model)));
    assert_eq!(model.take_runs(), SublayerRuns::default());
}

#[test]
fn other_edits_of_the_block_are_made_too() {
    let model = Toy::default();
    let edits = [Edit::zero(Hook::AttnOut.at(0)), Edit::skip_layer(0).with_positions(2..)];
    assert_eq!(block(&model, 1, &edits), by_tap(&model, 1, &edits));
    // Where the stream is edited before the block, what is edited is what entered it.
    let edits = [Edit::scale(Hook::ResidPre.at(0), 2.0), Edit::skip_layer(0).with_positions(2..)];
    let (found, entered) = (block(&model, 1, &edits), host(resid(&model) * 2.0));
    assert_close(&found[2 * D_MODEL..5 * D_MODEL], &entered[2 * D_MODEL..5 * D_MODEL]);
}

#[test]
fn an_edit_in_another_slot_never_fires() {
    let model = Toy::default();
    let edits = [Edit::zero(Hook::MlpOut.at(1))];
    let run = BlockEdits { edits: &edits, corpus: None }.run(&model, 1, resid(&model), vec![0, 1]);
    assert!(run.unwrap_err().to_string().contains("never fired"));
}

#[test]
fn skipping_a_layer_is_running_the_others() {
    let model = Toy::default();
    let skipped = host(model.run_with_edits(&windows(), &[Edit::skip_layer(1)]).unwrap());
    let mut rest = resid(&model);
    for layer in [0, 2] {
        rest = model.block(Site { slot: layer, layer }, rest, &mut NoTap).unwrap();
    }
    assert_eq!(skipped, host(rest));
}

#[test]
fn a_run_can_begin_at_any_layer() {
    let model = Toy::default();
    let cache = model.run_with_cache(&windows(), ActivationCache::at([Hook::ResidPre, Hook::ResidPost])).unwrap();
    let last = Hook::ResidPost.at(N_LAYERS - 1);
    let whole = host(cache.tensor(last).unwrap());
    for layer in 0..N_LAYERS {
        let entering = cache.tensor(Hook::ResidPre.at(layer)).unwrap();
        assert_eq!(host(model.forward_from(layer, entering, &mut NoTap).unwrap()), whole);
    }
    let end = model.forward_from(N_LAYERS, cache.tensor(last).unwrap(), &mut NoTap).unwrap();
    assert_eq!(host(end), whole);
}
