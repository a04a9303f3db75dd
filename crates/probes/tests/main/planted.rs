//! Heads and neurons that were planted in a model are found, and no others; texts without the words for it are refused.

use std::ops::Range;

use approx::abs_diff_eq;
use burn::tensor::{Device, Int, Tensor, TensorData};
use stratigraph_core::{
    Hook, ModelShape, ModelWeights, ResidualModel, Result as CoreResult, Site, SplitMix64, Tap, TokenSpan, visit,
    visit_heads,
};
use stratigraph_probes::lexical::{SuffixTask, WordEndOptions, WordEnds, Words, ensembles, merging_heads};
use stratigraph_probes::neurons::TokenClass;
use stratigraph_testing::{TestDevice, devices, host};

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
    fn out(&self) -> Tensor<2> {
        let ing = |neuron: usize, token: usize| neuron == 2 && ING.contains(&token);
        let other = |neuron: usize, token: usize| neuron != 2 && token == 9 + neuron;
        let weight = |(neuron, token)| if ing(neuron, token) || other(neuron, token) { 3.0 } else { 0.0f32 };
        let entries = (0..4).flat_map(|neuron| (0..TOKENS.len()).map(move |token| (neuron, token)));
        Tensor::from_data(TensorData::new(entries.map(weight).collect(), [4, TOKENS.len()]), &self.device)
    }

    /// What each head looks at, in windows of tokens that are still their own directions, `[batch, 2, query, key]`.
    fn pattern(&self, is: &dyn Fn(usize, usize) -> bool, [batch, pos]: [usize; 2]) -> Tensor<4> {
        let mut pattern = vec![0.0f32; batch * 2 * pos * pos];
        for (row, query) in (0..batch * pos).map(|row| (row, row % pos)) {
            let of_head = |head: usize| ((row / pos * 2 + head) * pos + query) * pos;
            (0..=query).for_each(|key| pattern[of_head(0) + key] = 1.0 / (query + 1) as f32);
            let recent = if is(row, WORD_END) && query > 2 { query - 3..query } else { query..query + 1 };
            recent.clone().for_each(|key| pattern[of_head(1) + key] = 1.0 / recent.len() as f32);
        }
        Tensor::from_data(TensorData::new(pattern, [batch, 2, pos, pos]), &self.device)
    }
}

