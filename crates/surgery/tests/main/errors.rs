//! What cannot be run is refused: before the run where the model and the windows show it, at the run where only values do.

use burn::tensor::{Device, Int, Tensor};
use stratigraph_core::{
    ActivationCache, CoreError, Edit, EditKind, EditTap, Hook, HookSet, ModelShape, NoTap, Positions, ResidualModel,
    Result as CoreResult, RunModel, Site, Tap, TokenWindows,
};
use stratigraph_models::Decoder;
use stratigraph_surgery::{Budget, Executor, Intervention, LayerPlan, Step, SurgeryError};
use stratigraph_testing::device;

use crate::support::{Keep, SEQ_LEN, load, windows};

/// The error of getting ready to run, which happens before any block runs.
fn refused(model: &dyn ResidualModel, intervention: impl Into<Intervention>, windows: &TokenWindows) -> SurgeryError {
    let executor = Executor::new([intervention]);
    let refused = executor.prepare(model, windows, windows.n_sequences()).map(|_| ()).unwrap_err();
    if !matches!(refused, SurgeryError::NothingToResample) && !executor.interventions()[0].needs_corpus() {
        let alone = executor.interventions()[0].run(model, windows).map(|_| ());
        assert_eq!(alone, Err(refused.clone()), "an intervention alone is refused for the same reason");
    }
    refused
}

/// The error of a run that could begin.
fn failed(model: &dyn ResidualModel, edit: Edit, windows: &TokenWindows) -> SurgeryError {
    let executor = Executor::new([Intervention::none(model.n_layers()).edit(edit)]);
    let mut prepared = executor.prepare(model, windows, windows.n_sequences()).unwrap();
    prepared.run(0..windows.n_sequences(), &mut Keep::default()).unwrap_err()
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let model = load("llama-gqa", &device());
    let run = |plan: &str, bytes: usize, windows: &TokenWindows| {
        let executor = Executor::new([plan.parse::<Intervention>().unwrap()]);
        executor.with_budget(Budget { bytes, ..Budget::default() }).run(&model, windows, &mut Keep::default())
    };
    let fine = windows(&model, 1, SEQ_LEN);
    assert_eq!(run("0-3", 1 << 30, &fine), Err(CoreError::LayerOutOfRange { layer: 3, n_layers: 3 }.into()));
    assert!(matches!(run("0-1", 1000, &fine), Err(SurgeryError::BudgetTooSmall { budget: 1000, .. })));
    assert_eq!(run("0", 1 << 30, &fine.clone().take(0)), Err(CoreError::NoWindows.into()));
    let long = windows(&model, 1, 129);
    assert_eq!(run("0", 1 << 30, &long), Err(CoreError::WindowTooLong { seq_len: 129, n_ctx: 128 }.into()));
    let foreign = TokenWindows::new(&[1, 300], 2).unwrap();
    assert_eq!(run("0", 1 << 30, &foreign), Err(CoreError::TokenOutOfRange { id: 300, d_vocab: 300 }.into()));
    let nothing = Executor::new(Vec::<LayerPlan>::new()).run(&model, &fine, &mut Keep::default());
    assert_eq!(nothing, Err(SurgeryError::NothingToRun));
}

#[test]
fn edits_that_never_fire_are_refused_before_the_run() {
    let model = load("llama-gqa", &device());
    let windows = windows(&model, 2, SEQ_LEN);
    let refused = |edit: Edit, reason: &str| {
        let text = refused(&model, Intervention::none(3).edit(edit), &windows).to_string();
        assert!(text.ends_with(&format!("cannot be made: {reason}")), "`{text}` does not say `{reason}`");
    };
    refused(Edit::zero(Hook::MlpOut.at(3)), "there is no block 3: 3 run, counted from 0");
    let none = "windows of 12 tokens have none of its positions, which count from 0";
    refused(Edit::skip_layer(0).with_positions(SEQ_LEN..), none);
    refused(Edit::zero(Hook::Z.at(1)).with_positions(Positions::only([12, 40])), none);
    let nowhere = Positions::mask("nowhere", vec![vec![false; SEQ_LEN]; 2]);
    refused(Edit::zero(Hook::Z.at(1)).with_positions(nowhere), none);
}

