//! One prompt, layer by layer: what it reads equals what a study measures on the same tokens.

use std::sync::Arc;

use burn::tensor::Tensor;
use stratigraph_core::{ResidualModel, RunModel, TokenWindows};
use stratigraph_models::{Checkpoint, Decoder, DecoderConfig};
use stratigraph_probes::lens::{AffineConfig, FittedLens, FixedScaleLens, LensKind, LinearMap, fit_affine};
use stratigraph_probes::metrics::Metrics;
use stratigraph_profile::prompt::{LensCell, LensGrid, PromptReading};
use stratigraph_study::measurements::{ActivationPatching, EncodedPairs, LensCurves, LogitLens, TokenPair};
use stratigraph_study::{Findings, PromptStudy, Study};
use stratigraph_surgery::Sweep;
use stratigraph_testing::{Expected, device, devices, fixture, repository};

use crate::small::{Small, windows};

/// The mean over the positions where there is a number.
fn mean(values: impl IntoIterator<Item = Option<f64>>) -> f64 {
    let values: Vec<f64> = values.into_iter().flatten().collect();
    values.iter().sum::<f64>() / values.len() as f64
}

#[track_caller]
fn assert_near(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{what}: {found}, not {expected}");
}

/// Checks each number of a grid against the curves of a study on the same tokens.
fn assert_grid(grid: &LensGrid, findings: &Findings, from: usize) {
    let output: Vec<u32> = grid.output().iter().map(|cell| cell.top[0].id).collect();
    for (row, cells) in grid.rows.iter().enumerate().skip(from) {
        let agrees = |column: usize| f64::from(u8::from(cells[column].top[0].id == output[column]));
        let agreement: Vec<f64> = (0..cells.len()).map(agrees).collect();
        for (metric, value) in [
            ("kl", mean(cells.iter().map(|cell| Some(cell.kl)))),
            ("entropy_bits", mean(cells.iter().map(|cell| Some(cell.entropy_bits)))),
            ("nll", mean(cells.iter().map(|cell| cell.nll))),
            ("top1_agreement", mean(agreement.iter().map(|agrees| Some(*agrees)))),
            ("top1_agreement", mean(cells.iter().map(|cell| Some(f64::from(u8::from(cell.output_rank == 1)))))),
        ] {
            let name = format!("{}_{metric}", grid.name);
            assert_near(value, findings.curve(&name).unwrap().mean[row], &format!("{name} at {row}"));
        }
        cells.iter().for_each(|cell| assert_cell(cell, &name_of(grid, row)));
    }
}

fn name_of(grid: &LensGrid, row: usize) -> String {
    format!("{} at {row}", grid.name)
}

/// Checks what a cell has twice.
fn assert_cell(cell: &LensCell, what: &str) {
    assert!(cell.top.is_sorted_by(|a, b| a.probability >= b.probability), "{what}");
    let all: f64 = cell.top.iter().map(|token| token.probability).sum();
    assert!(all <= 1.0 + 1e-6 && cell.output_probability <= cell.top[0].probability + 1e-6, "{what}");
    if cell.output_rank as usize <= cell.top.len() {
        let ranked = cell.top[cell.output_rank as usize - 1].probability;
        assert_near(cell.output_probability, ranked, what);
    }
}

fn tiny() -> (Decoder, TokenWindows, FittedLens) {
    let checkpoint = Checkpoint::open(repository().join("models/tiny")).unwrap();
    let (model, tokenizer) = (checkpoint.load(&device()).unwrap(), checkpoint.tokenizer().unwrap());
    let text = std::fs::read(repository().join("examples/data/sample.txt")).unwrap();
    let all = tokenizer.windows(&text[..], 40, 12).unwrap();
    let lens = fit_affine(&model, &all.select(2..12), &AffineConfig::default(), |_| {}).unwrap();
    (model, all.select([0]), lens)
}

