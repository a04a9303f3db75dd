//! Damaged JSONL: an error of one line, or windows of the size that was asked for.

use std::io::Cursor;

use proptest::prelude::*;
use stratigraph_corpus::{Corpus, DocumentFormat, Windows};
use stratigraph_testing::{any_damage, any_json, n_mutations, n_values, replace_somewhere};

use crate::support::Bytes;

/// Documents with an escape, a character of several bytes, and a field that is not read.
fn documents() -> Vec<serde_json::Value> {
    let text = |n: usize| format!("\u{65e5}\u{672c} {n}: \"quoted\" words and more words\n");
    (0..6).map(|n| serde_json::json!({ "id": n, "text": text(n).repeat(2 + n) })).collect()
}

fn lines(documents: &[serde_json::Value]) -> Vec<u8> {
    documents.iter().flat_map(|document| format!("{document}\n").into_bytes()).collect()
}

/// Cuts windows of a corpus, drawn at random and from the start.
fn try_corpus(bytes: Vec<u8>) -> Result<(), String> {
    let corpus = Corpus::from_reader("mutated", DocumentFormat::JsonLines, Cursor::new(bytes));
    let corpus = corpus.map_err(|error| error.to_string())?;
    for windows in [Windows::of(16).count(4).first(), Windows::of(16).count(4).seed(1)] {
        let windows = corpus.windows(&Bytes, windows).map_err(|error| error.to_string())?;
        assert!(windows.seq_len() == 16 && (1..=4).contains(&windows.n_sequences()));
    }
    Ok(())
}

fn check(bytes: Vec<u8>) {
    if let Err(error) = try_corpus(bytes) {
        assert!(!error.contains('\n'), "one line: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: n_mutations(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutations_of_documents(changes in prop::collection::vec(any_damage(), 1..3)) {
        let mut bytes = lines(&documents());
        changes.iter().for_each(|change| change.apply(&mut bytes, usize::MAX));
        check(bytes);
    }

    #[test]
    fn mutations_of_values_of_documents(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any_json()), 1..3),
    ) {
        let mut documents = documents();
        for (line, place, new) in changes {
            let document = &mut documents[line.index(6)];
            let n = n_values(document);
            replace_somewhere(document, place.index(n), new);
        }
        check(lines(&documents));
    }
}

#[test]
fn names_of_fields_are_quoted_on_one_line() {
    let error = try_corpus(b"{\"two\\nlines\": \"words\"}\n".to_vec()).unwrap_err();
    assert!(error.contains("but `two\\nlines`"), "{error}");
}

#[test]
fn mutations_begin_with_documents_that_are_sound() {
    try_corpus(lines(&documents())).unwrap();
}
