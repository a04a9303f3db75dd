//! What runs and what need not: sublayers that are replaced, layers that are skipped.

use stratigraph_core::{Edit, Hook};
use stratigraph_surgery::{Budget, Intervention, LayerPlan};
use stratigraph_testing::Toy;
use stratigraph_testing::toy::{N_LAYERS, SublayerRuns};

use crate::support::{execute, windows};

/// The sublayers that run for an intervention on one window, which goes through each block in one call.
fn runs(intervention: Intervention) -> SublayerRuns {
    let model = Toy::default();
    execute(&model, &[intervention], &windows(&model, 1, 5), Budget::default());
    model.take_runs()
}

fn edited(edit: Edit) -> Intervention {
    Intervention::none(N_LAYERS).edit(edit)
}

#[test]
fn a_replaced_sublayer_is_not_computed() {
    let all = SublayerRuns::new(N_LAYERS, N_LAYERS);
    assert_eq!(runs(Intervention::none(N_LAYERS)), all);
    assert_eq!(runs(edited(Edit::zero(Hook::AttnOut.at(1)))), SublayerRuns::new(N_LAYERS - 1, N_LAYERS));
    assert_eq!(runs(edited(Edit::zero(Hook::MlpOut.at(0)))), SublayerRuns::new(N_LAYERS, N_LAYERS - 1));
    let both = edited(Edit::zero(Hook::AttnOut.at(2))).edit(Edit::zero(Hook::MlpOut.at(2)));
    assert_eq!(runs(both), SublayerRuns::new(N_LAYERS - 1, N_LAYERS - 1));
    let some = Edit::zero(Hook::AttnOut.at(1)).with_positions(1..);
    assert_eq!(runs(edited(some)), all, "at position 0 it is needed");
    assert_eq!(runs(edited(Edit::zero(Hook::Z.at(1)))), all, "an edit inside attention runs it");
}

#[test]
fn a_mean_costs_one_pass_over_the_corpus() {
    let mean = runs(edited(Edit::mean(Hook::AttnOut.at(1))));
    assert_eq!(mean, SublayerRuns::new(2 * N_LAYERS - 1, 2 * N_LAYERS));
}

#[test]
fn a_skipped_or_deleted_layer_is_not_computed() {
    let without_one = SublayerRuns::new(N_LAYERS - 1, N_LAYERS - 1);
    assert_eq!(runs(LayerPlan::full(N_LAYERS).delete(1).unwrap().into()), without_one);
    assert_eq!(runs(edited(Edit::skip_layer(1))), without_one);
    let all = SublayerRuns::new(N_LAYERS, N_LAYERS);
    assert_eq!(runs(edited(Edit::skip_layer(1).with_positions(1..))), all, "position 0 goes through it");
    assert_eq!(runs(LayerPlan::full(0).into()), SublayerRuns::default());
}

#[test]
fn interventions_share_the_blocks_before_they_differ() {
    let model = Toy::default();
    let late = [Intervention::none(N_LAYERS), edited(Edit::zero(Hook::MlpOut.at(N_LAYERS - 1)))];
    execute(&model, &late, &windows(&model, 1, 5), Budget::default());
    // The last layer runs once with its MLP and once without it; those before it run once.
    assert_eq!(model.take_runs(), SublayerRuns::new(N_LAYERS + 1, N_LAYERS));
}
