//! Scores: their algebra, and that tiles, chunks, shards and backends change nothing.

mod common;

use burn::tensor::{Device, Int, Tensor};
use common::{device, devices, fixture};
use stratigraph::Experiment;
use stratigraph::core::forward;
use stratigraph::prelude::*;
use stratigraph::probes::ProbeError;
use stratigraph::probes::readout::{Reduction, Tiles};
use stratigraph::surgery::Budget;

/// A model whose residual stream is its logits: what a test embeds is what is read out.
struct Logits {
    rows: Tensor<2>,
}

impl Logits {
    fn new<const N: usize, const V: usize>(rows: [[f32; V]; N], device: &Device) -> Self {
        Self { rows: Tensor::from_data(rows, device) }
    }

    /// Row `i` at position `i` of one window.
    fn resid(&self) -> Tensor<3> {
        self.rows.clone().unsqueeze()
    }
}

impl ResidualModel for Logits {
    fn n_layers(&self) -> usize {
        0
    }
    fn d_model(&self) -> usize {
        self.rows.dims()[1]
    }
    fn d_vocab(&self) -> usize {
        self.d_model()
    }
    fn device(&self) -> Device {
        self.rows.device()
    }
    fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [batch, pos] = tokens.dims();
        self.rows.clone().select(0, tokens.reshape([batch * pos])).reshape([batch, pos, self.d_model()])
    }
    fn block(&self, _: Site, resid: Tensor<3>, _: &mut dyn Tap) -> Tensor<3> {
        resid
    }
    fn unembed(&self, rows: Tensor<2>, vocab: std::ops::Range<usize>) -> Tensor<2> {
        rows.slice_dim(1, vocab)
    }
}

/// The scores of `q` against `p`, logits by position, by every reduction; position `t` is followed by `next[t]`.
fn score<const N: usize, const V: usize>(
    p: [[f32; V]; N],
    q: [[f32; V]; N],
    next: &[u32],
    tiles: Tiles,
    device: &Device,
) -> [Scores; 2] {
    let (p, q) = (Logits::new(p, device), Logits::new(q, device));
    let ids: Vec<u32> = std::iter::once(0).chain(next.iter().copied()).collect();
    let windows = TokenWindows::new(&ids, N).unwrap();
    [Reduction::Host, Reduction::Device].map(|reduction| {
        let mut scores = [Scores::default(), Scores::default()];
        let readout = Readout::new(&p).with_tiles(tiles).with_reduction(reduction);
        readout.compare(&windows, 0..1, vec![p.resid(), q.resid()], 0, &mut scores).unwrap();
        let [clean, scores] = scores;
        assert_eq!((mean(&clean, "kl"), mean(&clean, "top1_agreement")), (0.0, 1.0));
        scores
    })
}

fn mean(scores: &Scores, metric: &str) -> f64 {
    scores.summary(metric).unwrap().mean
}

const WHOLE: Tiles = Tiles { rows: 100, vocab: 100 };

#[test]
fn hand_computed_values() {
    // p = (1/2, 1/4, 1/4) and q = (1/4, 1/4, 1/2), as logits with a constant that must not matter.
    let ln = |probs: [f32; 3]| probs.map(|p| p.ln() + 7.0);
    let (p, q) = (ln([0.5, 0.25, 0.25]), ln([0.25, 0.25, 0.5]));
    for (backend, device) in devices() {
        for tiles in [WHOLE, Tiles { rows: 1, vocab: 1 }, Tiles { rows: 2, vocab: 2 }] {
            let expected = [
                ("kl", 0.25 * 2f64.ln()),
                ("top1_agreement", 0.0),
                ("entropy_bits", 1.5),
                ("nll", 2f64.ln()),
                ("accuracy", 1.0),
            ];
            for scores in score([p, p], [q, q], &[2], tiles, &device) {
                for (metric, expected) in expected {
                    let found = mean(&scores, metric);
                    assert!((found - expected).abs() < 1e-6, "{metric} on {backend}: {found} instead of {expected}");
                }
            }
        }
    }
}

#[test]
fn ties_go_to_the_first_token() {
    for (backend, device) in devices() {
        for vocab in 1..=5 {
            let p = [[0.0, 3.0, 1.0, 3.0, 3.0], [2.0, 2.0, 2.0, 2.0, 2.0]];
            let q = [[0.0, 3.0, 1.0, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0, 0.0]];
            for scores in score(p, q, &[1], Tiles { rows: 2, vocab }, &device) {
                assert_eq!(mean(&scores, "top1_agreement"), 1.0, "{backend}, chunks of {vocab}");
            }
        }
    }
}

