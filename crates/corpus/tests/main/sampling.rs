//! Windows that are drawn at random.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use stratigraph_core::TokenSpan;
use stratigraph_corpus::{BosMode, BosToken, Corpus, DocumentFormat, Draw, SampleOver, TextEncoder, Windows};

use crate::support::{Bytes, tokenizer};

/// Documents of these lengths. Each byte is the number of its document and then of its place, modulo 100.
fn documents(lengths: &[usize]) -> Corpus {
    let document = |(number, length): (usize, &usize)| {
        let text: String = (0..*length).map(|at| char::from(b' ' + ((number * 7 + at) % 90) as u8)).collect();
        serde_json::json!({ "text": text }).to_string() + "\n"
    };
    let lines: String = lengths.iter().enumerate().map(document).collect();
    Corpus::from_reader("lines", DocumentFormat::JsonLines, Cursor::new(lines.into_bytes())).unwrap()
}

fn random(count: usize, seed: u64) -> Windows {
    Windows::of(10).count(count).seed(seed).draw(Draw::Random).bos(BosMode::Never)
}

#[test]
fn samples_depend_on_the_seed_alone() {
    let corpus = documents(&[500, 800, 90, 3000]);
    let draw = |seed| corpus.windows(&Bytes, random(12, seed)).unwrap();
    assert_eq!(draw(3), draw(3));
    assert_ne!(draw(3).ids(), draw(4).ids());
    assert_eq!(
        (draw(3).sampling().unwrap().windows.as_str(), draw(3).sampling().unwrap().seed),
        ("random over documents", 3)
    );
}

#[test]
fn samples_over_documents_give_each_the_same_number() {
    let corpus = documents(&[300, 5, 5000, 40, 100_000, 9, 200]); // two of them are too short
    let windows = corpus.windows(&Bytes, random(10, 1)).unwrap();
    let mut counts = BTreeMap::<usize, usize>::new();
    windows.documents().unwrap().iter().for_each(|document| *counts.entry(*document).or_default() += 1);
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [2; 5]);
}

#[test]
fn samples_over_tokens_follow_the_lengths() {
    let corpus = documents(&[2000, 8000, 30_000]);
    let mut counts = [0; 3];
    for seed in 0..60 {
        let windows = corpus.windows(&Bytes, random(20, seed).over(SampleOver::Tokens)).unwrap();
        let documents: Vec<usize> = windows.documents().unwrap().to_vec();
        // A document without a window has no number of its own; the longest always has one.
        let last = *documents.iter().max().unwrap();
        documents.iter().for_each(|document| counts[2 - (last - document)] += 1);
    }
    let share = |index: usize| f64::from(counts[index]) / 1200.0;
    assert!((share(2) - 0.75).abs() < 0.04, "{counts:?}");
    assert!(share(0) + share(1) > 0.2, "{counts:?}");
}

/// A token for each four `#`, and for each other byte.
struct Fours;

impl TextEncoder for Fours {
    fn encode_spans(&self, text: &str) -> Result<Vec<TokenSpan>, Box<dyn std::error::Error + Send + Sync>> {
        let (mut tokens, mut at) = (Vec::new(), 0);
        while at < text.len() {
            let end = if text[at..].starts_with("####") { at + 4 } else { at + 1 };
            tokens.push(TokenSpan::new(text.as_bytes()[at].into(), at..end));
            at = end;
        }
        Ok(tokens)
    }

    fn bos(&self) -> BosToken {
        BosToken::new(None, false)
    }
}

/// Documents of as many bytes, of which one has four times as many tokens, whole and in stretches.
#[test]
fn samples_over_tokens_follow_tokens_and_not_bytes() {
    for (n_bytes, n_seeds) in [(4000, 60), (1_200_000, 4)] {
        let lines =
            [b'#', b'a'].map(|byte| format!("{{\"text\": \"{}\"}}\n", char::from(byte).to_string().repeat(n_bytes)));
        let lines = lines.concat().into_bytes();
        let corpus = Corpus::from_reader("lines", DocumentFormat::JsonLines, Cursor::new(lines)).unwrap();
        let (mut dense, count) = (0, 50);
        for seed in 0..n_seeds {
            let windows = corpus.windows(&Fours, random(count, seed).over(SampleOver::Tokens)).unwrap();
            assert_eq!(windows.n_sequences(), count);
            dense += (0..count).filter(|&window| windows.sequence(window)[0] == u32::from(b'a')).count();
        }
        let n = (count * n_seeds as usize) as f64;
        let share = dense as f64 / n;
        assert!(
            (share - 0.8).abs() < 4.0 * (0.8 * 0.2 / n).sqrt(),
            "{share} of windows in documents of {n_bytes} bytes"
        );
    }
}

