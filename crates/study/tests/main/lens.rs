//! Lenses in studies: fitted ones are read as the sweep of the logit lens is, in the unchanged model and under interventions.

use std::sync::Arc;

use burn::tensor::Tensor;
use stratigraph_core::{Edit, Hook, ResidualModel, TokenWindows};
use stratigraph_models::Checkpoint;
use stratigraph_probes::lens::{
    AffineConfig, FittedLens, FixedScaleLens, Lens, LensKind, LensRecord, LensRows, LinearMap, fit_affine,
};
use stratigraph_probes::scores::TokenGroups;
use stratigraph_profile::Axis;
use stratigraph_study::measurements::{EarlyGuesses, LensCurves, LogitLens};
use stratigraph_study::{Findings, Study};
use stratigraph_surgery::LayerPlan;
use stratigraph_testing::{device, repository};

use crate::small::{Small, windows};

/// A lens that leaves every stream as it is, with a map or without one.
fn identity(model: &Small, has_maps: bool) -> FittedLens {
    let width = model.d_model();
    let map = || has_maps.then(|| LinearMap::new(Tensor::eye(width, &device())));
    FittedLens::new(LensKind::Affine, (0..model.n_layers()).map(|_| map()))
}

fn mean(findings: &Findings, curve: &str) -> Vec<f64> {
    findings.curve(curve).unwrap().mean.clone()
}

#[test]
fn an_identity_is_the_logit_lens_and_the_end_is_the_model() {
    let model = Small::new(&device());
    let study = Study::new(&model).add(LogitLens).add(LensCurves::new(identity(&model, true)));
    let findings = study.add(LensCurves::new(FixedScaleLens)).run(&windows());
    // This model does not give its weights, and one norm scale needs them.
    let error = findings.unwrap_err().to_string();
    assert!(error.contains("does not give access to its weights"), "{error}");
    let study = Study::new(&model).add(LogitLens).add(LensCurves::new(identity(&model, true)));
    let findings = study.run(&windows()).unwrap();
    for metric in ["kl", "nll", "top1_agreement"] {
        let (logit, affine) =
            (mean(&findings, &format!("lens_{metric}")), mean(&findings, &format!("affine_lens_{metric}")));
        let pairs = logit.iter().zip(&affine);
        assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 1e-5), "{metric}: {logit:?} and {affine:?}");
        assert_eq!(logit[3], affine[3], "{metric} at the end");
    }
    assert_eq!(mean(&findings, "affine_lens_kl")[3], 0.0);
    let alone = Study::new(&model).add(LogitLens).run(&windows()).unwrap();
    assert_eq!(alone.curve("lens_kl").unwrap(), findings.curve("lens_kl").unwrap(), "another lens changes no bit");
}

#[test]
fn a_position_without_a_map_has_no_number() {
    let model = Small::new(&device());
    let maps = identity(&model, true);
    let maps = (0..3).map(|position| maps.map(position).filter(|_| position != 0).cloned());
    let record = LensRecord::of_windows(9, 12).with_model("small", "ab");
    let lens = FittedLens::new(LensKind::Jacobian, maps).with_record(record);
    let halves = TokenGroups::new("half", ["first", "second"], &windows(), |_, position| Some(position / 6));
    let study = Study::new(&model).by_tokens(halves.unwrap()).add(LensCurves::new(lens.clone()));
    let findings = study.add(EarlyGuesses::new(lens)).run(&windows()).unwrap();
    let curve = findings.curve("jacobian_lens_kl").unwrap();
    assert!(curve.mean[0].is_nan() && curve.mean[1..].iter().all(|x| x.is_finite()), "{:?}", curve.mean);
    assert!(findings.matrix("jacobian_lens_kl_by_half").unwrap().values[0].iter().all(|x| x.is_nan()));
    for name in ["jacobian_lens_kl", "jacobian_lens_first_agreement", "jacobian_lens_guess_frequency"] {
        let curve = findings.curve(name).unwrap();
        assert!(curve.mean[0].is_nan() && curve.sem[0].is_none(), "{name}: {:?}", curve.mean);
        assert!(curve.sem[1].is_some() && curve.errors.is_some() && curve.n_windows() == Some(windows().n_sequences()));
    }
    let definition = curve.definition.as_ref().unwrap();
    assert!(
        definition.ends_with("The lens was fitted to small (SHA-256 ab) on 9 windows of 12 tokens"),
        "{definition}"
    );
    let record = |index| findings.interventions().iter().find(|it| it.index == Some(index)).unwrap();
    assert!(record(0).metrics.is_empty() && !record(1).metrics.is_empty());
}

#[test]
fn lenses_read_runs_under_interventions() {
    let model = Small::new(&device());
    let lens = || LensCurves::new(identity(&model, true));
    let edited = LayerPlan::full(3).edit(Edit::zero(Hook::MlpOut.at(1))).with_name("no mlp");
    let deleted = LayerPlan::full(3).delete(1).unwrap();
    let study = Study::new(&model).add(LogitLens).add(lens().under(edited.clone())).intervention(edited);
    let findings = study.add(lens().under(deleted)).run(&windows()).unwrap();
    let (clean, under) = (mean(&findings, "lens_kl"), mean(&findings, "affine_lens_under_no_mlp_kl"));
    assert_eq!(findings.curve("affine_lens_under_no_mlp_kl").unwrap().axis, Axis::residual_positions(3));
    // Up to the edit the streams are those of the unchanged model; the end is what the intervention does.
    assert!((0..2).all(|point| (clean[point] - under[point]).abs() < 1e-5), "{clean:?} and {under:?}");
    let whole = findings.interventions().iter().find(|it| it.sweep.is_none() && it.name == "no mlp").unwrap();
    assert_eq!(under[3], whole.metrics["kl"].mean);
    let slots = findings.curve("affine_lens_under_0-2_kl").unwrap();
    assert_eq!((slots.axis.name(), slots.len()), ("slot".to_owned(), 3));
    assert!((slots.mean[1] - clean[1]).abs() < 1e-5);
}

