//! Positions that do not count, BOS, and errors over documents, in everything that a study measures.

use std::collections::BTreeMap;

use serde_json::Value;
use stratigraph_core::{Hook, ResidualModel, TokenWindows, WindowSampling};
use stratigraph_corpus::{BosMode, Corpus, Windows};
use stratigraph_models::{Checkpoint, Tokenizer};
use stratigraph_probes::scores::TokenGroups;
use stratigraph_profile::statistics::ErrorUnit;
use stratigraph_study::job::Job;
use stratigraph_study::measurements::{
    AttentionByDistance, EarlyGuesses, LogitLens, ResidualGeometry, SublayerEffects,
};
use stratigraph_study::{Findings, Study};
use stratigraph_surgery::Sweep;
use stratigraph_testing::{device, fixture};

use crate::given::Given;

fn model() -> impl ResidualModel {
    Checkpoint::open(fixture("llama-gqa")).unwrap().load(&device()).unwrap()
}

/// Windows of ids that are all different from those of another seed.
fn windows(n: usize, seq_len: usize) -> TokenWindows {
    let ids: Vec<u32> = (0..n * seq_len).map(|at| (at * 37 % 291) as u32 + 1).collect();
    TokenWindows::new(&ids, seq_len).unwrap()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance * b.abs().max(1.0);
    assert!(found.iter().zip(expected).all(near), "{what}: {found:?}, {expected:?}");
}

#[test]
fn windows_with_bos_are_those_of_transformers() {
    let directory = fixture("gemma3-bos");
    let expected: Value = serde_json::from_slice(&std::fs::read(directory.join("expected.json")).unwrap()).unwrap();
    let tokenizer = Tokenizer::from_file(directory.join("tokenizer.json")).unwrap();
    let corpus = Corpus::open(directory.join("text.txt")).unwrap();
    let cut = |bos| corpus.windows(&tokenizer, Windows::of(16).count(4).first().bos(bos)).unwrap();
    let windows = cut(BosMode::Auto);
    let ids: Vec<Vec<u32>> = serde_json::from_value(expected["ids"].clone()).unwrap();
    assert_eq!((windows.bos(), windows.ids()), (Some(2), &ids.concat()[..]));
    assert_eq!(cut(BosMode::Never).sequence(0)[..15], windows.sequence(0)[1..]);

    let model = Checkpoint::open(fixture("gemma3")).unwrap().load(&device()).unwrap();
    let run = |windows: &TokenWindows| Study::new(&model).add(ResidualGeometry::default()).run(windows).unwrap();
    let findings = run(&windows);
    let losses: Vec<Vec<f64>> = serde_json::from_value(expected["nll"].clone()).unwrap();
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-5 * expected, "{found}, {expected}");
    near(findings.value("clean_nll").unwrap().mean, mean(&losses.concat()));
    let norms: Vec<f64> = serde_json::from_value(expected["resid_norm"].clone()).unwrap();
    findings.curve("resid_norm").unwrap().mean.iter().zip(&norms).for_each(|(found, norm)| near(*found, *norm));
    // The same tokens are predicted as without BOS.
    let skipping = run(&windows.with_skip_first(1).unwrap());
    near(
        skipping.value("clean_nll").unwrap().mean,
        mean(&losses.iter().flat_map(|it| it[1..].to_vec()).collect::<Vec<_>>()),
    );
}

#[test]
fn windows_have_scores_from_the_first_position_that_counts() {
    let (model, windows) = (model(), windows(3, 10));
    let at_position = |windows: &TokenWindows| {
        let labels: Vec<String> = (0..10).map(|position| position.to_string()).collect();
        let groups = TokenGroups::new("at", labels, windows, |_, position| Some(position)).unwrap();
        Study::new(&model).add(Sweep::delete()).by_tokens(groups).run(windows).unwrap()
    };
    let all = at_position(&windows);
    let skipping = at_position(&windows.clone().with_skip_first(4).unwrap());
    for metric in ["kl", "nll"] {
        let of = |findings: &Findings, layer: usize| {
            let matrix = findings.matrix(&format!("delete_{metric}_by_at")).unwrap();
            matrix.values[layer].clone()
        };
        for layer in 0..model.n_layers() {
            let (whole, part) = (of(&all, layer), of(&skipping, layer));
            let last = if metric == "nll" { 9 } else { 10 };
            assert!(part[..4].iter().all(|value| value.is_nan()));
            assert_close(&part[4..last], &whole[4..last], 1e-6, metric);
            let mean = whole[4..last].iter().sum::<f64>() / (last - 4) as f64;
            let curve = skipping.curve(&format!("delete_{metric}")).unwrap();
            assert!((curve.mean[layer] - mean).abs() < 1e-6, "{metric} {layer}");
        }
    }
}

