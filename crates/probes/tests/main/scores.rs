//! Scores: their algebra, and that tiles, chunks, shards and backends change nothing.

use approx::abs_diff_eq;
use burn::tensor::Device;
use stratigraph_core::{NoTap, ResidualModel, RunModel, TokenWindows};
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_probes::ProbeError;
use stratigraph_probes::readout::{Readout, Reduction, Tiles};
use stratigraph_probes::scores::Scores;
use stratigraph_surgery::LayerPlan;
use stratigraph_testing::{TestDevice, device, devices, fixture};

use crate::toy::{Toy, mean, window};

/// Logits by position, and tiles that they are read out with.
struct Case<'a, const N: usize, const V: usize> {
    p: [[f32; V]; N],
    q: [[f32; V]; N],
    next: &'a [u32],
    tiles: Tiles,
}

/// The scores of `q` against `p` by every reduction; position `t` is followed by `next[t]`.
fn score<const N: usize, const V: usize>(case: Case<N, V>, device: &Device) -> [Scores; 2] {
    let (toy, windows) = (Toy::on(V, device), window(case.next));
    let [p, q] = [case.p, case.q].map(|logits| logits.map(|row| row.to_vec()));
    [Reduction::Host, Reduction::Device].map(|reduction| {
        let mut scores = [Scores::default(), Scores::default()];
        let readout = Readout::new(&toy).with_tiles(case.tiles).with_reduction(reduction);
        readout.compare(&windows, 0..1, vec![toy.resid(&p), toy.resid(&q)], 0, &mut scores).unwrap();
        let [clean, scores] = scores;
        assert_eq!((mean(&clean, "kl"), mean(&clean, "top1_agreement")), (0.0, 1.0));
        scores
    })
}

const WHOLE: Tiles = Tiles { rows: 100, vocab: 100 };

