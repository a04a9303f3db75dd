//! How a generation ends, and what is refused.

use stratigraph_core::ResidualModel;
use stratigraph_generate::{GenerateError, Generator, Sampling, StopReason};

use crate::{load, tiny};

#[test]
fn a_generation_ends_at_its_number_of_tokens_a_token_or_the_context() {
    let model = load("gpt2");
    let prompt = vec![5, 9, 3];
    let all = Generator::new(&model).with_max_new_tokens(100).run(std::slice::from_ref(&prompt)).unwrap().remove(0);
    // The context holds 24 tokens; what follows the last of them is still predicted.
    assert_eq!((all.tokens.len(), &all.stop), (24 - 3 + 1, &StopReason::ContextFull));
    let most = Generator::new(&model).with_max_new_tokens(usize::MAX);
    assert_eq!(most.run(std::slice::from_ref(&prompt)).unwrap().remove(0), all);
    let few = Generator::new(&model).with_max_new_tokens(4).run(std::slice::from_ref(&prompt)).unwrap().remove(0);
    assert_eq!((&few.tokens[..], &few.stop), (&all.tokens[..4], &StopReason::MaxNewTokens));
    assert_eq!(few.text, None);
    let last = all.tokens[6];
    let until = all.tokens.iter().position(|token| *token == last).unwrap() + 1;
    let stopped = Generator::new(&model).with_stop_tokens([last]).run(std::slice::from_ref(&prompt)).unwrap().remove(0);
    assert_eq!((&stopped.tokens[..], &stopped.stop), (&all.tokens[..until], &StopReason::Token(last)));
    let none = Generator::new(&model).with_max_new_tokens(0).run(&[prompt]).unwrap().remove(0);
    assert_eq!((none.tokens.len(), none.stop), (0, StopReason::MaxNewTokens));
    let full = Generator::new(&model).run(&[(0..24).collect()]).unwrap().remove(0);
    assert_eq!((full.tokens.len(), full.stop), (1, StopReason::ContextFull));
}

#[test]
fn a_stop_string_ends_a_text_wherever_tokens_are_cut() {
    let (model, tokenizer) = tiny();
    let prompts = [tokenizer.encode("The king said").unwrap(), tokenizer.encode("Once").unwrap()];
    let free = Generator::new(&model).with_text(&tokenizer).with_max_new_tokens(40);
    let texts: Vec<String> = free.run(&prompts).unwrap().into_iter().map(|it| it.text.unwrap()).collect();
    for (prompt, text) in prompts.iter().zip(&texts) {
        let chars: Vec<char> = text.chars().collect();
        assert!(chars.len() > 20, "{text:?}");
        for start in 3..12 {
            let stop: String = chars[start..start + 4].iter().collect();
            let generation = free.clone().with_stop_strings([stop.clone()]).run(std::slice::from_ref(prompt)).unwrap();
            let expected = &text[..text.find(&stop).unwrap()];
            assert_eq!(generation[0].text.as_deref(), Some(expected), "{stop:?}");
            assert_eq!(generation[0].stop, StopReason::Text(stop.clone()));
            assert!(tokenizer.decode(&generation[0].tokens).unwrap().contains(stop.trim_start()));
        }
    }
}

#[test]
fn a_reader_that_has_enough_ends_all_texts() {
    let model = load("gpt2");
    let mut n_shown = 0;
    let generations = Generator::new(&model)
        .run_with(&[vec![1, 2], vec![3]], &mut stratigraph_core::NoTap, |_| {
            n_shown += 1;
            n_shown < 6
        })
        .unwrap();
    assert_eq!(n_shown, 6);
    assert!(generations.iter().all(|generation| generation.stop == StopReason::Interrupted));
    let n_tokens: usize = generations.iter().map(|generation| generation.tokens.len()).sum();
    assert_eq!(n_tokens, n_shown, "no token is drawn that is not shown");
}

#[test]
fn a_text_that_is_interrupted_has_the_text_of_all_its_tokens() {
    let (model, tokenizer) = tiny();
    let prompt = [tokenizer.encode("The king said").unwrap()];
    let generator = Generator::new(&model).with_text(&tokenizer).with_max_new_tokens(5);
    let expected = generator.run(&prompt).unwrap().remove(0);
    // The end of the text is held back, since it may begin a stop string.
    let last = expected.text.as_ref().and_then(|text| text.chars().next_back()).unwrap();
    let generator = generator.with_stop_strings([format!("{last}\0")]).with_max_new_tokens(40);
    let mut n_shown = 0;
    let found = generator
        .run_with(&prompt, &mut stratigraph_core::NoTap, |_| {
            n_shown += 1;
            n_shown < 5
        })
        .unwrap()
        .remove(0);
    assert_eq!((found.tokens, found.text), (expected.tokens, expected.text));
}

#[test]
fn what_cannot_be_continued_is_refused() {
    let model = load("gpt2");
    let refused = |generator: Generator, prompts: &[Vec<u32>]| generator.run(prompts).unwrap_err();
    let generator = || Generator::new(&model);
    assert_eq!(refused(generator(), &[]), GenerateError::NoPrompts);
    assert_eq!(refused(generator(), &[vec![1], vec![]]), GenerateError::EmptyPrompt { index: 1 });
    let too_long = GenerateError::PromptTooLong { index: 0, n_tokens: 25, n_ctx: 24 };
    assert_eq!(refused(generator(), &[(0..25).collect()]), too_long);
    assert_eq!(refused(generator().with_stop_strings(["a"]), &[vec![1]]), GenerateError::StopStringsWithoutText);
    let message = refused(generator(), &[vec![96]]).to_string();
    assert_eq!(message, "token id 96 is outside the model's vocabulary of 96");
    let sampling = Sampling::greedy().with_top_p(2.0);
    assert!(matches!(refused(generator().with_sampling(sampling), &[vec![1]]), GenerateError::BadSampling { .. }));
    let corpus = generator().with_intervention("0-1 | blocks.0.hook_mlp_out mean".parse().unwrap());
    assert!(refused(corpus, &[vec![1]]).to_string().contains("generation has none"));
    let (tiny, tokenizer) = tiny();
    let empty = Generator::new(&tiny).with_text(&tokenizer).with_stop_strings([""]);
    assert_eq!(empty.run(&[vec![1]]).unwrap_err(), GenerateError::EmptyStopString);
    assert!(tiny.n_ctx().is_some());
}
