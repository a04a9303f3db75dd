//! Readouts: chosen and most likely tokens, a clean distribution of another model, metrics of one's own, and what is
//! refused.

use approx::abs_diff_eq;
use stratigraph_core::{CoreError, SequenceCount, TokenWindows};
use stratigraph_probes::ProbeError;
use stratigraph_probes::metrics::{LogitDifference, LogitRows, Metric, MetricInput, Metrics, RowStatistics};
use stratigraph_probes::readout::{Clean, Readout, Tiles};
use stratigraph_probes::scores::{PositionScores, Scores};

use crate::toy::{Toy, mean, rows, score, score_by, window};

const SMALL: Tiles = Tiles { rows: 2, vocab: 3 };

#[test]
fn the_most_likely_tokens_come_first_and_the_lower_id_on_ties() {
    let toy = Toy::new(5);
    let logits = [vec![0.0, 2.0, 1.0, 2.0, 1.0], vec![3.0; 5], vec![-1.0, f32::NEG_INFINITY, 4.0, 0.0, 0.0]];
    for readout in [Readout::new(&toy), Readout::new(&toy).with_tiles(SMALL)] {
        let ids = |k: usize| -> Vec<Vec<u32>> {
            let top = readout.top_k(toy.rows(&logits), k).unwrap();
            top.iter().map(|row| row.iter().map(|token| token.id).collect()).collect()
        };
        assert_eq!(ids(1), [[1], [0], [2]]);
        assert_eq!(ids(3), [[1, 3, 2], [0, 1, 2], [2, 3, 4]]);
        assert_eq!(ids(5), [[1, 3, 2, 4, 0], [0, 1, 2, 3, 4], [2, 3, 4, 0, 1]]);
        assert_eq!(readout.top1(toy.rows(&logits)).unwrap(), [1, 0, 2]);
        let top = readout.top_k(toy.rows(&logits), 2).unwrap();
        assert!((top[1][1].log_prob + 5f64.ln()).abs() < 1e-6, "{top:?}");
    }
}

#[test]
fn chosen_tokens_have_the_logits_and_log_probabilities_of_the_whole_row() {
    let toy = Toy::new(40);
    let logits = rows(7, 40, 1.3, false);
    let tokens = [39, 0, 17, 17];
    for readout in [Readout::new(&toy), Readout::new(&toy).with_tiles(SMALL)] {
        let found = readout.logits_of(toy.rows(&logits), &tokens).unwrap();
        let log_probs = readout.log_probs(toy.rows(&logits), &tokens).unwrap();
        let top = readout.top_k(toy.rows(&logits), 40).unwrap();
        assert_eq!((found.len(), log_probs.len(), top.len()), (7, 7, 7));
        for (row, logits) in logits.iter().enumerate() {
            assert_eq!(found[row], tokens.map(|token| logits[token as usize]));
            let log_sum_exp = logits.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
            let expected = |token: u32| f64::from(logits[token as usize]) - log_sum_exp;
            for (&token, found) in tokens.iter().zip(&log_probs[row]) {
                assert!(abs_diff_eq!(*found, expected(token), epsilon = 1e-6));
            }
            assert!(top[row].iter().all(|top| abs_diff_eq!(top.log_prob, expected(top.id), epsilon = 1e-6)));
        }
        assert_eq!(readout.logits_of(toy.rows(&logits), &[]).unwrap(), vec![Vec::<f32>::new(); 7]);
    }
}

#[test]
fn the_clean_distribution_of_another_model_counts_as_that_of_a_stream() {
    let (p, q) = (rows(6, 20, 1.3, false), rows(6, 20, 2.9, false));
    let next = [1, 2, 3, 4, 5];
    let names = ["kl", "top1_agreement", "entropy_bits", "nll", "accuracy", "js", "reverse_kl", "rank", "top3_overlap"];
    let metrics = Metrics::from_names(names).unwrap().with(LogitDifference::new(1, 2)).unwrap();
    let expected = score(&metrics, &p, &q, &next);
    // Its residual stream is three times as wide.
    let (original, pruned) = (Toy { d_model: 60, ..Toy::new(20) }, Toy::new(20));
    let readout = Readout::new(&pruned).with_metrics(metrics.clone()).with_tiles(Tiles { rows: 4, vocab: 6 });
    let mut scores = [Scores::default(), Scores::default()];
    let streams = vec![pruned.resid(&q), pruned.resid(&p)];
    readout.compare(&window(&next), 0..1, streams, Clean::other(&original, original.resid(&p)), &mut scores).unwrap();
    for (name, measured) in scores[0].iter() {
        assert!(abs_diff_eq!(measured.summary().mean, mean(&expected, name), epsilon = 1e-6), "{name}");
    }
    assert_eq!([mean(&scores[1], "kl"), mean(&scores[1], "js"), mean(&scores[1], "top3_overlap")], [0.0, 0.0, 1.0]);
}