#[test]
fn a_distribution_does_not_diverge_from_itself() {
    let logits = [[3.0, -50.0, 0.1, 80.0, 80.0], [0.0, 0.0, 0.0, 0.0, 1e-3]];
    for (backend, device) in devices() {
        for scores in score(logits, logits, &[3], WHOLE, &device) {
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
    for (backend, device) in devices() {
        for vocab in [4, 1] {
            for scores in score(p, q, &[1], Tiles { rows: 2, vocab }, &device) {
                // p is certain of token 1 and then of token 2; q gives them 1 and then 1/2.
                let kl = mean(&scores, "kl");
                assert!((kl - 0.5 * 2f64.ln()).abs() < 1e-3, "{backend}: {kl}");
                assert!((mean(&scores, "entropy_bits") - 0.5).abs() < 1e-3, "{backend}");
            }
        }
    }
}

#[test]
fn a_uniform_distribution_has_log2_v_bits_and_a_certain_one_none() {
    for (backend, device) in devices() {
        for uniform in score([[5.0; 64]; 2], [[-3.0; 64]; 2], &[63], WHOLE, &device) {
            assert!((mean(&uniform, "entropy_bits") - 6.0).abs() < 1e-5, "{backend}");
            assert!((mean(&uniform, "nll") - 64f64.ln()).abs() < 1e-5, "{backend}");
        }
        let mut certain = [[-500.0; 64]; 2];
        certain.iter_mut().for_each(|row| row[17] = 500.0);
        for certain in score(certain, certain, &[17], WHOLE, &device) {
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
        let kls = score([p; 2], [q; 2], &[0], WHOLE, &device).map(|scores| mean(&scores, "kl"));
        assert!(kls[0] >= last[0] && kls[1] >= last[1], "{mix}: {kls:?} after {last:?}");
        last = kls;
    }
    assert!(last[0] > 0.1);
}

#[test]
fn a_score_that_is_not_finite_is_an_error_that_says_where() {
    let device = device();
    let p = Logits::new([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]], &device);
    let broken = Logits::new([[0.0, 1.0], [f32::NAN, 1.0], [0.0, 1.0]], &device);
    let windows = TokenWindows::new(&[0, 1, 0], 3).unwrap();
    let mut scores = [Scores::default(), Scores::default()];
    for reduction in [Reduction::Host, Reduction::Device] {
        let readout = Readout::new(&p).with_reduction(reduction);
        let result = readout.compare(&windows, 0..1, vec![p.resid(), broken.resid()], 0, &mut scores);
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
    let clean = forward(model, tokens(), &mut NoTap).unwrap();
    let deleted = LayerPlan::full(3).delete(1).unwrap().run(model, tokens(), &mut NoTap).unwrap();
    let mut scores = [Scores::default(), Scores::default()];
    let readout = Readout::new(model).with_tiles(tiles);
    readout.compare(windows, sequences, vec![deleted, clean], 1, &mut scores).unwrap();
    let [scores, _] = scores;
    scores
}

#[test]
fn tiles_and_vocabulary_chunks_change_nothing() {
    for (backend, device) in devices() {
        let model = Checkpoint::open(fixture("llama-untied")).unwrap().load(&device).unwrap();
        let model_windows = windows(3, 10);
        let run = |tiles, reduction| {
            let tokens = model_windows.batch(0..3, &device);
            let clean = forward(&model, tokens.clone(), &mut NoTap).unwrap();
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
                    let close = (found - expected).abs() < 2e-6 * expected.abs().max(1.0);
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
        assert!((a.mean - b.mean).abs() < 1e-6, "{metric}");
        assert!((a.sem.unwrap() - b.sem.unwrap()).abs() < 1e-6, "{metric}");
        assert_eq!(measured.means().len(), 5);
    }
}

#[test]
fn every_backend_gives_the_same_study() {
    let windows = windows(3, 12);
    let mut first = None;
    for (backend, device) in devices() {
        let model = Checkpoint::open(fixture("llama-gqa")).unwrap().load(&device).unwrap();
        let mut heard = Vec::new();
        let study = Study::new(&model).plan("0-(1+2)".parse().unwrap()).on_progress(|progress| heard.push(progress));
        let findings = study.run(&windows).unwrap();
        assert!(heard.windows(2).all(|two| two[0].done < two[1].done), "progress goes forward");
        let last = heard.last().unwrap();
        assert_eq!(last.done, last.total, "and reaches its end");
        let names: Vec<_> = findings.curves.keys().cloned().collect();
        // Of four families of plans, attention (distance 16 does not fit the windows), geometry and neurons.
        assert_eq!(names.len(), 4 * Metrics::default().len() + 7 + 8 + 4, "{names:?}");
        let expected = first.get_or_insert_with(|| findings.clone());
        for (name, curve) in &findings.curves {
            let layers = if name.starts_with("swap") {
                2
            } else if name.starts_with("repeat_3") {
                1
            } else if name.starts_with("lens") || name == "resid_norm" || name == "cosine_to_final" {
                4
            } else {
                3
            };
            assert_eq!(curve.len(), layers, "{name}");
            for (a, b) in curve.mean.iter().zip(&expected.curves[name].mean) {
                assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{name} on {backend}: {a} and {b}");
            }
        }
        // none, three deletions, two swaps, one block run twice, one plan
        assert_eq!(findings.interventions.len(), 8);
        assert_eq!(findings.interventions[7].plan, "0-(1+2)");
        let lens = &findings.curves["lens_kl"].mean;
        assert!(lens[3] < 1e-7, "the lens after the last layer is the model, not {}", lens[3]);
        let nll = findings.interventions[0].metrics["nll"].mean;
        assert_eq!(findings.curves["lens_nll"].mean[3], nll);
    }
}

#[test]
fn a_study_does_not_depend_on_its_budget() {
    let model = Checkpoint::open(fixture("llama-gqa")).unwrap().load(&device()).unwrap();
    let windows = windows(4, 12);
    let run = |bytes| {
        let budget = Budget { bytes, ..Budget::default() };
        Study::new(&model).budget(budget).tiles(Tiles { rows: 5, vocab: 100 }).run(&windows).unwrap()
    };
    let (small, large) = (run(60_000), run(2 << 30));
    for (name, curve) in &small.curves {
        for (a, b) in curve.mean.iter().zip(&large.curves[name].mean) {
            assert!((a - b).abs() < 1e-5 * b.abs().max(1.0), "{name}");
        }
    }
}

#[test]
fn one_window_has_no_standard_error() {
    let model = Checkpoint::open(fixture("llama-gqa")).unwrap().load(&device()).unwrap();
    let findings = Study::new(&model).experiments([Experiment::Delete]).run(&windows(1, 12)).unwrap();
    assert!(findings.curves["delete_kl"].sem.iter().all(Option::is_none));
}
