//! Documents of files of every format.

use std::fs;
use std::path::Path;

use stratigraph_corpus::{BosMode, Corpus, CorpusError, DocumentFormat, Windows};

use crate::support::{Bytes, Endless, tokenizer};

fn first(count: usize) -> Windows {
    Windows::of(4).count(count).first().bos(BosMode::Never)
}

fn bytes(ids: &[u32]) -> String {
    ids.iter().map(|&id| char::from(id as u8)).collect()
}

fn write(dir: &Path, name: &str, content: impl AsRef<[u8]>) -> std::path::PathBuf {
    let path = dir.join(name);
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn documents_are_cut_one_after_the_other_and_no_window_crosses_two() {
    let dir = tempfile::tempdir().unwrap();
    let lines = "{\"text\": \"aaaabbbbcc\"}\n{\"text\": \"xyz\"}\n{\"text\": \"\"}\n{\"text\": \"ddddeeee\"}\n";
    write(dir.path(), "b.jsonl", lines);
    write(dir.path(), "a.txt", "\u{feff}1234567");
    let corpus = Corpus::open(dir.path()).unwrap();
    let windows = corpus.windows(&Bytes, first(9)).unwrap();
    assert_eq!(bytes(windows.ids()), "1234aaaabbbbddddeeee");
    assert_eq!(windows.documents(), Some(&[0, 1, 1, 2, 2][..]));
    assert_eq!(windows.sampling().unwrap().windows, "first");
    let fewer = corpus.windows(&Bytes, first(2)).unwrap();
    assert_eq!((bytes(fewer.ids()).as_str(), fewer.documents()), ("1234aaaa", Some(&[0, 1][..])));
    assert_eq!(corpus.beginning(100).unwrap(), "1234567\n\naaaabbbbcc\n\nxyz\n\nddddeeee");
}

#[test]
fn documents_of_one_text_are_what_the_tokenizer_cuts_it_into() {
    let dir = tempfile::tempdir().unwrap();
    let text = crate::support::text(20_000);
    let path = write(dir.path(), "text.txt", &text);
    for kind in ["gpt-2", "gemma-spm"] {
        let tokenizer = tokenizer(kind);
        let expected = tokenizer.windows(text.as_bytes(), 16, 7).unwrap();
        let windows = Windows::of(16).count(7).first().bos(BosMode::Never);
        let found = Corpus::open(&path).unwrap().windows(&tokenizer, windows).unwrap();
        assert_eq!((found.ids(), found.documents()), (expected.ids(), None), "{kind}");
    }
}

#[test]
fn documents_can_be_in_another_field_and_in_any_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "pages.json", "{\"id\": 1, \"content\": \"aaaa\"}\r\n{\"content\": \"bbbb\"}\r\n");
    let corpus = || Corpus::open(&path).unwrap().with_format(DocumentFormat::JsonLines);
    let windows = corpus().with_field("content").windows(&Bytes, first(9)).unwrap();
    assert_eq!(bytes(windows.ids()), "aaaabbbb");
    let message = corpus().windows(&Bytes, first(9)).unwrap_err().to_string();
    assert!(message.ends_with("line 1: it has no field `text`, but `id`, `content`; name the one that holds the text"));
}

#[test]
fn documents_whose_files_do_not_say_their_format_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (name, part) in [("pages.json", "--text-format"), ("a.txt.gz", "decompress"), ("b.jsonl.ZST", "decompress")] {
        let path = write(dir.path(), name, "{\"text\": \"aaaa\"}");
        for read in [path.as_path(), dir.path()] {
            let message = Corpus::open(read).unwrap().lossy().windows(&Bytes, first(9)).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains(part), "{message}");
        }
        let corpus = Corpus::open(&path).unwrap().with_format(DocumentFormat::Text);
        assert_eq!(bytes(corpus.windows(&Bytes, first(1)).unwrap().ids()), "{\"te");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn documents_keep_a_byte_order_mark_of_their_own() {
    let lines = std::io::Cursor::new("\u{feff}{\"text\": \"\u{feff}a\"}\n".as_bytes());
    let corpus = Corpus::from_reader("lines", DocumentFormat::JsonLines, lines).unwrap();
    assert_eq!(corpus.windows(&Bytes, first(9)).unwrap().ids(), [0xef, 0xbb, 0xbf, 0x61]);
}

#[test]
fn documents_of_a_stream_are_read_as_far_as_needed_and_twice() {
    let corpus = Corpus::from_reader("stdin", DocumentFormat::Text, Endless(0)).unwrap();
    assert_eq!(bytes(corpus.windows(&Bytes, first(2)).unwrap().ids()), "one two ");
    assert_eq!(bytes(corpus.windows(&Bytes, first(1)).unwrap().ids()), "one ");
    let text = std::io::Cursor::new(b"aaaabbbb".to_vec());
    let corpus = Corpus::from_reader("stdin", DocumentFormat::Text, text).unwrap();
    let windows = corpus.windows(&Bytes, Windows::of(5).count(9)).unwrap();
    assert_eq!((windows.bos(), windows.n_sequences(), windows.measured_from()), (Some(256), 2, 1));
    assert_eq!(windows.sequence(1)[0], 256);
}

#[test]
fn documents_that_are_no_text_are_named_or_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "broken.txt", b"abc\xffdefghijk");
    let message = Corpus::open(&path).unwrap().windows(&Bytes, first(9)).unwrap_err().to_string();
    assert!(message.contains("broken.txt is not UTF-8 at byte 3"), "{message}");
    let lossy = Corpus::open(&path).unwrap().lossy().windows(&Bytes, first(9)).unwrap();
    assert_eq!(lossy.ids()[3..6], [0xef, 0xbf, 0xbd]);
    assert!(matches!(Corpus::open(dir.path().join("absent")), Err(CorpusError::CannotRead { .. })));
}

#[test]
fn documents_that_are_all_too_short_are_counted() {
    let lines = std::io::Cursor::new(b"{\"text\": \"ab\"}\n{\"text\": \"abc\"}\n".to_vec());
    let corpus = Corpus::from_reader("lines", DocumentFormat::JsonLines, lines).unwrap();
    for windows in [first(3), Windows::of(5).count(3)] {
        let message = corpus.windows(&Bytes, windows).unwrap_err().to_string();
        let expected = "lines has no document of 4 tokens, which a window takes: the longest of its 2 documents has 3";
        assert_eq!(message, expected);
    }
    assert!(matches!(corpus.windows(&Bytes, Windows::of(1)), Err(CorpusError::WindowTooShort { .. })));
}

#[test]
fn documents_of_a_tokenizer_without_bos_have_none() {
    let lines = || std::io::Cursor::new(b"one two three four five six seven eight".to_vec());
    let corpus = |()| Corpus::from_reader("lines", DocumentFormat::Text, lines()).unwrap();
    let (tokenizer, windows) = (tokenizer("gpt-2"), Windows::of(4).count(2));
    assert!(!tokenizer.bos().is_usual);
    assert_eq!(corpus(()).windows(&tokenizer, windows).unwrap().bos(), None);
    if tokenizer.bos().id.is_none() {
        assert!(matches!(corpus(()).windows(&tokenizer, windows.bos(BosMode::Always)), Err(CorpusError::NoBos)));
    }
}
