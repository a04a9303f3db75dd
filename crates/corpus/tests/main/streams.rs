//! Ids of texts that are read only as far as they are needed.

use stratigraph_corpus::{Chunks, CorpusError, encode_reader, encode_reader_in};

use crate::support::{Endless, KINDS, text, tokenizer};

#[test]
fn stream_ids_are_those_of_the_whole_text() {
    let small = Chunks { chunk: 700, overlap: 240 };
    for kind in KINDS {
        let tokenizer = tokenizer(kind);
        for (text, sizes) in [(text(20_000), small), (text(150_000), Chunks::default())] {
            let whole = tokenizer.encode(&text).unwrap();
            for at_most in [0, 100, whole.len() - 1, usize::MAX] {
                let found = encode_reader_in(&tokenizer, text.as_bytes(), at_most, sizes).unwrap();
                assert_eq!(found, whole[..at_most.min(whole.len())], "{kind} {at_most}");
            }
        }
    }
}

#[test]
fn stream_of_spaces_is_that_of_the_whole_text() {
    // A run that does not begin at a multiple of its tokens' length, and text after it.
    let text = format!("Some words.{}1234567 8912345 and on {}", " ".repeat(300_000), "word ".repeat(20_000));
    for kind in ["llama-bpe", "gpt-2", "qwen2", "tekken"] {
        let tokenizer = tokenizer(kind);
        let whole = tokenizer.encode(&text).unwrap();
        assert_eq!(encode_reader(&tokenizer, text.as_bytes(), "spaces", usize::MAX).unwrap(), whole, "{kind}");
    }
}

#[test]
fn stream_of_a_million_spaces_keeps_what_follows() {
    let (spaces, behind) = (1_200_000, "1234567 8912345 ".repeat(40));
    let tokenizer = tokenizer("llama-bpe");
    let text = format!("{}{behind}", " ".repeat(spaces));
    let ids = encode_reader(&tokenizer, text.as_bytes(), "spaces", usize::MAX).unwrap();
    assert_eq!(tokenizer.decode(&ids).unwrap(), text);
    // One space fewer than the run, for the last one belongs to what follows; the rest as after a short run.
    let short = tokenizer.encode(&format!("{}{behind}", " ".repeat(64))).unwrap();
    let digits = tokenizer.encode(&behind).unwrap();
    assert_eq!(ids[ids.len() - digits.len()..], short[short.len() - digits.len()..]);
}

#[test]
fn stream_is_read_as_far_as_it_is_needed() {
    for kind in KINDS {
        let (mut endless, tokenizer) = (Endless(0), tokenizer(kind));
        let windows = tokenizer.windows(&mut endless, 16, 2).unwrap();
        assert_eq!((windows.n_sequences(), windows.seq_len()), (2, 16));
        assert!(endless.0 <= 1 << 20, "{kind}: {} bytes", endless.0);
    }
}

#[test]
fn stream_that_is_no_text_is_named_by_its_place() {
    let tokenizer = tokenizer("gpt-2");
    let refused = |bytes: &[u8]| {
        let sizes = Chunks { chunk: 100, overlap: 40 };
        match encode_reader_in(&tokenizer, bytes, usize::MAX, sizes) {
            Err(CorpusError::NotUtf8 { offset, .. }) => Some(offset),
            _ => None,
        }
    };
    let good = "é ".repeat(200);
    assert_eq!(refused(good.as_bytes()), None);
    let broken = [good.as_bytes(), &[0xff], good.as_bytes()].concat();
    assert_eq!(refused(&broken), Some(good.len() as u64));
    let cut = &"é".repeat(200).into_bytes()[..399];
    assert_eq!(refused(cut), Some(398));
}