/// Most tickets give no window: there are few tokens for the bytes.
#[test]
fn samples_are_as_large_as_asked_for_if_there_are_windows() {
    let lines = format!("{{\"text\": \"{}\"}}\n", "#".repeat(400)).repeat(600); // ten windows each
    let corpus = Corpus::from_reader("lines", DocumentFormat::JsonLines, Cursor::new(lines.into_bytes())).unwrap();
    for count in [5000, 6000] {
        let windows = corpus.windows(&Fours, random(count, 1).over(SampleOver::Tokens)).unwrap();
        assert_eq!(windows.n_sequences(), count);
    }
}

#[test]
fn samples_have_no_window_twice_and_none_across_documents() {
    for over in [SampleOver::Documents, SampleOver::Tokens] {
        let corpus = documents(&[64; 30]);
        // Each document has six windows at most.
        let windows = corpus.windows(&Bytes, random(1000, 5).over(over)).unwrap();
        assert_eq!(windows.n_sequences(), 180);
        let all: BTreeSet<(usize, Vec<u32>)> =
            (0..180).map(|window| (windows.documents().unwrap()[window], windows.sequence(window).to_vec())).collect();
        assert_eq!(all.len(), 180);
        let goes_on = |window: &[u32]| window.windows(2).all(|pair| (pair[1] + 90 - pair[0]) % 90 == 1);
        assert!((0..180).all(|window| goes_on(windows.sequence(window))));
    }
}

#[test]
fn samples_reach_every_place_of_a_document() {
    let corpus = documents(&[95]);
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let windows = corpus.windows(&Bytes, random(1, seed)).unwrap();
        seen.extend(windows.sequence(0).iter().map(|id| id - u32::from(b' ')));
    }
    assert_eq!(seen.len(), 90, "every byte of the text is in a window of some seed");
}

#[test]
fn samples_of_a_long_text_have_the_ids_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    // No two lines are equal, so that a window stands in one place only.
    let line = |at: usize| format!("Line {at} has {} and é{} in it.\n", at * 7919 % 10_007, at * 31 % 9973);
    let (path, text): (_, String) = (dir.path().join("long.txt"), (0..40_000).map(line).collect());
    assert!(text.len() > 1 << 20);
    std::fs::write(&path, &text).unwrap();
    for kind in ["gpt-2", "llama-spm", "qwen2"] {
        let tokenizer = tokenizer(kind);
        let windows = Corpus::open(&path).unwrap().windows(&tokenizer, Windows::of(64).count(12).seed(2)).unwrap();
        assert_eq!((windows.n_sequences(), windows.documents()), (12, None));
        let whole = tokenizer.encode(&text).unwrap();
        let mut from = 0;
        for window in 0..12 {
            let ids = windows.sequence(window);
            let at = whole[from..].windows(64).position(|part| part == ids);
            from += at.unwrap_or_else(|| panic!("{kind}: window {window} is not in the text, in its order"));
        }
        assert!(from > whole.len() / 2, "{kind}: all windows are in the first half");
    }
}

#[test]
fn samples_of_a_text_no_longer_than_asked_for_are_its_windows() {
    let text = Cursor::new("abcdefghijklmnopqrstuvwxyz0123456789".as_bytes().to_vec());
    let corpus = Corpus::from_reader("text", DocumentFormat::Text, text).unwrap();
    let auto = |count| corpus.windows(&Bytes, random(count, 1).draw(Draw::Auto)).unwrap();
    assert_eq!(auto(3).sampling().unwrap().windows, "first");
    assert_eq!(auto(3).sequence(0)[0], u32::from(b'a'));
    assert_eq!(auto(2).sampling().unwrap().windows, "random over documents");
}