#[test]
fn windows_have_activations_from_the_first_position_that_counts() {
    let (model, windows) = (model(), windows(3, 10));
    let run = |windows: &TokenWindows, skip_first: usize| {
        let study = Study::new(&model).add(ResidualGeometry::skipping_first(skip_first));
        study.add(AttentionByDistance::default()).run(windows).unwrap()
    };
    let by_measure = run(&windows, 3);
    let by_corpus = run(&windows.clone().with_skip_first(3).unwrap(), 0);
    for name in ["resid_norm", "mlp_out_norm", "cosine_to_final", "cka_adjacent", "cka_adjacent_after_first"] {
        let [a, b] = [&by_measure, &by_corpus].map(|findings| findings.curve(name).unwrap().mean.clone());
        assert_close(&a, &b, 1e-12, name);
    }
    let all = run(&windows, 0);
    let differs = |name: &str| all.curve(name).unwrap().mean != by_corpus.curve(name).unwrap().mean;
    assert!(["resid_norm", "prev5_attention", "first_token_attention"].into_iter().all(differs));
    let (with, without) = (all.curve("cka_adjacent").unwrap(), all.curve("cka_adjacent_after_first").unwrap());
    assert_ne!(with.mean, without.mean);
    let bos = windows.sequence(0)[0];
    let mut ids = windows.ids().to_vec();
    ids.chunks_mut(10).for_each(|window| window[0] = bos);
    let begun = TokenWindows::new(&ids, 10).unwrap().with_bos(bos).unwrap();
    let [a, b] = [run(&begun, 0), run(&begun.clone().with_skip_first(1).unwrap(), 0)];
    let norms = [&a, &b].map(|findings| findings.curve("resid_norm").unwrap().mean.clone());
    assert_eq!(norms[0], norms[1], "BOS is never among the activations");
    assert_ne!(a.value("clean_nll").unwrap(), b.value("clean_nll").unwrap(), "its prediction counts");
}

#[test]
fn windows_give_means_of_the_positions_that_count() {
    let (model, windows) = (model(), windows(4, 9));
    let run = |windows: &TokenWindows, name: &str| {
        Study::new(&model).add(Sweep::by_name(name).unwrap()).run(windows).unwrap()
    };
    let skipping = windows.clone().with_skip_first(2).unwrap();
    // A mean from position 2 on, in place of one over all, where the corpus counts no other.
    let [all, from] = ["mean_mlp", "mean_from_2_mlp"].map(|name| run(&skipping, name));
    let curve = |findings: &Findings, name: &str| findings.curve(name).unwrap().mean.clone();
    assert_close(&curve(&all, "mean_mlp_kl"), &curve(&from, "mean_from_2_mlp_kl"), 1e-9, "means");
    assert_ne!(curve(&run(&windows, "mean_mlp"), "mean_mlp_kl"), curve(&all, "mean_mlp_kl"));
}

#[test]
fn windows_skip_positions_in_effects_as_in_scores() {
    let (model, windows) = (model(), windows(3, 10).with_skip_first(3).unwrap());
    let findings = Study::new(&model).add(SublayerEffects::default()).run(&windows).unwrap();
    let value = |name: &str| findings.value(name).unwrap().mean;
    let sum = |name: &str| findings.curve(name).unwrap().mean.iter().sum::<f64>();
    let parts = value("dla_embed") + sum("dla_attention") + sum("dla_mlp") + value("dla_final_bias");
    assert!((parts - value("centred_logit")).abs() < 1e-4, "{parts} {}", value("centred_logit"));
    // The total effect is that of the sweep's loss over the same positions.
    let (total, deleted) = (findings.curve("total_mlp").unwrap(), findings.curve("delete_mlp_nll").unwrap());
    let rise: Vec<f64> = deleted.mean.iter().map(|loss| loss - value("clean_nll")).collect();
    assert_close(&total.mean, &rise, 1e-5, "total effect");
}

#[test]
fn windows_skip_positions_in_early_guesses_and_have_their_errors() {
    let (model, documents) = (model(), (0..16).map(|window| window / 2).collect());
    let windows = windows(16, 8).with_skip_first(3).unwrap().with_documents(documents).unwrap();
    let findings = Study::new(&model).add(LogitLens).add(EarlyGuesses::new(LogitLens)).run(&windows).unwrap();
    let agreed = findings.curve("lens_first_agreement").unwrap();
    let (found, expected) = (&agreed.replicates[0], &findings.curve("lens_top1_agreement").unwrap().replicates[0]);
    assert_close(found, expected, 1e-12, "of each window, at the embedding");
    assert_eq!(agreed.errors.unwrap().over, ErrorUnit::Documents);
    // The depth of a window is the number of residual positions before it has agreed.
    let depth_of = |window: usize| agreed.replicates.iter().map(|of_windows| 1.0 - of_windows[window]).sum::<f64>();
    let of_documents: Vec<f64> = (0..8).map(|it| (depth_of(2 * it) + depth_of(2 * it + 1)) / 2.0).collect();
    let mean = of_documents.iter().sum::<f64>() / 8.0;
    let sem = (of_documents.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 7.0 / 8.0).sqrt();
    let depth = findings.value("lens_first_agreement_depth").unwrap();
    assert!((depth.mean - mean).abs() < 1e-9 && (depth.sem.unwrap() - sem).abs() < 1e-9, "{depth:?}, {mean} {sem}");
}