#[test]
fn edits_that_do_not_fit_the_model_are_refused_before_the_run() {
    let (model, parallel) = (load("llama-gqa", &device()), load("neox-parallel", &device()));
    let windows = windows(&model, 2, SEQ_LEN);
    let bad = |edit: Edit, part: &str| {
        let text = refused(&model, Intervention::none(3).edit(edit), &windows).to_string();
        assert!(text.contains("cannot be made") && text.contains(part), "`{text}` does not say `{part}`");
    };
    bad(Edit::zero(Hook::Z.at(1)).with_heads([4]), "there are 4 heads, 0 to 3");
    bad(Edit::zero(Hook::K.at(1)).with_heads([2]), "there are 2 heads, 0 to 1");
    bad(Edit::zero(Hook::Z.at(1)).with_heads([]), "it has no heads");
    bad(Edit::zero(Hook::MlpOut.at(1)).with_heads([0]), "this activation has no heads");
    bad(Edit::zero(Hook::MlpOut.at(1)).with_units([24]), "there are 24 units, 0 to 23");
    bad(Edit::zero(Hook::Pattern.at(1)).with_units([0]), "choose heads here, not units");
    bad(Edit::zero(Hook::LnFinalNormalized.at(0)), "it can be read, not edited");
    bad(Edit::new(Hook::Pattern.at(1), EditKind::MaskDistances(1..=2)), "keys are masked at attn.hook_attn_scores");
    bad(Edit::mask_distances(1, 0..=2), "distances begin at 1");
    bad(Edit::new(Hook::MlpOut.at(1), EditKind::SkipLayer), "a layer is skipped at hook_resid_post");
    bad(Edit::scale(Hook::MlpOut.at(1), f64::NAN), "the factor is not finite");
    bad(Edit::patch(Hook::Z.at(1), Tensor::<3>::zeros([1, 12, 24], &device())), "as many axes");
    let other_shape = "and the activation has [windows, 12, 24]; an axis of length 1 serves all";
    for dims in [[1, SEQ_LEN - 1, 24], [1, 1, 25], [2, SEQ_LEN, 23]] {
        bad(Edit::patch(Hook::MlpOut.at(1), Tensor::<3>::zeros(dims, &device())), other_shape);
        bad(Edit::add(Hook::MlpOut.at(1), Tensor::<3>::zeros(dims, &device())).with_positions(1..), other_shape);
    }
    let windows = TokenWindows::new(&[0, 1, 2, 3], 4).unwrap();
    let missing = refused(&parallel, Intervention::none(3).edit(Edit::zero(Hook::ResidMid.at(1))), &windows);
    assert_eq!(missing, CoreError::HookMissing { hook: Hook::ResidMid }.into());
}

#[test]
fn edits_of_slots_that_hold_no_single_layer_are_refused() {
    let model = load("llama-gqa", &device());
    let windows = windows(&model, 2, SEQ_LEN);
    let plan: LayerPlan = "0-(1+2)".parse().unwrap();
    let step = Step::Parallel(vec![1, 2]);
    let of_shared = refused(&model, plan.edit(Edit::zero(Hook::MlpOut.at(1))), &windows);
    assert_eq!(of_shared, SurgeryError::NotAWholeLayer { slot: 1, step });
    let of_none = refused(&model, LayerPlan::full(0).edit(Edit::zero(Hook::MlpOut.at(0))), &windows);
    assert!(of_none.to_string().ends_with("there is no block 0: 0 run, counted from 0"), "{of_none}");
}

#[test]
fn values_that_do_not_fit_end_the_run() {
    let model = load("llama-gqa", &device());
    let windows = windows(&model, 3, SEQ_LEN);
    let (device, d_model) = (device(), model.d_model());
    let point = Hook::MlpOut.at(1);
    let custom = Edit::custom(point, "halved", |x, _| Ok(x.wide(Hook::MlpOut.at(1))?.narrow(1, 0, 1).into()));
    let changed = |edit: Edit| match failed(&model, edit, &windows) {
        SurgeryError::Core(CoreError::ShapeChanged { before, after, .. }) => {
            assert!(before[1..] == [SEQ_LEN, d_model] && after != before, "{before:?} {after:?}");
        }
        other => panic!("{other:?}"),
    };
    changed(custom);
    let of_two = failed(&model, Edit::patch(point, Tensor::<3>::zeros([2, SEQ_LEN, d_model], &device)), &windows);
    assert!(of_two.to_string().contains("it has values for 2 windows, and window 2 runs"), "{of_two}");
}

