//! What each head does, as a curve over all heads: against runs edited by hand, and against the matrix of the same name.

use stratigraph_core::{EditKind, Hook, MeanOver, ResidualModel, TokenWindows};
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_profile::{Axis, Curve};
use stratigraph_study::{Findings, Study};
use stratigraph_surgery::Sweep;
use stratigraph_testing::{ByElement, Expected, FAMILIES, device, fixture};

use crate::by_hand::{assert_near, kl_by_window};

fn load(name: &str) -> Decoder {
    Checkpoint::open(fixture(name)).unwrap().load(&device()).unwrap()
}

fn study(model: &Decoder, windows: &TokenWindows, kind: EditKind) -> Findings {
    Study::new(model).add(Sweep::heads(kind)).run(windows).unwrap()
}

/// The sample standard deviation over the square root of the number.
fn sem(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt()
}

#[test]
fn each_head_is_a_head_zeroed_by_hand_in_every_family() {
    for name in FAMILIES {
        let (model, windows) = (load(name), Expected::of_family(name).windows());
        let findings = study(&model, &windows, EditKind::Zero);
        let heads = model.shape().heads.unwrap().n_heads;
        let curve = findings.curve("zero_heads_kl").unwrap();
        assert_eq!(curve.axis, Axis::all_heads(model.n_layers(), heads), "{name}");
        for (layer, head) in [(0, 0), (0, heads - 1), (model.n_layers() - 1, heads - 1)] {
            let point = Hook::Z.at(layer);
            let change = |[_, _, other, _]: [usize; 4], z: f32| if other == head { 0.0 } else { z };
            let by_hand = kl_by_window(&model, &windows, &mut ByElement { point, change });
            let found = &curve.replicates[layer * heads + head];
            assert_near(found, &by_hand, &format!("head {layer}.{head} of {name}"));
        }
    }
}

#[test]
fn the_curve_is_the_matrix_with_errors_and_windows() {
    let (model, windows) = (load("llama-gqa"), Expected::of_family("llama-gqa").windows());
    for kind in [EditKind::Zero, EditKind::Mean(MeanOver::All), EditKind::Resample] {
        let findings = study(&model, &windows, kind.clone());
        for metric in ["kl", "top1_agreement", "nll"] {
            let name = format!("{kind}_heads_{metric}");
            let (curve, matrix) = (findings.curve(&name).unwrap(), findings.matrix(&name).unwrap());
            assert_eq!(curve.mean, matrix.values.concat(), "{name}");
            assert_eq!((&curve.unit, curve.n_windows()), (&matrix.unit, Some(windows.n_sequences())));
            let Curve { sem: errors, replicates, .. } = curve;
            for (found, windows) in errors.iter().zip(replicates) {
                assert!(approx::abs_diff_eq!(found.unwrap(), sem(windows), epsilon = 1e-12), "{name}");
            }
        }
    }
}