#[test]
fn windows_with_bos_have_the_frequencies_of_their_text() {
    let model = model();
    let of = |bos: u32| {
        let ids: Vec<u32> = windows(6, 7).ids().chunks(7).flat_map(|text| [&[bos], text].concat()).collect();
        let windows = TokenWindows::new(&ids, 8).unwrap().with_bos(bos).unwrap();
        Study::new(&model).run(&windows).unwrap().value("unigram_loss").unwrap().mean
    };
    let of_text = Study::new(&model).run(&windows(6, 7)).unwrap().value("unigram_loss").unwrap().mean;
    assert_eq!([of(0), of(5)], [of_text; 2], "the loss of a unigram model does not depend on BOS");
}

#[test]
fn windows_of_documents_have_errors_over_them() {
    let (model, windows) = (model(), windows(16, 8));
    let documents: Vec<usize> = (0..16).map(|window| window / 2).collect();
    let run = |windows: &TokenWindows| Study::new(&model).add(Sweep::delete()).add(Sweep::swap()).run(windows).unwrap();
    let (single, several) = (run(&windows), run(&windows.clone().with_documents(documents.clone()).unwrap()));
    let curve = several.curve("delete_kl").unwrap();
    let basis = curve.errors.unwrap();
    assert_eq!((basis.over, basis.n, basis.df), (ErrorUnit::Documents, 8, 7));
    assert_eq!(single.curve("delete_kl").unwrap().errors.unwrap().over, ErrorUnit::Windows);
    assert_eq!(curve.mean, single.curve("delete_kl").unwrap().mean);
    for (layer, means) in curve.replicates.iter().enumerate() {
        let mut of_documents = BTreeMap::<usize, f64>::new();
        means
            .iter()
            .zip(&documents)
            .for_each(|(mean, document)| *of_documents.entry(*document).or_default() += mean / 2.0);
        let centre = of_documents.values().sum::<f64>() / 8.0;
        let sem = (of_documents.values().map(|x| (x - centre).powi(2)).sum::<f64>() / 7.0 / 8.0).sqrt();
        assert!((curve.sem[layer].unwrap() - sem).abs() < 1e-9, "{layer}");
    }
    let profile = several.clone().into_profile();
    assert_eq!((profile.corpus.documents.len(), profile.corpus.n_documents()), (16, 8));
    // Differences have errors of their own, window by window.
    let less = several.curve("delete_less_clean_nll").unwrap();
    let (deleted, clean) = (several.curve("delete_nll").unwrap(), several.value("clean_nll").unwrap());
    assert!((less.mean[1] - (deleted.mean[1] - clean.mean)).abs() < 1e-9);
    assert_eq!(less.errors, deleted.errors);
    let (swapped, less) = (several.curve("swap_kl").unwrap(), several.curve("delete_less_swap_kl").unwrap());
    assert_eq!((&less.axis, less.mean[0]), (&swapped.axis, curve.mean[0] - swapped.mean[0]));
    assert!(model.hooks().contains(Hook::ResidPre));
}

#[test]
fn windows_of_a_job_are_those_of_a_study() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let n = given.windows.n_sequences();
    let bos = given.windows.sequence(0)[0];
    let mut ids = given.windows.ids().to_vec();
    ids.chunks_mut(given.windows.seq_len()).for_each(|window| window[0] = bos);
    let windows = TokenWindows::new(&ids, given.windows.seq_len()).unwrap().with_bos(bos).unwrap();
    let windows = windows.with_skip_first(2).unwrap().with_documents((0..n).collect()).unwrap();
    let windows = windows.with_sampling(WindowSampling::new("random over documents", 4));
    let given = Given { windows, ..given };
    let sweeps = [Sweep::delete(), Sweep::by_name("mean_mlp").unwrap()];
    let (job, merged) = given.done(dir.path(), &sweeps);
    assert_eq!(Job::open(job.path()).unwrap().windows(), &given.windows);
    crate::small::assert_close(&merged.findings, &given.studied(&sweeps));
    let corpus = merged.into_profile(Vec::new()).corpus;
    assert_eq!((corpus.bos, corpus.skip_first, corpus.documents.len()), (Some(bos), 2, n));
    assert_eq!(corpus, given.studied(&sweeps).into_profile().corpus);
}
