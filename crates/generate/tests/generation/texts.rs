//! The text of tokens that come one by one.

use stratigraph_generate::TextStream;
use stratigraph_models::Tokenizer;
use stratigraph_testing::fixture;

const KINDS: [&str; 9] = ["gemma-spm", "gpt-2", "llama-bpe", "llama-spm", "olmo", "phi-2", "qwen2", "smollm", "tekken"];

const TEXT: &str = "It costs 5 €, said naïve Zoë.\n  日本語 and 한국어, \u{1f469}\u{200d}\u{1f680}\u{1f389} end";

/// The text of tokens up to a character that they do not finish. Some tokenizers write a whole run of bytes as U+FFFD then.
fn finished(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let texts = (0..=ids.len()).rev().take(4).map(|n| tokenizer.decode(&ids[..n]).unwrap());
    texts.map(|text| text.trim_end_matches('\u{fffd}').to_owned()).max_by_key(String::len).unwrap()
}

/// Some of the prompts end within a character.
#[test]
fn parts_together_are_the_text_whatever_the_tokenizer() {
    for kind in KINDS {
        let tokenizer = Tokenizer::from_file(fixture(&format!("tokenizers/{kind}/tokenizer.json"))).unwrap();
        let ids = tokenizer.encode(TEXT).unwrap();
        let whole = tokenizer.decode(&ids).unwrap();
        for n_prompt in 0..ids.len() {
            let mut stream = TextStream::new(&tokenizer, &ids[..n_prompt]).unwrap();
            let mut text = finished(&tokenizer, &ids[..n_prompt]);
            for id in &ids[n_prompt..] {
                let new = stream.push(*id).unwrap();
                assert!(!new.contains('\u{fffd}'), "{kind}: {new:?} is a part of a character");
                text.push_str(&new);
            }
            text.push_str(&stream.finish().unwrap());
            assert_eq!(text, whole, "{kind} from token {n_prompt}");
        }
    }
}

#[test]
fn bytes_that_are_no_character_are_shown_in_the_end() {
    let tokenizer = Tokenizer::from_file(fixture("tokenizers/gpt-2/tokenizer.json")).unwrap();
    let ids = tokenizer.encode("a 日").unwrap();
    let (last, before) = ids.split_last().unwrap();
    assert!(tokenizer.decode(before).unwrap().ends_with('\u{fffd}'), "the character has several tokens");
    let mut stream = TextStream::new(&tokenizer, &before[..1]).unwrap();
    let mut text: String = before[1..].iter().map(|id| stream.push(*id).unwrap()).collect();
    assert!(!text.contains('\u{fffd}'));
    text.push_str(&stream.finish().unwrap());
    assert!(text.ends_with('\u{fffd}'), "{text:?}");
    // A stream of bytes that never become a character is shown too, at most three behind.
    let mut stream = TextStream::new(&tokenizer, &[]).unwrap();
    let shown: String = (0..40).map(|_| stream.push(*last).unwrap()).collect();
    assert!(shown.chars().count() >= 30, "{shown:?}");
}
