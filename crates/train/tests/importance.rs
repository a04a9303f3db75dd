//! Taylor importance against finite differences of the loss.

use stratigraph_core::{Activation, ActivationCache, Edit, Hook, ResidualModel, RunModel};
use stratigraph_models::Checkpoint;
use stratigraph_study::{Backend, Study};
use stratigraph_surgery::{Intervention, LayerPlan};
use stratigraph_testing::{Expected, fixture};
use stratigraph_train::importance::{TaylorRemoval, taylor_importance};

/// The share of what a layer writes by which the stream after it is changed.
const STEP: f64 = 0.02;

#[test]
fn the_estimate_is_the_slope_of_the_loss() {
    let model = Checkpoint::open(fixture("llama-gqa")).unwrap().load(&Backend::Flex.device().unwrap()).unwrap();
    let windows = Expected::open("lenses/expected.safetensors").windows().take(3);
    let importance = taylor_importance(&model, &windows).unwrap();
    // The last residual stream less a share of what the layer wrote: `h_{l+1} - step * (h_{l+1} - h_l)`.
    let mut cache = ActivationCache::at([Hook::ResidPre, Hook::ResidPost]);
    model.forward(windows.batch(0..3, &model.device()), &mut cache).unwrap();
    for (layer, estimate) in importance.iter().enumerate() {
        let wide = |hook: Hook| cache.activation(hook.at(layer)).unwrap().clone().wide(hook.at(layer)).unwrap();
        let written = wide(Hook::ResidPost) - wide(Hook::ResidPre);
        let loss = |share: f64| {
            let edit = Edit::add(Hook::ResidPost.at(layer), Activation::from(written.clone() * share));
            let findings = Study::new(&model).intervention(Intervention::none(3).edit(edit)).run(&windows).unwrap();
            findings.interventions().last().unwrap().metrics["nll"].mean
        };
        let slope = (loss(-STEP) - loss(STEP)) / (2.0 * STEP);
        let estimate = estimate.summary().mean;
        assert!((estimate - slope).abs() < 1e-3 * slope.abs().max(0.1), "layer {layer}: {estimate}, not {slope}");
    }
}

#[test]
fn layers_are_removed_from_the_least_important_one_on() {
    let model = Checkpoint::open(fixture("llama-gqa")).unwrap().load(&Backend::Flex.device().unwrap()).unwrap();
    let windows = Expected::open("lenses/expected.safetensors").windows().take(3);
    let findings = Study::new(&model).add(TaylorRemoval).run(&windows).unwrap();
    let importance = &findings.curve("taylor_importance").unwrap().mean;
    let least = (0..3).min_by(|a, b| importance[*a].total_cmp(&importance[*b])).unwrap();
    let first = findings.interventions().iter().find(|it| it.name == "remove_by_taylor 1").unwrap();
    assert_eq!(first.text, Intervention::from(LayerPlan::full(3).delete(least).unwrap()).to_string());
    assert_eq!(findings.curve("remove_by_taylor_nll").unwrap().len(), 4);
}
