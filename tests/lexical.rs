//! Measures of words: heads and neurons that were planted are found, probes know what there is to know and nothing else.

mod common;

use std::ops::Range;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use common::{device, devices, fixture};
use stratigraph::Experiment;
use stratigraph::core::{SplitMix64, Sublayer};
use stratigraph::prelude::*;
use stratigraph::probes::{
    ProbeError, SuffixTask, TokenClass, VocabularyDirections, WicOptions, WicPair, WicSentence, WicTokens, WordEnds,
    Words, class_association, ensembles, merging_heads, wic_accuracy,
};

/// The text of each token: parts of a word, a cue, words in -ing, others.
const TOKENS: [&str; 16] = [
    " un", "der", "stand", "able", " keeps", " going", " being", " seeing", " tree", " stone", " house", " river",
    " cloud", " field", " bread", " lamp",
];
const CUE: usize = 4;
const ING: Range<usize> = 5..8;
const WORD_END: usize = 3;

/// One layer with two heads and four neurons. Head 1 looks from the end of a long word to its earlier tokens, head 0 evenly
/// at everything; neuron 2 fires on the cue and writes the words in -ing, the others always fire and write one word each.
struct Planted {
    device: Device,
}

impl Planted {
    fn w_out(&self) -> Tensor<2> {
        let ing = |neuron: usize, token: usize| neuron == 2 && ING.contains(&token);
        let other = |neuron: usize, token: usize| neuron != 2 && token == 9 + neuron;
        let weight = |(neuron, token)| if ing(neuron, token) || other(neuron, token) { 3.0 } else { 0.0f32 };
        let entries = (0..4).flat_map(|neuron| (0..TOKENS.len()).map(move |token| (neuron, token)));
        Tensor::from_data(TensorData::new(entries.map(weight).collect(), [4, TOKENS.len()]), &self.device)
    }
}

impl ResidualModel for Planted {
    fn n_layers(&self) -> usize {
        1
    }

    fn d_model(&self) -> usize {
        TOKENS.len()
    }

