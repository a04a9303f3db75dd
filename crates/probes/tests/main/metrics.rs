//! Built-in metrics: values computed by hand, and the algebra between them.

use std::f64::consts::LN_2;

use approx::abs_diff_eq;
use stratigraph_core::{SequenceCount, TokenWindows};
use stratigraph_probes::metrics::{LogitDifference, Metric, Metrics, TopKOverlap};
use stratigraph_probes::readout::{Readout, Reduction, Tiles};
use stratigraph_probes::scores::{PositionScores, Scores};

use crate::toy::{Toy, mean, rows, score, score_by, window};

/// Every built-in metric, for a vocabulary of three tokens or more.
fn all() -> Metrics {
    let names = ["kl", "reverse_kl", "js", "top1_agreement", "entropy_bits", "nll", "accuracy", "rank"];
    let overlaps = ["top1_overlap", "top2_overlap", "top3_overlap"];
    let metrics = Metrics::from_names(names.into_iter().chain(overlaps)).unwrap();
    metrics.with(LogitDifference::new(2, 0)).unwrap()
}

fn logits(probabilities: [f64; 3]) -> Vec<f32> {
    // A constant must not matter.
    probabilities.map(|p| p.ln() as f32 + 7.0).into()
}

#[test]
fn hand_computed_values() {
    let (p, q) = (logits([0.5, 0.25, 0.25]), logits([0.125, 0.125, 0.75]));
    let ln3 = 3f64.ln();
    // The mixture is (5/16, 3/16, 1/2).
    let of_p = 0.5 * (1.6f64).ln() + 0.25 * (4.0 / 3.0f64).ln() + 0.25 * (0.5f64).ln();
    let of_q = 0.125 * (0.4f64).ln() + 0.125 * (2.0 / 3.0f64).ln() + 0.75 * (1.5f64).ln();
    let expected = [
        ("kl", 1.25 * LN_2 - 0.25 * ln3),
        ("reverse_kl", 0.75 * ln3 - 0.375 * LN_2),
        ("js", (of_p + of_q) / 2.0),
        ("top1_agreement", 0.0),
        ("entropy_bits", 2.25 - 0.75 * ln3 / LN_2),
        ("nll", -(0.75f64).ln()),
        ("accuracy", 1.0),
        ("rank", 1.0),
        ("top1_overlap", 0.0),
        ("top2_overlap", 0.5), // {0, 1} of p, since 1 and 2 tie, and {2, 0} of q
        ("top3_overlap", 1.0),
        ("logit_difference", 6f64.ln()),
    ];
    let toy = Toy::new(3);
    for reduction in [Reduction::Host, Reduction::Device] {
        let readout = Readout::new(&toy).with_metrics(all()).with_reduction(reduction);
        let scores = score_by(&readout, &[p.clone(), p.clone()], &[q.clone(), q.clone()], &[2]);
        assert!(scores.names().eq(expected.map(|(name, _)| name)));
        for (name, expected) in expected {
            let found = mean(&scores, name);
            assert!(
                abs_diff_eq!(found, expected, epsilon = 1e-6),
                "{name} by {reduction:?}: {found} instead of {expected}"
            );
        }
    }
}

#[test]
fn a_logit_difference_at_the_last_position_ignores_the_others() {
    let rows = [[1.0, 2.0, 5.0], [0.0, 7.0, 3.0]].map(Vec::from);
    let metrics = Metrics::new().with(LogitDifference::new(2, 0)).unwrap();
    let metrics = metrics.with(LogitDifference::new(2, 0).with_name("last").at_last_position()).unwrap();
    let scores = score(&metrics, &rows, &rows, &[1]);
    assert!(abs_diff_eq!(mean(&scores, "logit_difference"), 3.5, epsilon = 1e-6)); // of 4 and 3
    assert!(abs_diff_eq!(mean(&scores, "last"), 3.0, epsilon = 1e-6));
    assert_eq!(scores.get("last").unwrap().counts().collect::<Vec<_>>(), [SequenceCount { sequence: 0, count: 1 }]);
}

