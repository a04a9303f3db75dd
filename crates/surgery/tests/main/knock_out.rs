//! Attention knock-out and steering against runs edited by hand, on every family.

use stratigraph_core::{AttentionPair, Hook, NoTap, PairMask, Positions, ResidualModel, Tap, Taps, TokenWindows};
use stratigraph_surgery::{Budget, Intervention, LayerPlan, SurgeryError, Sweep, SweepContext};
use stratigraph_testing::{ByElement, FAMILIES, assert_close, device};

use crate::support::{SEQ_LEN, execute, load, points, run_with, windows};

/// The last residual stream when the scores of some layers are hidden number by number.
fn hidden_by_hand(
    model: &dyn ResidualModel,
    windows: &TokenWindows,
    layers: impl Iterator<Item = usize>,
    is_hidden: impl Fn([usize; 4]) -> bool + Copy,
) -> Vec<f32> {
    let change = move |at: [usize; 4], x: f32| if is_hidden(at) { f32::NEG_INFINITY } else { x };
    let mut taps: Vec<_> = layers.map(|layer| ByElement { point: Hook::AttnScores.at(layer), change }).collect();
    let taps = taps.iter_mut().map(|tap| tap as &mut dyn Tap);
    run_with(model, &LayerPlan::full(model.n_layers()), windows, &mut Taps::new(taps))
}

fn is_close(query: usize, key: usize) -> bool {
    query > key && query - key <= 3
}

#[test]
fn knocked_out_keys_are_keys_hidden_by_hand_in_every_family() {
    for name in FAMILIES {
        let model = load(name, &device());
        let windows = windows(&model, 2, SEQ_LEN);
        let check = |sweep: Sweep, width: usize, is_hidden: &dyn Fn([usize; 4]) -> bool| {
            let interventions = points(&sweep, &model, SEQ_LEN);
            assert_eq!(interventions.len(), model.n_layers() + 1 - width);
            let found = execute(&model, &interventions, &windows, Budget::default());
            for (start, (intervention, found)) in interventions.iter().zip(&found).enumerate() {
                let expected = hidden_by_hand(&model, &windows, start..start + width, is_hidden);
                assert_close(found, &expected, 1e-5, &format!("{intervention} of {name}"));
            }
        };
        check(Sweep::knock_out(1..=3), 1, &|[_, _, query, key]| is_close(query, key));
        check(Sweep::knock_out(2..=3), 1, &|[_, _, query, key]| is_close(query, key) && query - key > 1);
        check(Sweep::knock_out_range(1..=3, 2), 2, &|[_, _, query, key]| is_close(query, key));
        let late = Sweep::knock_out(1..=3).at_positions(6..);
        check(late, 1, &|[_, _, query, key]| query >= 6 && is_close(query, key));
        let masks = (0..2).map(|window| (0..SEQ_LEN).map(|key| (window + key) % 4 == 1).collect()).collect();
        let keys = Sweep::knock_out_keys("hide_class", Positions::mask("fourths", masks));
        check(keys, 1, &|[window, _, query, key]| query != key && (window + key) % 4 == 1);
        let pairs = vec![vec![AttentionPair::new(5, 1), AttentionPair::new(5, 4)], vec![AttentionPair::new(9, 0)]];
        let chosen =
            |[window, _, query, key]: [usize; 4]| matches!((window, query, key), (0, 5, 1) | (0, 5, 4) | (1, 9, 0));
        check(Sweep::knock_out_pairs("hide_pairs", PairMask::new("three", pairs)), 1, &chosen);
    }
}

/// A window of which no key is hidden is the clean run's to the bit.
#[test]
fn knocking_out_no_key_changes_no_bit() {
    for name in FAMILIES {
        let model = load(name, &device());
        let windows = windows(&model, 2, SEQ_LEN);
        let pairs = PairMask::new("first window", vec![vec![AttentionPair::new(5, 4)], vec![]]);
        let sweep = Sweep::knock_out_pairs("hide", pairs);
        let clean = execute(&model, &[Intervention::none(model.n_layers())], &windows, Budget::default());
        let half = clean[0].len() / 2;
        for found in execute(&model, &points(&sweep, &model, SEQ_LEN), &windows, Budget::default()) {
            assert!(found[half..] == clean[0][half..], "{name}: window 1");
            assert!(found[..half] != clean[0][..half], "{name}: window 0");
        }
    }
}

#[test]
fn distances_that_no_window_has_are_refused() {
    let model = load("gpt2", &device());
    let context = SweepContext::new(model.shape(), SEQ_LEN);
    let far = &Sweep::knock_out(SEQ_LEN..=20).points(&context).unwrap().interventions[0];
    let refused = far.check(&model.shape(), SEQ_LEN).unwrap_err().to_string();
    assert!(refused.contains("windows of 12 tokens have no key 12 before a query"), "{refused}");
}

#[test]
fn steering_adds_the_vector_before_each_layer_in_every_family() {
    for name in FAMILIES {
        let model = load(name, &device());
        let windows = windows(&model, 2, SEQ_LEN);
        let vector: Vec<f32> = (0..model.d_model()).map(|unit| (unit as f32 + 1.0).sin()).collect();
        let sweep = Sweep::steer("steer", vector.as_slice(), 1.., 3.0);
        let found = execute(&model, &points(&sweep, &model, SEQ_LEN), &windows, Budget::default());
        let clean = run_with(&model, &LayerPlan::full(model.n_layers()), &windows, &mut NoTap);
        for (layer, found) in found.iter().enumerate() {
            let change = |[_, p, unit, _]: [usize; 4], x: f32| if p == 0 { x } else { x + 3.0 * vector[unit] };
            let mut tap = ByElement { point: Hook::ResidPre.at(layer), change };
            let by_hand = run_with(&model, &LayerPlan::full(model.n_layers()), &windows, &mut tap);
            assert_close(found, &by_hand, 1e-5, &format!("{name} {layer}"));
            assert!(*found != clean);
        }
        let none = Sweep::steer("none", vector.as_slice(), 1.., 0.0);
        for found in execute(&model, &points(&none, &model, SEQ_LEN), &windows, Budget::default()) {
            assert_close(&found, &clean, 1e-6, "a strength of zero");
        }
    }
}

#[test]
fn a_vector_that_does_not_fit_is_refused() {
    let model = load("gpt2", &device());
    let refused = |vector: &[f32], strength: f64| -> SurgeryError {
        let points = points(&Sweep::steer("steer", vector, 1.., strength), &model, SEQ_LEN);
        points[0].check(&model.shape(), SEQ_LEN).unwrap_err()
    };
    let d_model = model.d_model();
    let short = refused(&vec![1.0; d_model - 1], 1.0).to_string();
    assert!(short.contains(&format!("have the shape [1, 1, {}]", d_model - 1)), "{short}");
    assert!(refused(&vec![1.0; d_model], f64::NAN).to_string().contains("its values are not all finite"));
}
