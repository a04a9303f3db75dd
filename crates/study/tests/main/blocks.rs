//! Sweeps over blocks of layers and removals by criteria: against plans run alone, and against the criteria's own numbers.

use std::sync::atomic::{AtomicUsize, Ordering};

use approx::abs_diff_eq;
use burn::tensor::{Int, Tensor};
use stratigraph_core::{ResidualModel, Result as CoreResult, TokenWindows};
use stratigraph_models::Decoder;
use stratigraph_study::measurements::{Criterion, by_name};
use stratigraph_study::search::{ModelObjective, SearchRun, SearchSetup};
use stratigraph_study::{Findings, Study, StudyContext};
use stratigraph_surgery::Intervention;
use stratigraph_surgery::search::{Objective, Operator, SearchOptions};

use crate::patching::load;

/// A model of three layers, and four windows.
fn given() -> (Decoder, TokenWindows) {
    let model = load("llama-gqa");
    let ids: Vec<u32> = (0..4 * 16).map(|i| (i * i * 7 % model.d_vocab()) as u32).collect();
    (model, TokenWindows::new(&ids, 16).unwrap())
}

fn study(model: &Decoder, windows: &TokenWindows, names: &[&str]) -> Findings {
    let study = names.iter().map(|name| by_name(name).unwrap()).fold(Study::new(model), Study::add_boxed);
    study.run(windows).unwrap()
}

/// The loss under an intervention that runs alone.
fn alone(model: &Decoder, windows: &TokenWindows, text: &str) -> f64 {
    let intervention: Intervention = text.parse().unwrap();
    let findings = Study::new(model).intervention(intervention).run(windows).unwrap();
    findings.interventions().last().unwrap().metrics["nll"].mean
}

#[test]
fn all_blocks_are_a_curve_and_a_map() {
    let (model, windows) = given();
    let findings = study(&model, &windows, &["skip_up_to_3", "skip_2", "repeat_block_up_to_2_scaled_0.5"]);
    let (curve, map) = (findings.curve("skip_up_to_3_nll").unwrap(), findings.matrix("skip_up_to_3_nll").unwrap());
    assert_eq!((map.rows.len(), map.columns.len(), curve.len()), (3, 3, 6));
    for (index, &mean) in curve.mean.iter().enumerate() {
        let block = curve.axis.block(index).unwrap();
        let cell = map.estimate(block.len() - 1, block.start).unwrap();
        // The error is computed from the windows' sums here and from their means there.
        let (of_map, of_curve) = (cell.sem.unwrap(), curve.sem[index].unwrap());
        assert!(cell.mean == mean && abs_diff_eq!(of_map, of_curve, epsilon = 1e-12), "{block:?}");
    }
    assert_eq!(map.values.iter().flatten().filter(|value| value.is_nan()).count(), 3, "past the last layer");
    assert_eq!(findings.curve("skip_2_nll").unwrap().mean, curve.mean[3..5]);
    assert!(abs_diff_eq!(curve.mean[3], alone(&model, &windows, "2"), epsilon = 1e-6));
    let scaled = "0-1-0-1-2 | blocks.2.hook_attn_out scale(0.5) | blocks.2.hook_mlp_out scale(0.5) \
                  | blocks.3.hook_attn_out scale(0.5) | blocks.3.hook_mlp_out scale(0.5)";
    let found = findings.matrix("repeat_block_up_to_2_scaled_0.5_nll").unwrap().values[1][0];
    assert!(abs_diff_eq!(found, alone(&model, &windows, scaled), epsilon = 1e-6));
}