#[test]
fn a_distribution_compared_with_itself() {
    let p = rows(6, 40, 1.3, false);
    let scores = score(&all(), &p, &p, &[3, 4, 5, 6, 7]);
    for (name, expected) in
        [("kl", 0.0), ("reverse_kl", 0.0), ("js", 0.0), ("top1_agreement", 1.0), ("top3_overlap", 1.0)]
    {
        assert_eq!(mean(&scores, name), expected, "{name}");
    }
}

#[test]
fn reverse_kl_is_kl_with_the_roles_swapped() {
    let (p, q) = (rows(8, 50, 1.3, false), rows(8, 50, 2.9, false));
    let (forth, back) = (score(&all(), &p, &q, &[0; 7]), score(&all(), &q, &p, &[0; 7]));
    assert!(mean(&forth, "kl") > 0.1);
    assert!((mean(&forth, "kl") - mean(&forth, "reverse_kl")).abs() > 1e-3, "they differ, so that a mix-up shows");
    for [a, b] in [["kl", "reverse_kl"], ["reverse_kl", "kl"]] {
        let (a, b) = (mean(&forth, a), mean(&back, b));
        assert!(abs_diff_eq!(a, b, epsilon = 1e-6 * b), "{a} and {b}");
    }
}

#[test]
fn js_is_symmetric_and_at_most_ln_2() {
    for seed in [0.7, 2.9, 11.3] {
        let (p, q) = (rows(8, 50, 1.3, false), rows(8, 50, seed, false));
        let [forth, back] = [[&p, &q], [&q, &p]].map(|[p, q]| mean(&score(&all(), p, q, &[0; 7]), "js"));
        assert!(abs_diff_eq!(forth, back, epsilon = 1e-6), "{forth} and {back}"); // the exponentials are f32
        assert!(forth > 0.05 && forth < LN_2, "{forth}");
    }
    // Distributions without a token in common, once since one is impossible and once since it is very unlikely.
    for never in [f32::NEG_INFINITY, -200.0] {
        let (p, q) = (vec![vec![1.0, 2.0, never]; 2], vec![vec![never, never, 0.0]; 2]);
        let js = mean(&score(&Metrics::from_names(["js"]).unwrap(), &p, &q, &[0]), "js");
        assert!(abs_diff_eq!(js, LN_2, epsilon = 1e-12), "{js}");
    }
}

#[test]
fn the_rank_is_1_exactly_where_the_accuracy_is_1() {
    let q = rows(200, 7, 1.7, true);
    let next: Vec<u32> = (0..199).map(|i| i * 5 % 7).collect();
    let (toy, metrics) = (Toy::new(7), Metrics::from_names(["rank", "accuracy"]).unwrap());
    let mut scores = [PositionScores::default()];
    let readout = Readout::new(&toy).with_metrics(metrics);
    readout.compare(&window(&next), 0..1, vec![toy.resid(&q)], 0, &mut scores).unwrap();
    let mut hits = 0;
    for row in scores[0].rows() {
        let [rank, accuracy] = row.values else { panic!("two metrics") };
        let Some(&next) = next.get(row.position) else {
            assert_eq!(row.values, [None, None], "the last position has no next token");
            continue;
        };
        let logits = &q[row.position];
        let before = |&id: &usize| (logits[id], next as usize) > (logits[next as usize], id);
        assert_eq!(*rank, Some(1.0 + (0..7).filter(before).count() as f64), "{row:?}");
        assert_eq!(*rank == Some(1.0), *accuracy == Some(1.0), "{row:?}");
        hits += usize::from(*rank == Some(1.0));
    }
    assert!((10..190).contains(&hits), "{hits} of 199");
}