#[test]
fn lenses_read_what_a_study_measures_on_the_same_tokens() {
    let (model, prompt, lens) = tiny();
    let study = PromptStudy::new(&model, &prompt).unwrap().with_lens(Arc::new(lens.clone()));
    let reading = study.with_lens(Arc::new(FixedScaleLens)).read_lenses().unwrap();
    let study = Study::new(&model).add(LogitLens).add(LensCurves::new(lens)).add(LensCurves::new(FixedScaleLens));
    let findings = study.run(&prompt).unwrap();
    assert_eq!(
        reading.lenses.iter().map(|grid| grid.name.as_str()).collect::<Vec<_>>(),
        ["lens", "affine_lens", "fixed_scale_lens"]
    );
    for grid in &reading.lenses {
        assert_grid(grid, &findings, 0);
        assert!(grid.output().iter().all(|cell| (cell.kl, cell.output_rank) == (0.0, 1)), "{}", grid.name);
        assert_eq!(grid.output(), reading.lenses[0].output());
    }
    assert!(reading.deletion.is_none() && reading.remarks.is_empty());
}

#[test]
fn deletions_are_those_of_a_sweep_and_the_loss_change_adds_up() {
    for name in ["llama-gqa", "gemma3", "gpt2"] {
        let prompt = Expected::of_family(name).windows().take(1);
        let model = Checkpoint::open(fixture(name)).unwrap().load(&device()).unwrap();
        let reading = PromptStudy::new(&model, &prompt).unwrap().read().unwrap();
        let findings = Study::new(&model).add(Sweep::delete()).add(LogitLens).run(&prompt).unwrap();
        let grid = reading.deletion.as_ref().unwrap();
        let (kl, nll) = (&findings.curve("delete_kl").unwrap().mean, &findings.curve("delete_nll").unwrap().mean);
        let clean = findings.value("clean_nll").unwrap().mean;
        for layer in 0..model.n_layers() {
            let of = |values: &[f64]| mean(values.iter().copied().map(Some));
            assert_near(of(&grid.kl[layer]), kl[layer], &format!("{name}: KL without layer {layer}"));
            assert_near(
                of(&grid.loss_change[layer]),
                nll[layer] - clean,
                &format!("{name}: loss without layer {layer}"),
            );
        }
        assert_grid(&reading.lenses[0], &findings, 0);
    }
}

#[test]
fn every_device_gives_the_same_page_whose_parts_add_up() {
    let prompt = Expected::of_family("llama-gqa").windows().take(1);
    let readings: Vec<PromptReading> = devices()
        .iter()
        .map(|it| {
            let model = Checkpoint::open(fixture("llama-gqa")).unwrap().load(&it.device).unwrap();
            PromptStudy::new(&model, &prompt).unwrap().read().unwrap()
        })
        .collect();
    for reading in &readings {
        reading.check().unwrap();
        let attribution = reading.attribution.as_ref().unwrap();
        assert_near(attribution.sum(), attribution.difference, "the attribution");
        assert_eq!(attribution.tokens[0], reading.lenses[0].output().last().unwrap().top[0].id);
        assert_eq!(attribution.tokens[1], reading.lenses[0].output().last().unwrap().top[1].id);
        let first = &readings[0];
        assert_near(attribution.difference, first.attribution.as_ref().unwrap().difference, "the logit difference");
        let kl = |reading: &PromptReading| reading.deletion.as_ref().unwrap().kl.concat();
        kl(reading).iter().zip(kl(first)).for_each(|(a, b)| assert!((a - b).abs() < 1e-4 * b.max(1.0), "{a} and {b}"));
        assert_eq!(PromptReading::from_json(&reading.to_json()).unwrap(), *reading);
    }
}

#[test]
fn attention_is_the_pattern_of_every_head() {
    use stratigraph_core::{ActivationCache, Hook};
    let prompt = Expected::of_family("llama-gqa").windows().take(1);
    let model = Checkpoint::open(fixture("llama-gqa")).unwrap().load(&device()).unwrap();
    let reading = PromptStudy::new(&model, &prompt).unwrap().read().unwrap();
    let cache = model.run_with_cache(&prompt, ActivationCache::at([Hook::Pattern])).unwrap();
    let (found, n) = (reading.attention.unwrap(), prompt.seq_len());
    for layer in 0..model.n_layers() {
        let pattern = cache.activation(Hook::Pattern.at(layer)).unwrap().to_vec();
        for (place, weight) in pattern.iter().enumerate() {
            let (head, query, key) = (place / (n * n), place / n % n, place % n);
            let kept = found.weight(layer, head, query, key).unwrap_or(0.0);
            assert!((kept - f64::from(*weight)).abs() < 1.0 / 63.0, "layer {layer}, head {head}: {kept} and {weight}");
        }
    }
}