#[test]
fn layers_are_removed_in_the_order_of_each_criterion() {
    let (model, windows) = given();
    let names = ["geometry", "delete", "remove_by_block_influence", "remove_by_angular_distance", "remove_by_loss"];
    let findings = study(&model, &windows, &names);
    let smallest = |curve: &str| {
        let mean = &findings.curve(curve).unwrap().mean;
        (0..mean.len()).min_by(|a, b| mean[*a].total_cmp(&mean[*b])).unwrap()
    };
    let clean = findings.value("clean_nll").unwrap().mean;
    let without = &findings.curve("delete_nll").unwrap().mean;
    let context = StudyContext::new(&model, &windows, 0);
    let criteria = [
        (Criterion::BlockInfluence, "remove_by_block_influence_nll", smallest("block_influence")),
        (Criterion::AngularDistance, "remove_by_angular_distance_nll", smallest("angular_distance_1")),
        (Criterion::Loss, "remove_by_loss_nll", smallest("delete_nll")),
    ];
    for (criterion, curve, first) in criteria {
        let removed = &findings.curve(curve).unwrap().mean;
        assert_eq!(removed.len(), 4, "none of three layers to all");
        assert!(
            abs_diff_eq!(removed[0], clean, epsilon = 1e-6) && abs_diff_eq!(removed[1], without[first], epsilon = 1e-6)
        );
        assert!(abs_diff_eq!(removed[3], alone(&model, &windows, "none"), epsilon = 1e-6), "{curve}");
        let removals = criterion.removals(&context).unwrap();
        assert_eq!((&removals[0][..], &removals[1][..], removals[3].len()), (&[][..], &[first][..], 3));
    }
    // Two neighbours by the angle over both of them.
    let angles = findings.matrix("angular_distance").unwrap();
    let start = usize::from(angles.values[1][3] < angles.values[0][2]);
    assert_eq!(Criterion::AngularDistance.removals(&context).unwrap()[2], [start, start + 1]);
    assert_eq!(angles.values[2][2], 0.0);
}

/// A model that counts how often windows begin to run.
struct Counted {
    model: Decoder,
    n_runs: AtomicUsize,
}

impl ResidualModel for Counted {
    rest_of!(model: shape device block final_norm unembed);

    fn embed(&self, tokens: Tensor<2, Int>) -> CoreResult<Tensor<3>> {
        self.n_runs.fetch_add(1, Ordering::Relaxed);
        self.model.embed(tokens)
    }
}

#[test]
fn two_criteria_share_a_pass() {
    let (model, windows) = given();
    let model = Counted { model, n_runs: AtomicUsize::new(0) };
    let runs = |names: &[&str]| {
        let study = names.iter().map(|name| by_name(name).unwrap()).fold(Study::new(&model), Study::add_boxed);
        study.run(&windows).unwrap();
        model.n_runs.swap(0, Ordering::Relaxed)
    };
    let one = runs(&["remove_by_block_influence"]);
    assert!(one > 1, "a pass for the criterion, and the removals");
    assert_eq!(runs(&["remove_by_block_influence", "remove_by_angular_distance"]), one);
}

#[test]
fn a_search_scores_windows_as_a_study_does() {
    let (model, windows) = given();
    for metric in ["nll", "kl", "accuracy"] {
        let findings = study(&model, &windows, &["delete"]);
        let curve = findings.curve(&format!("delete_{metric}")).unwrap();
        let mut objective = ModelObjective::new(&model, &windows, metric).unwrap();
        let plans = ["1..3", "0-2", "0-1"].map(|text| text.parse::<Intervention>().unwrap());
        let scores = objective.score(&plans, &[2, 0]).unwrap();
        for (layer, scores) in scores.iter().enumerate() {
            let expected = [curve.replicates[layer][2], curve.replicates[layer][0]];
            assert!(scores.iter().zip(expected).all(|(a, b)| abs_diff_eq!(*a, b, epsilon = 1e-6)), "{metric} {layer}");
        }
    }
}

#[test]
fn the_layer_that_matters_least_is_found() {
    let (model, windows) = given();
    let mut loss = ModelObjective::new(&model, &windows, "nll").unwrap();
    let options = SearchOptions::removing(1, Operator::Delete).with_first_windows(2);
    let record = SearchRun::new(SearchSetup::new(&loss, options)).run(&mut loss).unwrap();
    // All candidates run on all windows that are searched.
    let searched = windows.select(record.state.windows.search.iter().copied());
    let without = study(&model, &searched, &["delete"]).curve("delete_nll").unwrap().mean.clone();
    let best = (0..3).min_by(|a, b| without[*a].total_cmp(&without[*b])).unwrap();
    let plan: Vec<usize> = (0..3).filter(|layer| *layer != best).collect();
    let found: Vec<usize> = record.state.best().plan().steps().iter().map(|step| step.layers()[0]).collect();
    assert_eq!(found, plan);
    let held_out = windows.select(record.state.windows.held_out.iter().copied());
    let validated = record.validated.unwrap();
    let difference = alone(&model, &held_out, &record.state.best().to_string()) - alone(&model, &held_out, "0..3");
    assert!(abs_diff_eq!(validated.comparisons[0].difference, difference, epsilon = 1e-6));
}