#[test]
fn what_an_ablation_lacks_is_said() {
    let model = load("llama-gqa", &device());
    let intervention: Intervention = "0..3 | blocks.1.hook_mlp_out resample".parse().unwrap();
    let alone = windows(&model, 1, SEQ_LEN);
    assert_eq!(refused(&model, intervention.clone(), &alone), SurgeryError::NothingToResample);
    let no_corpus = intervention.run(&model, &alone).map(|_| ()).unwrap_err().to_string();
    assert!(no_corpus.contains("`blocks.1.hook_mlp_out resample`"), "{no_corpus}");
    assert!(no_corpus.contains("its values come from another run, and this run has none"), "{no_corpus}");
}

#[test]
fn a_tap_can_be_used_again_and_is_checked_again() {
    let model = load("llama-gqa", &device());
    let windows = windows(&model, 1, SEQ_LEN);
    let tokens = || windows.batch(0..1, &device());
    let edits = [Edit::custom(Hook::MlpOut.at(2), "same", |out, _| Ok(out))];
    let mut tap = EditTap::new(&edits, vec![0]);
    assert!(LayerPlan::full(3).run(&model, tokens(), &mut tap).is_ok());
    let never = SurgeryError::from(CoreError::EditNeverFired { point: Hook::MlpOut.at(2) });
    assert_eq!(LayerPlan::full(2).run(&model, tokens(), &mut tap).map(|_| ()), Err(never));
    let beyond = [Edit::custom(Hook::MlpOut.at(3), "same", |out, _| Ok(out))];
    let straight = model.forward(tokens(), &mut EditTap::new(&beyond, vec![0])).map(|_| ());
    assert_eq!(straight, Err(CoreError::EditNeverFired { point: Hook::MlpOut.at(3) }));
}

/// A decoder that offers no hooks.
struct Closed(Decoder);

impl ResidualModel for Closed {
    fn shape(&self) -> ModelShape {
        self.0.shape().with_hooks(HookSet::EMPTY)
    }

    fn device(&self) -> Device {
        self.0.device()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> CoreResult<Tensor<3>> {
        self.0.embed(tokens)
    }

    fn block(&self, site: Site, resid: Tensor<3>, _: &mut dyn Tap) -> CoreResult<Tensor<3>> {
        self.0.block(site, resid, &mut NoTap)
    }

    fn final_norm(&self, rows: Tensor<2>) -> CoreResult<Tensor<2>> {
        self.0.final_norm(rows)
    }

    fn unembed(&self, normed: Tensor<2>, vocab: std::ops::Range<usize>) -> CoreResult<Tensor<2>> {
        self.0.unembed(normed, vocab)
    }
}

#[test]
fn hooks_that_a_model_or_a_plan_does_not_have_are_errors() {
    let device = device();
    let (open, closed) = (load("llama-gqa", &device), Closed(load("llama-gqa", &device)));
    let windows = windows(&open, 1, SEQ_LEN);
    let run = |model: &dyn ResidualModel, plan: &str, tap: &mut dyn Tap| {
        plan.parse::<LayerPlan>().unwrap().run(model, windows.batch(0..1, &device), tap).map(|_| ())
    };
    assert_eq!(run(&closed, "0-1-2", &mut NoTap), Ok(()));
    let mut cache = ActivationCache::at([Hook::Pattern]);
    assert_eq!(run(&closed, "0-1-2", &mut cache), Err(CoreError::HookMissing { hook: Hook::Pattern }.into()));
    let edited = Intervention::none(3).edit(Edit::zero(Hook::MlpOut.at(1)));
    assert_eq!(refused(&closed, edited, &windows), CoreError::HookMissing { hook: Hook::MlpOut }.into());
    let averaged = Intervention::none(3).edit(Edit::mean(Hook::MlpOut.at(1)));
    assert_eq!(refused(&closed, averaged, &windows), CoreError::HookMissing { hook: Hook::MlpOut }.into());
    assert_eq!(run(&open, "0-(1+2)", &mut NoTap), Ok(()));
    let refused = run(&open, "0-(1+2)", &mut cache).unwrap_err();
    assert_eq!(refused.to_string(), "a tap cannot tell apart the layers of `(1+2)`, which share slot 1");
}