impl ResidualModel for Planted {
    fn shape(&self) -> ModelShape {
        let hooks = [Hook::Pattern, Hook::MlpPost];
        ModelShape::new(1, TOKENS.len(), TOKENS.len()).with_heads(2, 2, 1).with_d_mlp(4).with_hooks(hooks)
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    /// Tokens are their own directions.
    fn embed(&self, tokens: Tensor<2, Int>) -> CoreResult<Tensor<3>> {
        Ok(tokens.one_hot::<3>(TOKENS.len()).float())
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> CoreResult<Tensor<3>> {
        let [batch, pos, _] = resid.dims();
        let rows: Vec<f32> = host(resid.clone());
        let is = |row: usize, token: usize| rows[row * TOKENS.len() + token] == 1.0;
        if tap.wants(site, Hook::Pattern) {
            visit_heads(tap, site, Hook::Pattern, self.pattern(&is, [batch, pos]))?;
        }
        let fires = (0..batch * pos).flat_map(|row| [1.0, 1.0, f32::from(u8::from(is(row, CUE))), 1.0]).collect();
        let post = Tensor::<3>::from_data(TensorData::new(fires, [batch, pos, 4]), &self.device);
        let post = visit(tap, site, Hook::MlpPost, post)?;
        Ok(resid * 9.0 + post.matmul(self.out().unsqueeze()))
    }

    fn final_norm(&self, rows: Tensor<2>) -> CoreResult<Tensor<2>> {
        Ok(rows)
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> CoreResult<Tensor<2>> {
        // The cue is not followed by itself.
        let entry = |row, column| match row == column {
            false => 0.0,
            true if row == CUE => -20.0,
            true => 1.0f32,
        };
        let entries = (0..TOKENS.len()).flat_map(|row| (0..TOKENS.len()).map(move |column| entry(row, column)));
        let weight = TensorData::new(entries.collect(), [TOKENS.len(), TOKENS.len()]);
        let weight = Tensor::<2>::from_data(weight, &self.device);
        Ok(normed.matmul(weight.slice_dim(1, vocab)))
    }

    fn weights(&self) -> Option<&dyn ModelWeights> {
        Some(self)
    }
}

impl ModelWeights for Planted {
    fn w_out(&self, _layer: usize) -> CoreResult<Tensor<2>> {
        Ok(self.out())
    }

    fn w_u(&self, vocab: Range<usize>) -> CoreResult<Tensor<2>> {
        Ok(Tensor::<2>::eye(TOKENS.len(), &self.device).slice_dim(1, vocab))
    }

    fn final_norm_is_centered(&self) -> bool {
        false
    }
}

/// A text of `n` words; some are long, and each one in -ing follows the cue.
fn words(n: usize) -> Words {
    let mut random = SplitMix64::new(5);
    let (mut text, mut tokens) = (String::new(), Vec::new());
    let mut write = |token: usize| {
        tokens.push(TokenSpan::new(token as u32, text.len()..text.len() + TOKENS[token].len()));
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
    for TestDevice { device, .. } in devices() {
        let ends = WordEnds::find(&words(300), WordEndOptions::default().with_at_most(20)).unwrap();
        assert_eq!(
            (ends.multi_token.n_sequences(), ends.single_token.n_sequences(), ends.multi_token.seq_len()),
            (20, 20, 16)
        );
        assert!(ends.multi_token.ids().chunks(16).all(|window| window[12..] == [0, 1, 2, 3]));
        let heads = merging_heads(&Planted { device }, &ends, 7, |_| {}).unwrap();
        let [even, planted] = &heads[0][..] else { panic!("two heads") };
        assert!(
            abs_diff_eq!(planted.in_words.mean, 1.0, epsilon = 1e-6) && planted.elsewhere.mean == 0.0,
            "{planted:?}"
        );
        assert!(abs_diff_eq!(planted.difference().mean, 1.0, epsilon = 1e-6));
        let thirds = planted.row_in_words[12..].iter().zip([1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.0]);
        assert!(
            thirds.into_iter().all(|(found, expected)| abs_diff_eq!(*found, expected, epsilon = 1e-6)),
            "{planted:?}"
        );
        assert!(
            abs_diff_eq!(even.in_words.mean, 3.0 / 16.0, epsilon = 1e-6) && even.difference().mean.abs() < 1e-6,
            "{even:?}"
        );
    }
}

#[test]
fn a_planted_neuron_is_picked_by_its_weights_and_right_by_its_activation() {
    for TestDevice { device, .. } in devices() {
        let model = Planted { device };
        let task = SuffixTask::find(&words(3000), "ing", SuffixTask::CONTEXT, 60, 1).unwrap();
        assert_eq!(task.answers().iter().filter(|answer| **answer).count(), 60, "half of 120");
        let last = task.windows().ids().chunks(SuffixTask::CONTEXT).map(|window| window[23] as usize == CUE);
        assert!(last.eq(task.answers().iter().copied()));
        let texts = TOKENS.map(str::to_owned);
        let found = ensembles(&model, &task, &texts, 4, |_| {}).unwrap();
        assert_eq!((found.neurons[0].layer, found.neurons[0].neuron), (0, 2));
        // The others write one token of sixteen each, which is not in -ing: kurtosis 14.
        assert!(found.neurons[0].promotes() && !found.neurons[0].writes_few_tokens(), "{found:?}");
        assert!(found.neurons[1..].iter().all(|it| !it.promotes() && it.writes_few_tokens()), "{found:?}");
        let one = ensembles(&model, &task, &texts, 1, |_| {}).unwrap();
        assert!(one.neurons[0].writes_few_tokens(), "a kurtosis over 10 comes first: {one:?}");
        assert_eq!(found.neurons[0].accuracy.share(), 1.0);
        assert!(found.neurons[1..].iter().all(|neuron| neuron.accuracy.share() < 0.7), "{found:?}");
        assert_eq!(found.together.iter().map(|it| it.n_neurons).collect::<Vec<_>>(), [1, 2, 4]);
        assert!(found.together.iter().all(|it| it.accuracy.share() == 1.0), "{found:?}");
        // The model expects a token after itself, but a word in -ing after the cue.
        let last = task.windows().ids().chunks(SuffixTask::CONTEXT).map(|window| window[23] as usize);
        let said = last.map(|token| token == CUE || ING.contains(&token));
        let right = said.zip(task.answers()).skip(60).filter(|(said, answer)| said == *answer).count();
        assert_eq!((found.model.some, found.model.of, found.n_fitted), (right, 60, 60));
    }
}

#[test]
fn short_windows_begin_with_bos_where_it_is_given() {
    let bos = 15;
    let (plain, begun) = (words(300), words(300).with_bos(Some(bos)));
    let is_of_text = |text: &[u32]| plain.ids().windows(text.len()).any(|part| part == text);
    let ends = WordEnds::find(&begun, WordEndOptions::default().with_at_most(20)).unwrap();
    for windows in [&ends.multi_token, &ends.single_token] {
        assert_eq!((windows.n_sequences(), windows.seq_len(), windows.bos()), (20, 16, Some(bos)));
        assert!(windows.ids().chunks(16).all(|window| window[0] == bos && is_of_text(&window[1..])));
    }
    assert!(ends.multi_token.ids().chunks(16).all(|window| window[12..] == [0, 1, 2, 3]));
    let longest = WordEndOptions::default().with_seq_len(5).with_at_most(20);
    assert_eq!(WordEnds::find(&plain, longest).unwrap().multi_token.seq_len(), 5);
    let refused = WordEnds::find(&begun, longest).unwrap_err().to_string();
    assert!(refused.contains("a window is longer than BOS and the word it ends with"), "{refused}");
    let task = SuffixTask::find(&words(3000).with_bos(Some(bos)), "ing", SuffixTask::CONTEXT, 60, 1).unwrap();
    assert_eq!((task.windows().seq_len(), task.windows().bos()), (24, Some(bos)));
    let last = task.windows().ids().chunks(24).map(|window| window[23] as usize == CUE);
    assert!(last.eq(task.answers().iter().copied()));
}

#[test]
fn texts_with_too_few_words_of_a_kind_are_refused() {
    let (few, word) = (words(20), |kind: &str, message: String| assert!(message.contains(kind), "{message}"));
    word(
        "of 9 tokens",
        WordEnds::find(&few, WordEndOptions::default().with_word_len(9).with_at_most(20)).unwrap_err().to_string(),
    );
    word("end in -ing", SuffixTask::find(&few, "ing", 24, 20, 0).unwrap_err().to_string());
    assert!(TokenClass::Suffix("ing".into()).contains(TOKENS[5]));
}