    fn d_vocab(&self) -> usize {
        TOKENS.len()
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    /// Tokens are their own directions.
    fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        tokens.one_hot::<3>(TOKENS.len()).float()
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Tensor<3> {
        let [batch, pos, _] = resid.dims();
        let rows: Vec<f32> = resid.clone().try_into_vec_as().unwrap();
        let is = |row: usize, token: usize| rows[row * TOKENS.len() + token] == 1.0;
        if tap.wants(site, Hook::Pattern) {
            let mut pattern = vec![0.0f32; batch * 2 * pos * pos];
            for (row, query) in (0..batch * pos).map(|row| (row, row % pos)) {
                let of_head = |head: usize| ((row / pos * 2 + head) * pos + query) * pos;
                (0..=query).for_each(|key| pattern[of_head(0) + key] = 1.0 / (query + 1) as f32);
                let recent = if is(row, WORD_END) && query > 2 { query - 3..query } else { query..query + 1 };
                recent.clone().for_each(|key| pattern[of_head(1) + key] = 1.0 / recent.len() as f32);
            }
            tap.visit_pattern(site, Tensor::from_data(TensorData::new(pattern, [batch, 2, pos, pos]), &self.device));
        }
        let fires = (0..batch * pos).flat_map(|row| [1.0, 1.0, f32::from(u8::from(is(row, CUE))), 1.0]).collect();
        let post = Tensor::<3>::from_data(TensorData::new(fires, [batch, pos, 4]), &self.device);
        let post = if tap.wants(site, Hook::MlpPost) { tap.visit(site, Hook::MlpPost, post) } else { post };
        resid * 9.0 + post.matmul(self.w_out().unsqueeze())
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> Tensor<2> {
        // The cue is not followed by itself.
        let entry = |row, column| {
            if row != column {
                0.0
            } else if row == CUE {
                -20.0
            } else {
                1.0f32
            }
        };
        let entries = (0..TOKENS.len()).flat_map(|row| (0..TOKENS.len()).map(move |column| entry(row, column)));
        let weight = TensorData::new(entries.collect(), [TOKENS.len(), TOKENS.len()]);
        let weight = Tensor::<2>::from_data(weight, &self.device);
        normed.matmul(weight.slice_dim(1, vocab))
    }

    fn neuron_outputs(&self, _layer: usize) -> Option<Tensor<2>> {
        Some(self.w_out())
    }

    fn unembedding(&self, vocab: Range<usize>) -> Option<Tensor<2>> {
        Some(Tensor::<2>::eye(TOKENS.len(), &self.device).slice_dim(1, vocab))
    }

    fn hooks(&self) -> Vec<Hook> {
        vec![Hook::Pattern, Hook::MlpPost]
    }
}

/// A text of so many words, of which some are long and every one in -ing stands behind the cue.
fn words(n: usize) -> Words {
    let mut random = SplitMix64::new(5);
    let (mut text, mut tokens) = (String::new(), Vec::new());
    let mut write = |token: usize| {
        tokens.push((token as u32, text.len()..text.len() + TOKENS[token].len()));
        text.push_str(TOKENS[token]);
    };
    for _ in 0..n {
        match random.below(6) {
            0 => (0..=WORD_END).for_each(&mut write),
            1 => [CUE, ING.start + random.below(ING.len())].into_iter().for_each(&mut write),
            _ => write(8 + random.below(8)),
        }
    }
    Words::new(&text, tokens)
}

#[test]
fn a_planted_merging_head_is_found_and_no_other() {
    for (_, device) in devices() {
        let ends = WordEnds::find(&words(300), WordEnds::USUAL, 20, 0).unwrap();
        assert_eq!((ends.long.n_sequences(), ends.short.n_sequences(), ends.long.seq_len()), (20, 20, 16));
        assert!(ends.long.ids().chunks(16).all(|window| window[12..] == [0, 1, 2, 3]));
        let heads = merging_heads(&Planted { device }, &ends, 7, |_| {}).unwrap();
        let [even, planted] = &heads[0][..] else { panic!("two heads") };
        assert!((planted.in_words.mean - 1.0).abs() < 1e-6 && planted.elsewhere.mean == 0.0, "{planted:?}");
        assert!((planted.difference().mean - 1.0).abs() < 1e-6);
        let thirds = planted.row_in_words[12..].iter().zip([1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.0]);
        assert!(thirds.into_iter().all(|(found, expected)| (found - expected).abs() < 1e-6), "{planted:?}");
        assert!((even.in_words.mean - 3.0 / 16.0).abs() < 1e-6 && even.difference().mean.abs() < 1e-6, "{even:?}");
    }
}

#[test]
fn a_planted_neuron_is_picked_by_its_weights_and_right_by_its_activation() {
    for (_, device) in devices() {
        let model = Planted { device };
        let task = SuffixTask::find(&words(3000), "ing", SuffixTask::CONTEXT, 60, 1).unwrap();
        assert_eq!(task.answers().iter().filter(|answer| **answer).count(), 60, "half of 120");
        let last = task.windows().ids().chunks(SuffixTask::CONTEXT).map(|window| window[23] as usize == CUE);
        assert!(last.eq(task.answers().iter().copied()));
        let texts = TOKENS.map(str::to_owned);
        let found = ensembles(&model, &task, &texts, 3, |_| {}).unwrap();
        assert_eq!((found.neurons[0].layer, found.neurons[0].neuron), (0, 2));
        assert_eq!(found.neurons[0].accuracy.share(), 1.0);
        assert!(found.neurons[1..].iter().all(|neuron| neuron.accuracy.share() < 0.7), "{found:?}");
        assert_eq!(found.together.iter().map(|(k, _)| *k).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(found.together.iter().all(|(_, accuracy)| accuracy.share() == 1.0), "{found:?}");
        // The model expects a token behind itself, but a word in -ing behind the cue.
        let last = task.windows().ids().chunks(SuffixTask::CONTEXT).map(|window| window[23] as usize);
        let said = last.map(|token| token == CUE || ING.contains(&token));
        let right = said.zip(task.answers()).skip(60).filter(|(said, answer)| said == *answer).count();
        assert_eq!((found.model.some, found.model.of, found.n_fitted), (right, 60, 60));
    }
}

#[test]
fn association_is_the_difference_of_mean_cosines() {
    let model = Checkpoint::open(fixture("gpt2")).unwrap().load(&device()).unwrap();
    let belongs: Vec<bool> = (0..model.d_vocab()).map(|token| token % 7 == 2).collect();
    let directions = VocabularyDirections::of(&model, 50).unwrap();
    let found = class_association(&model, &directions, 1, &belongs).unwrap();
    for neuron in [0, 3, found.len() - 1] {
        let cosines = directions.cosines_of(model.neuron_outputs(1).unwrap().narrow(0, neuron, 1));
        let mean = |wanted: bool| {
            let chosen = cosines.iter().zip(&belongs).filter(|(_, belongs)| **belongs == wanted);
            let chosen: Vec<f64> = chosen.map(|(cosine, _)| f64::from(*cosine)).collect();
            chosen.iter().sum::<f64>() / chosen.len() as f64
        };
        assert!((found[neuron] - (mean(true) - mean(false))).abs() < 1e-5, "{neuron}");
    }
    let nobody = class_association(&model, &directions, 1, &vec![false; model.d_vocab()]);
    assert!(matches!(nobody, Err(ProbeError::TooFewWords { .. })));
}

#[test]
fn a_study_refuses_what_it_cannot_do_before_it_begins() {
    let windows = TokenWindows::new(&[0, 1, 2, 3], 4).unwrap();
    let planted = Planted { device: device() };
    let refused = |study: Study| study.run(&windows).unwrap_err().to_string();
    for experiment in [Experiment::Repeat(2), Experiment::Geometry, Experiment::DeleteHalf(Sublayer::Mlp)] {
        let message = refused(Study::new(&planted).experiments([experiment]));
        assert!(message.contains(&format!("`{experiment}` cannot be done")), "{message}");
    }
    let (model, train, test) = in_the_box();
    let long = WicPair {
        sentences: ["is", "was"]
            .map(|verb| WicSentence { text: format!("it {verb} {}", "far ".repeat(200)), word: 0..2 }),
        same: true,
    };
    let encode = |text: &str| Ok::<_, stratigraph::Error>((0..text.len()).map(|at| (1, at..at + 1)).collect());
    let long = WicTokens::new(&[long], encode).unwrap();
    assert!(refused(Study::new(&model).wic(train.clone(), long)).contains("longer than the model's context of 128"));
    assert!(refused(Study::new(&model).wic(train.take(1), test)).contains("there are 1 pairs to fit to"));
    let ends = WordEnds::find(&words(300), WordEnds::USUAL, 20, 0).unwrap();
    let closed = Overflowing(model);
    assert!(refused(Study::new(&closed).merging_heads(ends)).contains("attn.hook_pattern"));
}

#[test]
fn texts_with_too_few_words_of_a_kind_are_refused() {
    let (few, word) = (words(20), |kind: &str, message: String| assert!(message.contains(kind), "{message}"));
    word("of 9 tokens", WordEnds::find(&few, (9, 16), 20, 0).unwrap_err().to_string());
    word("end in -ing", SuffixTask::find(&few, "ing", 24, 20, 0).unwrap_err().to_string());
    assert!(TokenClass::Suffix("ing".into()).contains(TOKENS[5]));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The model in the box and its pairs.
fn in_the_box() -> (Decoder, WicTokens, WicTokens) {
    let checkpoint = Checkpoint::open(root().join("models/tiny")).unwrap();
    let tokenizer = checkpoint.tokenizer().unwrap();
    let part = |name: &str| {
        let encode = |text: &str| Ok::<_, stratigraph::Error>(tokenizer.encode_with_offsets(text)?);
        WicTokens::new(&WicPair::read(&root().join("examples/data/wic"), name).unwrap(), encode).unwrap()
    };
    (checkpoint.load(&device()).unwrap(), part("train"), part("dev"))
}

#[test]
fn probes_for_a_words_sense_do_not_depend_on_how_much_is_held_at_once() {
    let (model, train, test) = in_the_box();
    let (train, test) = (train.take(60), test.take(30));
    let options = WicOptions { strengths: vec![100.0], folds: 3, ..WicOptions::default() };
    let all = wic_accuracy(&model, (&train, &test), &options, |_| {}).unwrap();
    assert_eq!(all.places.len(), 13);
    let little = WicOptions { bytes: 180 * 128 * 4 * 5, ..options };
    let mut heard = 0.0;
    assert_eq!(wic_accuracy(&model, (&train, &test), &little, |done| heard = done).unwrap(), all);
    assert_eq!(heard, 1.0);
}

#[test]
fn what_probes_cannot_learn_from_is_refused() {
    let (model, train, test) = in_the_box();
    let look = |model: &dyn ResidualModel, train: WicTokens, test: WicTokens| {
        wic_accuracy(model, (&train, &test), &WicOptions::default(), |_| {}).unwrap_err().to_string()
    };
    let few = look(&model, train.clone().take(4), test.clone());
    assert_eq!(few, "there are 4 pairs to fit to and 132 to ask about; it takes 5 and 1 at least");
    assert!(look(&model, train.clone(), test.clone().take(0)).contains("0 to ask about"));
    let broken = look(&Overflowing(model), train.take(10), test.take(2));
    assert!(broken.contains("the residual stream at place 1 is not finite in window or sentence 0"), "{broken}");
}

/// A model whose first layer leaves the range of f32.
struct Overflowing(Decoder);

impl ResidualModel for Overflowing {
    fn n_layers(&self) -> usize {
        1
    }

    fn d_model(&self) -> usize {
        self.0.d_model()
    }

    fn d_vocab(&self) -> usize {
        self.0.d_vocab()
    }

    fn device(&self) -> Device {
        self.0.device()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.0.embed(tokens)
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Tensor<3> {
        let resid = if tap.wants(site, Hook::ResidPre) { tap.visit(site, Hook::ResidPre, resid) } else { resid };
        resid * f32::MAX * f32::MAX
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> Tensor<2> {
        self.0.unembed(normed, vocab)
    }

    fn hooks(&self) -> Vec<Hook> {
        vec![Hook::ResidPre]
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
        WicPair { sentences: [sentence(forms[0], ENDS[i % 5]), sentence(other, ENDS[i / 7 % 5])], same }
    };
    (first..first + n).map(pair).collect()
}

#[test]
fn a_probe_of_shuffled_answers_is_at_chance_and_a_probe_of_planted_ones_is_right() {
    let (model, train, test) = in_the_box();
    let options = WicOptions { strengths: vec![30.0, 1000.0], folds: 3, ..WicOptions::default() };
    let shares = |train: &WicTokens, test: &WicTokens| -> Vec<f64> {
        let found = wic_accuracy(&model, (train, test), &options, |_| {}).unwrap();
        found.places.iter().map(|probe| probe.accuracy().share()).collect()
    };
    let shuffled: Vec<f64> =
        (0..3).flat_map(|seed| shares(&train.clone().with_shuffled_answers(seed), &test)).collect();
    let chance = shuffled.iter().sum::<f64>() / shuffled.len() as f64;
    assert!((chance - 0.5).abs() < 0.05, "{chance}");
    let tokenizer = Tokenizer::from_file(root().join("models/tiny/tokenizer.json")).unwrap();
    let encode = |text: &str| Ok::<_, stratigraph::Error>(tokenizer.encode_with_offsets(text)?);
    let [train, test] =
        [(120, 0), (60, 120)].map(|(n, first)| WicTokens::new(&told_by_form(n, first), encode).unwrap());
    let planted = shares(&train, &test);
    assert!(planted.iter().all(|share| *share > 0.9), "{planted:?}");
}
