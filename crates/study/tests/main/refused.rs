//! What a study cannot do with a model or its data is refused before it begins.

use burn::tensor::Tensor;
use stratigraph_core::{
    CoreError, EditKind, Hook, ModelShape, ResidualModel, Result as CoreResult, Site, Sublayer, Tap, TokenSpan,
    TokenWindows, visit,
};
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_probes::ProbeError;
use stratigraph_probes::lexical::{WicPair, WicSentence, WicSplit, WicTokens, WordEnds};
use stratigraph_probes::metrics::{Metric, RowStatistics};
use stratigraph_study::measurements::{
    ActivationPatching, EncodedPairs, MergingHeads, ResidualGeometry, TokenPair, VocabularyNeurons, WordInContext,
};
use stratigraph_study::{Measurement, Study};
use stratigraph_surgery::Sweep;
use stratigraph_testing::{device, fixture, repository};

/// One layer of a decoder, of which it shows what enters it and no more.
struct Closed(Decoder);

impl ResidualModel for Closed {
    rest_of!(0: device embed final_norm unembed);

    fn shape(&self) -> ModelShape {
        self.0.shape().with_n_layers(1).with_hooks([Hook::ResidPre])
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> CoreResult<Tensor<3>> {
        visit(tap, site, Hook::ResidPre, resid)
    }
}

fn in_the_box() -> Decoder {
    Checkpoint::open(repository().join("models/tiny")).unwrap().load(&device()).unwrap()
}

/// The error of a study, which has not run a step.
fn refused(model: &dyn ResidualModel, measurement: impl Measurement) -> String {
    let windows = TokenWindows::new(&[0, 1, 2, 3], 4).unwrap();
    let mut progressed = false;
    let study = Study::new(model).add(measurement).on_progress(|_| progressed = true);
    let message = study.run(&windows).unwrap_err().to_string();
    assert!(!progressed, "{message}");
    message
}

#[test]
fn what_a_model_does_not_have_is_named() {
    let closed = Closed(in_the_box());
    let says = |message: String, parts: &[&str]| assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    says(refused(&closed, Sweep::repeat(2)), &["repeat_2 has no point on a model of 1 layers"]);
    says(refused(&closed, Sweep::swap()), &["swap has no point on a model of 1 layers"]);
    says(
        refused(&closed, Sweep::sublayers(Sublayer::Mlp, EditKind::Zero)),
        &["does not offer the hook `hook_mlp_out`"],
    );
    says(refused(&closed, ResidualGeometry::default()), &["cannot measure geometry", "hook_attn_out"]);
    says(refused(&closed, VocabularyNeurons), &["cannot measure neurons", "access to its weights"]);
    let wic = WordInContext::new(WicSplit { train: pairs(10, 8), test: pairs(2, 8) });
    says(refused(&closed, wic), &["cannot measure wic", "hook_resid_post"]);
    let pairs = EncodedPairs::new(vec![TokenPair::new(vec![1, 2], vec![3, 2], 4, 5)]).unwrap();
    let patching = ActivationPatching::new(pairs);
    says(refused(&closed, patching.clone()), &["cannot measure patching", "does not offer the hook `attn.hook_z`"]);
    let outside = patching.clone().with_hooks([Hook::ResidPre, Hook::LnFinalNormalized]);
    says(refused(&closed, outside), &["`ln_final.hook_normalized` is outside the layers"]);
    says(refused(&closed, patching.clone().with_hooks([])), &["there is no hook or no direction to patch"]);
    let never = patching.with_hooks([Hook::ResidPre]).with_least_difference(0.0);
    says(refused(&closed, never), &["the least difference of a pair's prompts has to be above 0, and it is 0"]);
    let none = ActivationPatching::new(EncodedPairs::default()).with_hooks([Hook::ResidPre]);
    says(refused(&closed, none), &["there are no pairs of prompts"]);
    let windows = TokenWindows::new(&(0..32).collect::<Vec<_>>(), 16).unwrap();
    let ends = WordEnds { word_len: 4, multi_token: windows.clone(), single_token: windows };
    says(refused(&closed, MergingHeads::new(ends)), &["cannot measure merging_heads", "attn.hook_pattern"]);
}

/// A window of one token has no prediction to score, and none after the first position to change: there are no such windows, and
/// two tokens are enough for everything that the paper does.
#[test]
fn the_shortest_windows_have_two_tokens() {
    for refused in [TokenWindows::new(&[1, 2, 3], 1), TokenWindows::starting_at(&[1, 2, 3], 1, &[0, 2])] {
        assert_eq!(refused, Err(CoreError::WindowTooShort { seq_len: 1 }));
    }
    let windows = TokenWindows::new(&[1, 2, 3, 4, 5, 6], 2).unwrap();
    assert_eq!(
        (windows.clone().take(2).seq_len(), windows.clone().take(0).check(&in_the_box())),
        (2, Err(CoreError::NoWindows))
    );
    let model = Checkpoint::open(fixture("llama-gqa")).unwrap().load(&device()).unwrap();
    let findings = Study::paper(&model).run(&windows).unwrap();
    assert!(findings.curve("delete_after_first_kl").unwrap().mean.iter().all(|kl| *kl > 0.0));
    findings.into_profile().check().unwrap();
}

/// Pairs of sentences of `n` tokens, one for each byte.
fn pairs(n_pairs: usize, n: usize) -> WicTokens {
    let sentence = || WicSentence { text: "a".repeat(n), word: 0..2 };
    let pair = WicPair { word: "a".to_owned(), sentences: [sentence(), sentence()], same: true };
    let encode = |text: &str| Ok::<_, ProbeError>((0..text.len()).map(|at| TokenSpan::new(1, at..at + 1)).collect());
    WicTokens::new(&vec![pair; n_pairs], encode).unwrap()
}

#[test]
fn sentences_that_do_not_fit_and_too_few_of_them_are_refused() {
    let model = in_the_box();
    let wic = |train: WicTokens, test: WicTokens| WordInContext::new(WicSplit { train, test });
    let long = refused(&model, wic(pairs(10, 8), pairs(2, 810)));
    assert!(long.contains("longer than the model's context of 128"), "{long}");
    let few = refused(&model, wic(pairs(1, 8), pairs(2, 8)));
    assert!(few.contains("there are 1 training pairs"), "{few}");
}

/// A metric that has no value anywhere.
struct Undefined;

impl Metric for Undefined {
    fn name(&self) -> &str {
        "undefined"
    }

    fn unit(&self) -> &str {
        "nats"
    }

    fn of_row(&self, _: &RowStatistics) -> Option<f64> {
        None
    }
}

#[test]
fn a_metric_without_values_is_an_error() {
    let windows = TokenWindows::new(&[0, 1, 2, 3], 4).unwrap();
    let error = Study::new(&in_the_box()).metric(Undefined).run(&windows).unwrap_err().to_string();
    assert!(error.contains("the metric `undefined` has no value at any position"), "{error}");
}
