//! Probes for a word's sense: they know what there is to know and nothing else, and say what they cannot learn from.

use std::ops::Range;

use approx::abs_diff_eq;
use burn::tensor::{Device, Int, Tensor};
use stratigraph_core::{Hook, ModelShape, ResidualModel, Result as CoreResult, Site, Tap, visit};
use stratigraph_models::{Checkpoint, Decoder, Tokenizer};
use stratigraph_probes::ProbeError;
use stratigraph_probes::lexical::{WicOptions, WicPair, WicSentence, WicSplit, WicTokens, wic_accuracy};
use stratigraph_testing::{device, repository};

fn tokens(pairs: &[WicPair], tokenizer: &Tokenizer) -> WicTokens {
    let encode = |text: &str| Ok::<_, ProbeError>(tokenizer.encode_with_offsets(text).unwrap());
    WicTokens::new(pairs, encode).unwrap()
}

/// The model in the box and its pairs.
fn in_the_box() -> (Decoder, WicSplit) {
    let checkpoint = Checkpoint::open(repository().join("models/tiny")).unwrap();
    let tokenizer = checkpoint.tokenizer().unwrap();
    let pairs = |part: &str| WicPair::read(&repository().join("examples/data/wic"), part).unwrap();
    let [train, test] = ["train", "dev"].map(|part| tokens(&pairs(part), &tokenizer));
    (checkpoint.load(&device()).unwrap(), WicSplit { train, test })
}

#[test]
fn probes_for_a_words_sense_do_not_depend_on_how_much_is_held_at_once() {
    let (model, WicSplit { train, test }) = in_the_box();
    let split = WicSplit { train: train.take(60), test: test.take(30) };
    let options = WicOptions { strengths: vec![100.0], folds: 3, ..WicOptions::default() };
    let all = wic_accuracy(&model, &split, &options, |_| {}).unwrap();
    assert_eq!(all.residual.len(), 13);
    let little = WicOptions { bytes: 180 * 128 * 4 * 5, ..options };
    let mut heard = 0.0;
    assert_eq!(wic_accuracy(&model, &split, &little, |done| heard = done).unwrap(), all);
    assert_eq!(heard, 1.0);
}

#[test]
fn what_probes_cannot_learn_from_is_refused() {
    let (model, WicSplit { train, test }) = in_the_box();
    let look = |model: &dyn ResidualModel, train: WicTokens, test: WicTokens| {
        wic_accuracy(model, &WicSplit { train, test }, &WicOptions::default(), |_| {}).unwrap_err().to_string()
    };
    let few = look(&model, train.clone().take(4), test.clone());
    assert_eq!(few, "there are 4 training pairs and 132 test pairs; at least 5 and 1 are needed");
    assert!(look(&model, train.clone(), test.clone().take(0)).contains("0 test pairs"));
    let broken = look(&Overflowing(model), train.take(10), test.take(2));
    assert!(broken.contains("the residual stream at position 1 is not finite in window or sentence 0"), "{broken}");
}

/// A model whose first layer leaves the range of f32.
struct Overflowing(Decoder);

impl ResidualModel for Overflowing {
    fn shape(&self) -> ModelShape {
        self.0.shape().with_n_layers(1).with_hooks([Hook::ResidPre, Hook::ResidPost])
    }

    fn device(&self) -> Device {
        self.0.device()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> CoreResult<Tensor<3>> {
        self.0.embed(tokens)
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> CoreResult<Tensor<3>> {
        let resid = visit(tap, site, Hook::ResidPre, resid)? * f32::MAX * f32::MAX;
        visit(tap, site, Hook::ResidPost, resid)
    }

    fn final_norm(&self, rows: Tensor<2>) -> CoreResult<Tensor<2>> {
        self.0.final_norm(rows)
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> CoreResult<Tensor<2>> {
        self.0.unembed(normed, vocab)
    }
}

/// Pairs in which a word has one sense just when it stands in one form.
fn told_by_form(n: usize, first: usize) -> Vec<WicPair> {
    const FORMS: [[&str; 2]; 6] = [
        ["house", "houses"],
        ["rule", "rules"],
        ["state", "states"],
        ["hand", "hands"],
        ["year", "years"],
        ["word", "words"],
    ];
    const ENDS: [&str; 5] = ["is old", "of the people", "was here", "in the end", "and more"];
    let sentence = |form: &str, end: &str| {
        let text = format!("The {form} {end} .");
        WicSentence { word: 4..4 + form.len(), text }
    };
    let pair = |i: usize| {
        let (forms, same) = (FORMS[i % 6], (i / 6).is_multiple_of(2));
        let other = if same { forms[0] } else { forms[1] };
        let sentences = [sentence(forms[0], ENDS[i % 5]), sentence(other, ENDS[i / 7 % 5])];
        WicPair { word: forms[0].to_owned(), sentences, same }
    };
    (first..first + n).map(pair).collect()
}

#[test]
fn a_probe_of_shuffled_answers_is_at_chance_and_a_probe_of_planted_ones_is_right() {
    let (model, split) = in_the_box();
    let options = WicOptions { strengths: vec![30.0, 1000.0], folds: 3, ..WicOptions::default() };
    let shares = |split: &WicSplit| -> Vec<f64> {
        let found = wic_accuracy(&model, split, &options, |_| {}).unwrap();
        found.residual.iter().map(|probe| probe.accuracy().share()).collect()
    };
    let shuffled = |seed: u64| {
        let WicSplit { train, test } = split.clone();
        shares(&WicSplit { train: train.with_shuffled_answers(seed), test })
    };
    let shuffled: Vec<f64> = (0..3).flat_map(shuffled).collect();
    let chance = shuffled.iter().sum::<f64>() / shuffled.len() as f64;
    assert!(abs_diff_eq!(chance, 0.5, epsilon = 0.05), "{chance}");
    let tokenizer = Tokenizer::from_file(repository().join("models/tiny/tokenizer.json")).unwrap();
    let [train, test] = [(120, 0), (60, 120)].map(|(n, first)| tokens(&told_by_form(n, first), &tokenizer));
    let planted = shares(&WicSplit { train, test });
    assert!(planted.iter().all(|share| *share > 0.9), "{planted:?}");
}