#[test]
fn patching_maps_are_those_of_the_measurement() {
    let checkpoint = Checkpoint::open(repository().join("models/tiny")).unwrap();
    let (model, tokenizer) = (checkpoint.load(&device()).unwrap(), checkpoint.tokenizer().unwrap());
    let prompt = tokenizer.prompt("The people of the United States of").unwrap();
    let corrupted = tokenizer.encode("The people of the great whale of").unwrap();
    let [america, the] = [" America", " the"].map(|text| tokenizer.token(text).unwrap());
    let study = PromptStudy::new(&model, &prompt).unwrap().with_corrupted(corrupted.clone());
    let reading = study.with_token(america).against(the).read().unwrap();
    let pair = TokenPair::new(prompt.ids().to_vec(), corrupted, america, the);
    let patching = ActivationPatching::new(EncodedPairs::new(vec![pair]).unwrap());
    let findings = Study::new(&model).add(patching).run(&prompt).unwrap();
    let patching = reading.patching.unwrap();
    assert_eq!(patching.maps.len(), 4);
    for (name, map) in &patching.maps {
        let pairs = map.values.concat().into_iter().zip(findings.matrix(name).unwrap().values.concat());
        pairs.for_each(|(found, expected)| assert_near(found, expected, name));
    }
    let difference = findings.value("patch_clean_logit_difference").unwrap().mean;
    assert_near(patching.clean_difference, difference, "the clean logit difference");
    assert_near(reading.attribution.unwrap().difference, difference, "the attributed one");
}

#[test]
fn a_model_without_heads_or_weights_leaves_them_out_and_says_so() {
    let model = Small::new(&device());
    let prompt = windows().take(1);
    let maps = (0..3).map(|position| (position > 0).then(|| LinearMap::new(Tensor::eye(32, &device()))));
    let lens = FittedLens::new(LensKind::Jacobian, maps);
    let reading = PromptStudy::new(&model, &prompt).unwrap().with_lens(Arc::new(lens)).read().unwrap();
    reading.check().unwrap();
    assert!(reading.attention.is_none() && reading.attribution.is_none() && reading.deletion.is_some());
    let remarks = reading.remarks.join("\n");
    assert!(
        remarks.contains("attention is left out: the model does not offer the hook `attn.hook_pattern`"),
        "{remarks}"
    );
    assert!(remarks.contains("logit attribution is left out"), "{remarks}");
    let findings = Study::new(&model).add(LogitLens).with_metrics(Metrics::default()).run(&prompt).unwrap();
    assert_grid(&reading.lenses[0], &findings, 0);
    assert!(reading.lenses[1].rows[0].is_empty(), "the lens has no map there");
    assert_eq!(reading.lenses[1].rows[1], reading.lenses[0].rows[1]);
}

#[test]
fn what_cannot_be_read_is_refused() {
    let (model, prompt, lens) = tiny();
    let message =
        |study: stratigraph_study::Result<PromptStudy>| study.and_then(|it| it.read()).err().unwrap().to_string();
    assert!(message(PromptStudy::new(&model, &windows())).contains("it takes one window, and there are 7"));
    let other = FittedLens::new(LensKind::Affine, [None, None]);
    let study = || PromptStudy::new(&model, &prompt);
    assert!(message(study().map(|it| it.with_lens(Arc::new(other)))).contains("2 layers"));
    let twice = study().map(|it| it.with_lens(Arc::new(lens.clone())).with_lens(Arc::new(lens)));
    assert!(message(twice).contains("there is already a lens named `affine_lens`"));
    assert!(message(study().map(|it| it.with_token(5).against(5))).contains("choose two different ones"));
    assert!(message(study().map(|it| it.with_token(1_000_000))).contains("1000000"));
    let short = prompt.ids()[1..].to_vec();
    assert!(message(study().map(|it| it.with_corrupted(short))).contains("both need the same number"));
    let long = TokenWindows::new(&[1; 300], 300).unwrap();
    let model = DecoderConfig::new(2, 16, 4, 50).with_n_ctx(512).init(0, &device()).unwrap();
    assert!(message(PromptStudy::new(&model, &long)).contains("at most 256 tokens, and this one has 300"));
}
