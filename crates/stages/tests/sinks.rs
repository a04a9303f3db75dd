//! Which layers are named as those that make the attention sink.

mod common;

use common::truth::{cuts, known};
use common::{QUIET, Random, curve};
use stratigraph_profile::{Profile, Segmentation};
use stratigraph_stages::{Rule, Segmenter};

/// A layer that writes the massive activation, and one that the sink needs too.
const MAKER: usize = 9;
const HELPER: usize = 6;

/// A model whose sink is made in one layer. Each `(layer, cost)` costs more nats when it is deleted at all positions than when
/// the first position still passes through it.
fn profile(costs: &[(usize, f64)]) -> Profile {
    let mut profile = known(24, QUIET, 1);
    let mut kept = profile.curves["delete_kl"].clone();
    kept.replicates.clear();
    let all = &mut profile.curves.get_mut("delete_kl").unwrap().mean;
    costs.iter().for_each(|&(layer, cost)| all[layer] += cost);
    profile.with_curve("delete_after_first_kl", kept).unwrap()
}

/// Norms at the first position, of which each layer adds some.
fn with_norms(profile: Profile, added: impl Fn(usize) -> f64) -> Profile {
    let mut norm = 50.0;
    let behind = (0..24).map(|layer| {
        norm += added(layer);
        norm
    });
    let norms: Vec<f64> = [50.0].into_iter().chain(behind).collect();
    let norms = curve("first_position_norm", norms, None, &mut Random(1));
    profile.with_curve("first_position_norm", norms).unwrap()
}

fn found_in(profile: &Profile) -> Segmentation {
    let mut rule = Rule::default();
    (rule.resamples, rule.permutations) = (60, 199);
    Segmenter::new(rule).segment(profile)
}

fn makers(found: &Segmentation) -> Vec<usize> {
    found.outliers.iter().filter(|it| it.makes_sink).map(|it| it.layer).collect()
}

/// A layer that can be deleted if the first position keeps it makes the sink, and nothing else.
#[test]
fn a_sink_is_not_a_stage() {
    let profile = profile(&[(MAKER, 2.3)]);
    let found = found_in(&with_norms(profile, |layer| if layer == MAKER { 20_000.0 } else { 10.0 }));
    assert_eq!(makers(&found), [MAKER], "{found}");
    assert_eq!(found.outliers.len(), 1, "{found}");
    assert!(found.outliers[0].reason.contains("99 % of the largest norm"), "{found}");
    assert_eq!(found.boundaries.iter().map(|it| it.at).collect::<Vec<_>>(), cuts(24), "{found}");
    // The deletion at all positions is not read beside it, and not missed.
    assert!(found.stages[0].evidence.iter().all(|it| it.signal != "delete_kl"), "{found}");
    assert!(!found.missing.contains(&"delete_kl".to_owned()));
}

/// A layer whose deletion disturbs the sink does not make it, unless it writes most of the massive activation.
#[test]
fn a_layer_that_does_not_write_the_massive_activation_does_not_make_the_sink() {
    let profile = profile(&[(HELPER, 0.5), (MAKER, 2.3)]);
    let added = |large: usize, small: usize| {
        move |layer: usize| match layer {
            _ if layer == large => 20_000.0,
            _ if layer == small => 3_000.0,
            _ => 10.0,
        }
    };
    let found = found_in(&with_norms(profile.clone(), added(MAKER, HELPER)));
    assert_eq!(makers(&found), [MAKER], "{found}");
    // The same costs, where the other layer writes it.
    let found = found_in(&with_norms(profile, added(HELPER, MAKER)));
    assert_eq!(makers(&found), [HELPER], "{found}");
}

/// A layer that writes a large norm makes no sink where nothing is lost with it.
#[test]
fn a_large_norm_is_no_sink() {
    let found = found_in(&with_norms(profile(&[]), |layer| if layer == MAKER { 20_000.0 } else { 10.0 }));
    assert_eq!(makers(&found), [0; 0], "{found}");
}

/// Costs alone do not say which layer makes the sink.
#[test]
fn without_the_norm_no_layer_is_named() {
    let found = found_in(&profile(&[(MAKER, 2.3)]));
    assert_eq!(makers(&found), [0; 0], "{found}");
    assert!(found.readings.iter().any(|it| it.contains("the norm at the first position is not known")), "{found}");
}