#[test]
fn early_guesses_end_with_the_model() {
    let model = Small::new(&device());
    let guesses = EarlyGuesses::new(LogitLens).with_lens(Arc::new(identity(&model, true)));
    let findings = Study::new(&model).add(LogitLens).add(guesses).run(&windows()).unwrap();
    let agreed = mean(&findings, "lens_first_agreement");
    assert!(agreed.is_sorted() && agreed[3] == 1.0, "{agreed:?}");
    assert_eq!(agreed, mean(&findings, "affine_lens_first_agreement"));
    assert!((agreed[0] - mean(&findings, "lens_top1_agreement")[0]).abs() < 1e-12, "at first they are the same");
    // A depth of l has not agreed at the l positions before.
    let depth = findings.value("lens_first_agreement_depth").unwrap().mean;
    assert!((depth - agreed.iter().map(|share| 1.0 - share).sum::<f64>()).abs() < 1e-12, "{depth}");
    let frequency = mean(&findings, "lens_guess_frequency");
    assert!(frequency.iter().all(|x| (0.0..1.0).contains(x)), "{frequency:?}");
}

/// The logit lens of the opposite stream, by its map or by its norm alone.
struct Opposite {
    by_norm: bool,
}

impl Lens for Opposite {
    fn name(&self) -> &str {
        if self.by_norm { "by_norm_lens" } else { "by_map_lens" }
    }

    fn stream(&self, _position: usize, rows: Tensor<2>) -> stratigraph_probes::Result<Tensor<2>> {
        Ok(if self.by_norm { rows } else { rows * -1.0 })
    }

    fn normed(&self, model: &dyn ResidualModel, rows: LensRows) -> stratigraph_probes::Result<Tensor<2>> {
        let normed = model.final_norm(self.stream(rows.position, rows.resid)?)?;
        Ok(if self.by_norm { normed * -1.0 } else { normed })
    }
}

#[test]
fn early_guesses_read_what_a_lens_gives_to_the_unembedding() {
    let model = Small::new(&device());
    let guesses = EarlyGuesses::new(LogitLens).with_lens(Arc::new(Opposite { by_norm: false }));
    let guesses = guesses.with_lens(Arc::new(Opposite { by_norm: true }));
    let findings = Study::new(&model).add(guesses).run(&windows()).unwrap();
    let frequency = |lens: &str| mean(&findings, &format!("{lens}_guess_frequency"));
    assert_eq!(frequency("by_norm_lens"), frequency("by_map_lens"));
    assert_ne!(frequency("by_norm_lens"), frequency("lens"));
}

#[test]
fn a_lens_of_another_model_is_refused() {
    let model = Small::new(&device());
    let lens = FittedLens::new(LensKind::Affine, [None, None]);
    let error = Study::new(&model).add(LensCurves::new(lens.clone())).run(&windows()).unwrap_err().to_string();
    assert!(error.contains("the affine lens is for a model of 2 layers"), "{error}");
    assert!(Study::new(&model).add(EarlyGuesses::new(lens)).run(&windows()).is_err());
}

#[test]
fn the_affine_lens_of_a_trained_model_is_closer_than_the_logit_lens_on_other_windows() {
    let checkpoint = Checkpoint::open(repository().join("models/tiny")).unwrap();
    let (model, tokenizer) = (checkpoint.load(&device()).unwrap(), checkpoint.tokenizer().unwrap());
    let text = std::fs::read(repository().join("examples/data/sample.txt")).unwrap();
    let all = tokenizer.windows(&text[..], 64, 96).unwrap();
    let n = all.n_sequences();
    assert!(n >= 64, "{n} windows");
    let to_fit = TokenWindows::new(&all.ids()[12 * 64..], 64).unwrap();
    let lens = fit_affine(&model, &to_fit, &AffineConfig::default(), |_| {}).unwrap();
    let study = Study::new(&model).add(LogitLens).add(LensCurves::new(lens));
    let findings = study.add(LensCurves::new(FixedScaleLens)).run(&all.take(12)).unwrap();
    let (logit, affine) = (mean(&findings, "lens_kl"), mean(&findings, "affine_lens_kl"));
    let n_layers = model.n_layers();
    assert!((0..n_layers).all(|position| affine[position] < logit[position]), "{logit:?} and {affine:?}");
    assert_eq!(affine[n_layers], 0.0);
    assert_eq!(mean(&findings, "fixed_scale_lens_kl")[n_layers], 0.0);
    // Early streams are short, so with one scale their predictions are nearly uniform.
    let entropy = mean(&findings, "fixed_scale_lens_entropy_bits")[0];
    assert!(entropy > mean(&findings, "lens_entropy_bits")[0], "{entropy}");
}