#[test]
fn tiles_chunks_and_reductions_change_nothing() {
    let n = 15;
    let (p, q) = (rows(n, 60, 1.3, false), rows(n, 60, 2.9, false));
    let next: Vec<u32> = (1..n as u32).collect();
    let toy = Toy::new(60);
    let whole = score(&all(), &p, &q, &next);
    for reduction in [Reduction::Host, Reduction::Device] {
        let readout = || Readout::new(&toy).with_metrics(all()).with_reduction(reduction);
        let tiles = [Tiles { rows: 1, vocab: 1 }, Tiles { rows: 4, vocab: 7 }, Tiles { rows: 15, vocab: 59 }];
        let others = tiles.map(|tiles| readout().with_tiles(tiles));
        // One row of logits at a time, and a few.
        for other in others.into_iter().chain([1, 4000].map(|bytes| readout().with_bytes(bytes))) {
            let found = score_by(&other, &p, &q, &next);
            for (name, measured) in found.iter() {
                let (a, b) = (measured.summary().mean, mean(&whole, name));
                assert!(abs_diff_eq!(a, b, epsilon = 2e-6 * b.abs().max(1.0)), "{name}: {a} and {b}");
            }
        }
    }
}

#[test]
fn several_windows_and_streams_keep_their_places() {
    let (n, d_vocab) = (4, 9);
    let metrics = all();
    let toy = Toy::new(d_vocab);
    let ids: Vec<u32> = (0..3 * n).map(|i| (i * 4 % d_vocab) as u32).collect();
    let windows = TokenWindows::new(&ids, n).unwrap();
    let seeds = [1.3, 2.9, 0.7];
    // Of each stream, the logits of each window.
    let logits = seeds.map(|seed| rows(3 * n, d_vocab, seed, false).chunks(n).map(<[_]>::to_vec).collect::<Vec<_>>());
    let resid = |stream: &Vec<Vec<Vec<f32>>>| {
        burn::tensor::Tensor::cat(stream[1..].iter().map(|window| toy.resid(window)).collect(), 0)
    };
    let mut scores = seeds.map(|_| Scores::new(&metrics));
    let readout = Readout::new(&toy).with_metrics(metrics.clone()).with_bytes(600);
    readout.compare(&windows, 1..3, logits.iter().map(resid).collect(), 1, &mut scores).unwrap();
    for (stream, scores) in logits.iter().zip(&scores) {
        assert!(scores.are_of(&metrics, &(1..3), n));
        let mut expected = Scores::new(&metrics);
        for window in 1..3 {
            let alone = TokenWindows::new(windows.sequence(window), n).unwrap();
            let mut one = [Scores::default(), Scores::default()];
            let pair = vec![toy.resid(&stream[window]), toy.resid(&logits[1][window])];
            let readout = Readout::new(&toy).with_metrics(metrics.clone());
            readout.compare(&alone, 0..1, pair, 1, &mut one).unwrap();
            let json = serde_json::to_string(&one[0]).unwrap().replace("\"0\":", &format!("\"{window}\":"));
            expected.merge(&serde_json::from_str(&json).unwrap()).unwrap();
        }
        for (name, measured) in scores.iter() {
            for (a, b) in measured.means().iter().zip(expected.get(name).unwrap().means()) {
                assert!(abs_diff_eq!(*a, b, epsilon = 1e-6 * b.abs().max(1.0)), "{name}: {a} and {b}");
            }
        }
    }
}

#[test]
fn names_and_units_are_those_that_are_documented() {
    let found: Vec<_> = all().iter().map(|metric| format!("{} {}", metric.name(), metric.unit())).collect();
    let expected = "kl nats, reverse_kl nats, js nats, top1_agreement fraction, entropy_bits bits, nll nats, \
                    accuracy fraction, rank rank, top1_overlap fraction, top2_overlap fraction, top3_overlap fraction, \
                    logit_difference logits";
    assert_eq!(found.join(", "), expected);
    let compares: Vec<_> = all().iter().filter(|metric| !metric.is_comparison()).map(|m| m.name().to_owned()).collect();
    assert_eq!(compares, ["entropy_bits", "nll", "accuracy", "rank", "logit_difference"]);
    assert_eq!((TopKOverlap::new(5).name(), TopKOverlap::new(5).k()), ("top5_overlap", 5));
}