#[test]
fn a_clean_model_that_does_not_fit_is_refused() {
    let (toy, other) = (Toy::new(4), Toy::new(5));
    let (p, windows) = (rows(3, 4, 1.3, false), window(&[1, 2]));
    let compare = |clean: Clean| {
        let streams = vec![toy.resid(&p)];
        Readout::new(&toy).compare(&windows, 0..1, streams, clean, &mut [Scores::default()]).unwrap_err().to_string()
    };
    let message = compare(Clean::other(&other, other.resid(&rows(3, 5, 1.3, false))));
    assert!(message.starts_with("the clean model has a vocabulary of 5 tokens and the other one of 4; "), "{message}");
    let message = compare(Clean::other(&toy, toy.resid(&p[..2])));
    assert_eq!(message, "residual stream 1 has the wrong shape: [1, 2, 4] instead of [1, 3, 4]");
    assert_eq!(
        compare(Clean::Stream(1)),
        "the clean stream 1 does not exist: there are 1 residual streams, counted from 0"
    );
}

/// The probability that the changed model gives to the clean model's most likely token.
struct KeptProbability;

impl Metric for KeptProbability {
    fn name(&self) -> &str {
        "kept_probability"
    }
    fn unit(&self) -> &str {
        "fraction"
    }
    fn input(&self) -> MetricInput {
        MetricInput::Logits
    }
    fn of_logits(&self, rows: &LogitRows) -> Option<f64> {
        Some(rows.changed().log_prob(rows.clean().top_k(1)[0])?.exp())
    }
}

/// How much entropy rises, at even positions only.
struct EntropyRise;

impl Metric for EntropyRise {
    fn name(&self) -> &str {
        "entropy_rise"
    }
    fn unit(&self) -> &str {
        "nats"
    }
    fn of_row(&self, row: &RowStatistics) -> Option<f64> {
        row.position().is_multiple_of(2).then(|| row.entropy() - row.clean_entropy())
    }
}

/// A metric that says it is computed from statistics and implements the other way.
struct Forgotten;

impl Metric for Forgotten {
    fn name(&self) -> &str {
        "forgotten"
    }
    fn unit(&self) -> &str {
        "nats"
    }
    fn of_logits(&self, _: &LogitRows) -> Option<f64> {
        Some(1.0)
    }
}

#[test]
fn metrics_of_ones_own_stand_beside_the_built_in_ones() {
    let ln = |probabilities: [f32; 3]| Vec::from(probabilities.map(f32::ln));
    let (p, q) = (vec![ln([0.5, 0.25, 0.25]); 3], vec![ln([0.125, 0.125, 0.75]); 3]);
    let metrics = Metrics::new().with(KeptProbability).unwrap().with(EntropyRise).unwrap().with(Forgotten).unwrap();
    let scores = score(&metrics, &p, &q, &[0, 0]);
    assert!(abs_diff_eq!(mean(&scores, "kept_probability"), 0.125, epsilon = 1e-6));
    let entropy = |probabilities: [f64; 3]| probabilities.map(|p| -p * p.ln()).iter().sum::<f64>();
    let rise = entropy([0.125, 0.125, 0.75]) - entropy([0.5, 0.25, 0.25]);
    assert!(abs_diff_eq!(mean(&scores, "entropy_rise"), rise, epsilon = 1e-6));
    assert_eq!(
        scores.get("entropy_rise").unwrap().counts().collect::<Vec<_>>(),
        [SequenceCount { sequence: 0, count: 2 }]
    );
    let without = scores.summary("forgotten").unwrap_err();
    assert_eq!(without, ProbeError::MetricWithoutValues { name: "forgotten".to_owned() });
    let unknown = scores.summary("kl").unwrap_err().to_string();
    assert_eq!(unknown, "unknown metric `kl`; known: kept_probability, entropy_rise, forgotten");
}

#[test]
fn logits_that_are_not_finite_are_named_whatever_the_metric() {
    let (toy, mut q) = (Toy::new(4), rows(3, 4, 1.3, false));
    for broken in [f32::NAN, f32::INFINITY] {
        q[1][2] = broken;
        for name in ["kl", "js", "rank", "top2_overlap", "reverse_kl"] {
            let readout = Readout::new(&toy).with_metrics(Metrics::from_names([name]).unwrap());
            let streams = vec![toy.resid(&q), toy.resid(&rows(3, 4, 2.9, false))];
            let mut scores = [Scores::default(), Scores::default()];
            let error = readout.compare(&window(&[0, 1]), 0..1, streams, 1, &mut scores).unwrap_err();
            let expected =
                matches!(&error, ProbeError::NotFinite { metric, sequence: 0, position: 1, .. } if metric == name);
            assert!(expected, "{name}: {error}");
        }
    }
}