#[test]
fn hand_computed_values() {
    // p = (1/2, 1/4, 1/4) and q = (1/4, 1/4, 1/2), as logits with a constant that must not matter.
    let ln = |probs: [f32; 3]| probs.map(|p| p.ln() + 7.0);
    let (p, q) = (ln([0.5, 0.25, 0.25]), ln([0.25, 0.25, 0.5]));
    for TestDevice { backend, device } in devices() {
        for tiles in [WHOLE, Tiles { rows: 1, vocab: 1 }, Tiles { rows: 2, vocab: 2 }] {
            let expected = [
                ("kl", 0.25 * 2f64.ln()),
                ("top1_agreement", 0.0),
                ("entropy_bits", 1.5),
                ("nll", 2f64.ln()),
                ("accuracy", 1.0),
            ];
            for scores in score(Case { p: [p, p], q: [q, q], next: &[2], tiles }, &device) {
                for (metric, expected) in expected {
                    let found = mean(&scores, metric);
                    assert!(
                        abs_diff_eq!(found, expected, epsilon = 1e-6),
                        "{metric} on {backend}: {found} instead of {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn ties_go_to_the_first_token() {
    for TestDevice { backend, device } in devices() {
        for vocab in 1..=5 {
            let p = [[0.0, 3.0, 1.0, 3.0, 3.0], [2.0, 2.0, 2.0, 2.0, 2.0]];
            let q = [[0.0, 3.0, 1.0, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0, 0.0]];
            for scores in score(Case { p, q, next: &[1], tiles: Tiles { rows: 2, vocab } }, &device) {
                assert_eq!(mean(&scores, "top1_agreement"), 1.0, "{backend}, chunks of {vocab}");
            }
        }
    }
}

#[test]
fn a_distribution_does_not_diverge_from_itself() {
    let logits = [[3.0, -50.0, 0.1, 80.0, 80.0], [0.0, 0.0, 0.0, 0.0, 1e-3]];
    for TestDevice { backend, device } in devices() {
        for scores in score(Case { p: logits, q: logits, next: &[3], tiles: WHOLE }, &device) {
            assert_eq!(mean(&scores, "kl"), 0.0, "{backend}");
            assert_eq!(mean(&scores, "top1_agreement"), 1.0, "{backend}");
        }
    }
}

#[test]
fn extreme_and_impossible_tokens_stay_finite() {
    let impossible = f32::NEG_INFINITY;
    let p = [[impossible, 1e4, 0.0, impossible], [impossible, -1e4, 1e4, impossible]];
    let q = [[impossible, 1e4, 9e3, 9.9e3], [0.0, 3e4, 3e4, -3e4]];
    for TestDevice { backend, device } in devices() {
        for vocab in [4, 1] {
            for scores in score(Case { p, q, next: &[1], tiles: Tiles { rows: 2, vocab } }, &device) {
                // p is certain of token 1 and then of token 2; q gives them 1 and then 1/2.
                let kl = mean(&scores, "kl");
                assert!(abs_diff_eq!(kl, 0.5 * 2f64.ln(), epsilon = 1e-3), "{backend}: {kl}");
                assert!(abs_diff_eq!(mean(&scores, "entropy_bits"), 0.5, epsilon = 1e-3), "{backend}");
            }
        }
    }
}

#[test]
fn a_uniform_distribution_has_log2_v_bits_and_a_certain_one_none() {
    for TestDevice { backend, device } in devices() {
        for uniform in score(Case { p: [[5.0; 64]; 2], q: [[-3.0; 64]; 2], next: &[63], tiles: WHOLE }, &device) {
            assert!(abs_diff_eq!(mean(&uniform, "entropy_bits"), 6.0, epsilon = 1e-5), "{backend}");
            assert!(abs_diff_eq!(mean(&uniform, "nll"), 64f64.ln(), epsilon = 1e-5), "{backend}");
        }
        let mut certain = [[-500.0; 64]; 2];
        certain.iter_mut().for_each(|row| row[17] = 500.0);
        for certain in score(Case { p: certain, q: certain, next: &[17], tiles: WHOLE }, &device) {
            assert_eq!(mean(&certain, "entropy_bits"), 0.0, "{backend}");
            assert_eq!(mean(&certain, "nll"), 0.0, "{backend}");
        }
    }
}

#[test]
fn the_divergence_is_never_negative_and_moves_with_the_difference() {
    let device = device();
    let row = |seed: f32| std::array::from_fn::<f32, 40, _>(|i| (i as f32 * seed).sin() * 4.0);
    let mut last = [0.0; 2];
    for mix in [0.0, 1e-3, 1e-2, 0.1, 0.5, 1.0] {
        let (p, other) = (row(1.3), row(2.9));
        let q = std::array::from_fn(|i| p[i] * (1.0 - mix) + other[i] * mix);
        let kls =
            score(Case { p: [p; 2], q: [q; 2], next: &[0], tiles: WHOLE }, &device).map(|scores| mean(&scores, "kl"));
        assert!(kls[0] >= last[0] && kls[1] >= last[1], "{mix}: {kls:?} after {last:?}");
        last = kls;
    }
    assert!(last[0] > 0.1);
}

#[test]
fn a_score_that_is_not_finite_is_an_error_that_says_where() {
    let toy = Toy::new(2);
    let fine = || toy.resid(&[vec![0.0, 1.0], vec![0.0, 1.0], vec![0.0, 1.0]]);
    let broken = || toy.resid(&[vec![0.0, 1.0], vec![f32::NAN, 1.0], vec![0.0, 1.0]]);
    let windows = TokenWindows::new(&[0, 1, 0], 3).unwrap();
    let mut scores = [Scores::default(), Scores::default()];
    for reduction in [Reduction::Host, Reduction::Device] {
        let readout = Readout::new(&toy).with_reduction(reduction);
        let result = readout.compare(&windows, 0..1, vec![fine(), broken()], 0, &mut scores);
        assert!(matches!(result, Err(ProbeError::NotFinite { sequence: 0, position: 1, .. })), "{result:?}");
    }
}

fn windows(n_sequences: usize, seq_len: usize) -> TokenWindows {
    let ids: Vec<u32> = (0..n_sequences * seq_len).map(|i| (i * i * 7 % 300) as u32).collect();
    TokenWindows::new(&ids, seq_len).unwrap()
}

/// The scores of a deletion over some windows, read out with some tiles.
fn deletion(model: &Decoder, windows: &TokenWindows, sequences: std::ops::Range<usize>, tiles: Tiles) -> Scores {
    let tokens = || windows.batch(sequences.clone(), &model.device());
    let clean = model.forward(tokens(), &mut NoTap).unwrap();
    let deleted = LayerPlan::full(3).delete(1).unwrap().run(model, tokens(), &mut NoTap).unwrap();
    let mut scores = [Scores::default(), Scores::default()];
    let readout = Readout::new(model).with_tiles(tiles);
    readout.compare(windows, sequences, vec![deleted, clean], 1, &mut scores).unwrap();
    let [scores, _] = scores;
    scores
}

#[test]
fn tiles_and_vocabulary_chunks_change_nothing() {
    for TestDevice { backend, device } in devices() {
        let model = Checkpoint::open(fixture("llama-untied")).unwrap().load(&device).unwrap();
        let model_windows = windows(3, 10);
        let run = |tiles, reduction| {
            let tokens = model_windows.batch(0..3, &device);
            let clean = model.forward(tokens.clone(), &mut NoTap).unwrap();
            let other = LayerPlan::full(1).run(&model, tokens, &mut NoTap).unwrap();
            let mut scores = [Scores::default(), Scores::default()];
            Readout::new(&model)
                .with_tiles(tiles)
                .with_reduction(reduction)
                .compare(&model_windows, 0..3, vec![other, clean], 1, &mut scores)
                .unwrap();
            scores[0].names().map(|metric| mean(&scores[0], metric)).collect::<Vec<_>>()
        };
        let whole = run(Tiles { rows: 30, vocab: 300 }, Reduction::Device);
        for reduction in [Reduction::Host, Reduction::Device] {
            for tiles in [Tiles { rows: 7, vocab: 300 }, Tiles { rows: 30, vocab: 64 }, Tiles { rows: 1, vocab: 299 }] {
                for (found, expected) in run(tiles, reduction).into_iter().zip(&whole) {
                    let close = abs_diff_eq!(found, expected, epsilon = 2e-6 * expected.abs().max(1.0));
                    assert!(close, "{tiles:?} by {reduction:?} on {backend}: {found} and {expected}");
                }
            }
        }
    }
}

#[test]
fn usual_tiles_stay_within_their_bytes() {
    for d_vocab in [1, 300, 50_257, 262_144, 10_000_000] {
        for bytes in [4, 1 << 10, 32 << 20] {
            let Tiles { rows, vocab } = Tiles::fitting(d_vocab, bytes);
            assert!(rows > 0 && vocab > 0 && vocab <= d_vocab && rows * vocab * 4 <= bytes, "{d_vocab} in {bytes}");
        }
    }
}

#[test]
fn a_sharded_corpus_scores_as_a_whole_one() {
    let device = device();
    let model = Checkpoint::open(fixture("llama-gqa")).unwrap().load(&device).unwrap();
    let windows = windows(5, 10);
    let tiles = Tiles { rows: 64, vocab: 300 };
    let whole = deletion(&model, &windows, 0..5, tiles);
    let mut merged = deletion(&model, &windows, 3..5, tiles);
    merged.merge(&deletion(&model, &windows, 0..3, tiles)).unwrap();
    for (metric, measured) in merged.iter() {
        let (a, b) = (measured.summary(), whole.summary(metric).unwrap());
        assert!(abs_diff_eq!(a.mean, b.mean, epsilon = 1e-6), "{metric}");
        assert!(abs_diff_eq!(a.sem.unwrap(), b.sem.unwrap(), epsilon = 1e-6), "{metric}");
        assert_eq!(measured.means().len(), 5);
    }
}