#[test]
fn what_the_vocabulary_does_not_have_is_refused() {
    let toy = Toy::new(4);
    let p = rows(3, 4, 1.3, false);
    let readout = Readout::new(&toy);
    let outside = ProbeError::Core(CoreError::TokenOutOfRange { id: 4, d_vocab: 4 });
    assert_eq!(readout.logits_of(toy.rows(&p), &[0, 4]), Err(outside.clone()));
    assert_eq!(readout.log_probs(toy.rows(&p), &[4]), Err(outside.clone()));
    assert_eq!(readout.of_tokens(&toy.resid(&p), &[0], &[4]), Err(outside.clone()));
    for k in [0, 5] {
        assert_eq!(readout.top_k(toy.rows(&p), k), Err(ProbeError::TopKOutOfRange { k, d_vocab: 4 }));
    }
    let compare = |metric: Result<Metrics, ProbeError>| {
        let readout = Readout::new(&toy).with_metrics(metric.unwrap());
        readout.compare(&window(&[0, 1]), 0..1, vec![toy.resid(&p)], 0, &mut [Scores::default()])
    };
    assert_eq!(compare(Metrics::new().with(LogitDifference::new(0, 4))), Err(outside));
    assert_eq!(compare(Metrics::from_names(["top5_overlap"])), Err(ProbeError::TopKOutOfRange { k: 5, d_vocab: 4 }));
    assert_eq!(compare(Metrics::from_names(["top4_overlap"])), Ok(()));
}

#[test]
fn shapes_and_counts_that_do_not_fit_are_refused() {
    let (toy, wide) = (Toy::new(4), Toy::new(5));
    let p = rows(3, 4, 1.3, false);
    let windows = TokenWindows::new(&[0, 1, 2, 3, 0, 1], 3).unwrap();
    let readout = Readout::new(&toy);
    let compare = |range: std::ops::Range<usize>, n_streams: usize, n_scores: usize| {
        let mut scores = vec![Scores::default(); n_scores];
        readout.compare(&windows, range, vec![toy.resid(&p); n_streams], 0, &mut scores)
    };
    assert_eq!(compare(1..2, 2, 2), Ok(()));
    assert_eq!(compare(1..2, 2, 1), Err(ProbeError::ScoresMissing { n_scores: 1, n_streams: 2 }));
    assert_eq!(compare(2..3, 1, 1), Err(ProbeError::NoSuchWindows { start: 2, end: 3, n_sequences: 2 }));
    assert_eq!(compare(0..1, 0, 0), Err(ProbeError::NoSuchStream { stream: 0, n_streams: 0 }));
    assert!(matches!(compare(0..2, 1, 1), Err(ProbeError::WrongShape { .. })));
    let rows = wide.rows(&rows(3, 5, 1.3, false));
    let message = readout.top1(rows.clone()).unwrap_err().to_string();
    assert_eq!(message, "the tensor of rows has the wrong shape: [3, 5] instead of [3, 4]");
    assert!(readout.top_k(rows.clone(), 1).is_err() && readout.log_probs(rows, &[0]).is_err());
    let resid = toy.resid(&p);
    assert_eq!(readout.of_tokens(&resid, &[3], &[0]), Err(ProbeError::NoSuchRow { row: 3, n_rows: 3 }));
    assert_eq!(readout.of_tokens(&resid, &[0], &[]), Err(ProbeError::TokensMissing { n_tokens: 0, n_rows: 1 }));
    let empty = Readout::new(&toy).with_tiles(Tiles { rows: 1, vocab: 0 });
    assert_eq!(empty.top1(toy.rows(&p)), Err(ProbeError::EmptyTiles { rows: 1, vocab: 0 }));
}

#[test]
fn scores_of_other_metrics_are_refused_by_name() {
    let toy = Toy::new(4);
    let p = rows(3, 4, 1.3, false);
    let few = Metrics::from_names(["nll", "kl"]).unwrap();
    let mut scores = Scores::new(&few);
    let expected = "the scores are of the metrics kl, top1_agreement, entropy_bits, nll, accuracy, not of nll, kl; measure \
                    both with the same set";
    let message = scores.merge(&score_by(&Readout::new(&toy), &p, &p, &[0, 1])).unwrap_err().to_string();
    assert_eq!(message, expected);
    let into = |scores: &mut [Scores]| {
        Readout::new(&toy).compare(&window(&[0, 1]), 0..1, vec![toy.resid(&p)], 0, scores).unwrap_err().to_string()
    };
    assert_eq!(into(std::slice::from_mut(&mut scores)), expected);
    let mut positions = [PositionScores::new(&few)];
    let refused = Readout::new(&toy).compare(&window(&[0, 1]), 0..1, vec![toy.resid(&p)], 0, &mut positions);
    assert_eq!(refused.unwrap_err().to_string(), expected);
    assert_eq!(scores, Scores::new(&few), "nothing was added");
}
