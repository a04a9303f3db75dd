//! Pairs of prompts: those of the repository, and what is wrong with others.

use stratigraph_models::Checkpoint;
use stratigraph_study::measurements::{EncodedPairs, PromptPair, PromptPairs, TokenPair};
use stratigraph_study::{Result, StudyError};
use stratigraph_testing::{Toy, device, repository};

use crate::reference_edits::reference_directory;

const DATA: [(&str, usize); 3] = [("agreement", 28), ("plurals", 28), ("capitals", 32)];

/// Checks that a model can use all pairs of some files.
#[track_caller]
fn assert_all_fit(checkpoint: &Checkpoint, files: &[(&str, usize)]) {
    let (model, tokenizer) = (checkpoint.load(&device()).unwrap(), checkpoint.tokenizer().unwrap());
    for (file, n_pairs) in files {
        let pairs = PromptPairs::read(repository().join(format!("examples/data/pairs/{file}.jsonl"))).unwrap();
        let encoded = pairs.encode(&model, |text| tokenizer.encode(text)).unwrap();
        assert_eq!(encoded.pairs().len(), *n_pairs, "{file}");
    }
}

#[test]
fn pairs_of_the_repository_fit_the_model_in_the_box_where_its_vocabulary_has_the_words() {
    let checkpoint = Checkpoint::open(repository().join("models/tiny")).unwrap();
    assert_all_fit(&checkpoint, &DATA[..2]);
    let (model, tokenizer) = (checkpoint.load(&device()).unwrap(), checkpoint.tokenizer().unwrap());
    let capitals = PromptPairs::read(repository().join("examples/data/pairs/capitals.jsonl")).unwrap();
    let message = capitals.encode(&model, |text| tokenizer.encode(text)).unwrap_err().to_string();
    assert!(message.contains("capitals.jsonl, line 1: the pair `The capital of France is the city of` "), "{message}");
    let none = capitals.encode_fitting(&model, |text| tokenizer.encode(text)).unwrap_err().to_string();
    assert!(none.starts_with("none of the 32 pairs of prompts can be used; the first one: "), "{none}");
}

#[test]
fn pairs_of_the_repository_fit_smollm2() {
    let Some(directory) = reference_directory() else { return };
    assert_all_fit(&Checkpoint::open(directory.join("model.gguf")).unwrap(), &DATA);
}

/// A token for each letter from `a` to `h`, which are the vocabulary of the toy; others are errors.
fn letters(text: &str) -> Result<Vec<u32>, String> {
    let id = |letter: char| match letter {
        'a'..='z' => Ok(letter as u32 - 'a' as u32),
        other => Err(format!("there is no letter `{other}`")),
    };
    text.chars().map(id).collect()
}

fn pair([clean, corrupted, answer, other]: [&str; 4]) -> PromptPair {
    PromptPair::new(clean, corrupted, answer, other)
}

fn refused(texts: [&str; 4]) -> String {
    let pairs = PromptPairs::new(vec![pair(["ab", "cb", "d", "e"]), pair(texts)]);
    pairs.encode(&Toy::default(), letters).unwrap_err().to_string()
}

#[test]
fn a_pair_that_cannot_be_used_is_named_with_the_reason() {
    let cases = [
        (["abc", "ab", "d", "e"], "its clean prompt has 3 tokens and its corrupted one 2; both need the same number"),
        (["abc", "abd", "de", "e"], "its answer `de` is 2 tokens, and it takes one"),
        (["abc", "abd", "d", ""], "its other answer `` is 0 tokens, and it takes one"),
        (["abc", "abd", "d", "d"], "its two answers are the same token"),
        (["abc", "abc", "d", "e"], "its two prompts are the same"),
        (["", "a", "d", "e"], "its clean prompt is empty"),
        (["a", "", "d", "e"], "its corrupted prompt is empty"),
        (["a", "b", "d", "e"], "its prompts have 1 token each, and it takes at least 2"),
        (["abcdefa", "abcdefb", "d", "e"], "its prompts have 7 tokens, and the model's context 6"),
        (["abc", "abz", "d", "e"], "token id 25 is outside the model's vocabulary of 8"),
        (["ab c", "abdc", "d", "e"], "`ab c` cannot be cut into tokens: there is no letter ` `"),
    ];
    for (texts, reason) in cases {
        let message = refused(texts);
        let expected = format!("pair 1 (counted from 0), `{}`, cannot be used: {reason}", texts[0]);
        assert!(message.starts_with(&expected), "{message}");
    }
    let long = format!("{}!", "a".repeat(70));
    assert!(refused([&long, "a", "d", "e"]).starts_with(&format!("pair 1 (counted from 0), `{}..`", "a".repeat(60))));
    assert!(matches!(PromptPairs::new(Vec::new()).encode(&Toy::default(), letters), Err(StudyError::NoPairs)));
    let tokens = EncodedPairs::new(vec![TokenPair::new(vec![1, 2], vec![1, 2, 3], 4, 5)]).unwrap_err().to_string();
    assert!(tokens.starts_with("pair 0 (counted from 0) cannot be used: its clean prompt has 2 tokens"), "{tokens}");
    assert!(matches!(EncodedPairs::new(Vec::new()), Err(StudyError::NoPairs)));
    let large = EncodedPairs::new(vec![TokenPair::new(vec![1, 2], vec![1, 3], 4, 900)]).unwrap();
    let message = large.check(&Toy::default()).unwrap_err().to_string();
    assert_eq!(message, "pair 0 (counted from 0) cannot be used: token id 900 is outside the model's vocabulary of 8");
}

#[test]
fn pairs_that_do_not_fit_can_be_left_out() {
    let texts = [["abc", "ab", "d", "e"], ["ab", "cb", "d", "e"], ["abc", "abd", "de", "e"], ["abc", "abd", "h", "g"]];
    let pairs = PromptPairs::new(texts.map(pair).to_vec());
    let fitting = pairs.encode_fitting(&Toy::default(), letters).unwrap();
    let expected = [TokenPair::new(vec![0, 1], vec![2, 1], 3, 4), TokenPair::new(vec![0, 1, 2], vec![0, 1, 3], 7, 6)];
    assert_eq!(fitting.pairs.pairs(), expected);
    let left_out: Vec<_> = fitting.left_out.iter().map(ToString::to_string).collect();
    assert!(left_out[0].starts_with("pair 0 ") && left_out[1].starts_with("pair 2 "), "{left_out:?}");
}

/// A tokenizer that writes a space before each text: a word with its own space is one token behind another word only.
#[test]
fn an_answer_may_be_one_token_behind_its_prompt_alone() {
    let encode = |text: &str| -> Result<Vec<u32>, String> {
        let text = format!(" {text}");
        let words = text.replace("  ", " _ ");
        Ok(words.split(' ').skip(1).map(|word| word.len() as u32 % 8).collect())
    };
    assert_eq!(encode(" one").unwrap().len(), 2);
    let pairs = PromptPairs::new(vec![PromptPair::new("one two three", "one two seven!", " four", " seventy")]);
    let encoded = pairs.encode(&Toy::default(), encode).unwrap();
    assert_eq!((encoded.pairs()[0].answer, encoded.pairs()[0].other), (4, 7));
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_line() {
    let good = r#"{"clean": "ab", "corrupted": "cb", "answer": "d", "other": "e", "note": 1}"#;
    let parsed = |jsonl: &[u8]| PromptPairs::parse(jsonl, "pairs.jsonl").map_err(|error| error.to_string());
    let read = parsed(
        format!(
            "
{good}

{good}"
        )
        .as_bytes(),
    )
    .unwrap();
    assert_eq!(read.pairs(), [pair(["ab", "cb", "d", "e"]), pair(["ab", "cb", "d", "e"])]);
    let bad = |line: &str| {
        parsed(
            format!(
                "{good}

{line}"
            )
            .as_bytes(),
        )
        .unwrap_err()
    };
    assert_eq!(
        parsed(
            b"
 
"
        )
        .unwrap_err(),
        "pairs.jsonl, line 1: there is no pair of prompts"
    );
    assert!(bad("{").starts_with("pairs.jsonl, line 3: it is not JSON: "));
    let missing = "pairs.jsonl, line 3: it has no field `corrupted`; a pair has clean, corrupted, answer and other";
    assert_eq!(bad(r#"{"clean": "ab", "corupted": "cb"}"#), missing);
    assert!(bad("[1]").starts_with("pairs.jsonl, line 3: it has no field `clean`"));
    assert_eq!(bad(&good.replace(r#""d""#, "4")), "pairs.jsonl, line 3: its field `answer` is not a string");
    assert_eq!(parsed(b"\xff").unwrap_err(), "pairs.jsonl, line 1: it is not UTF-8");
    let absent = PromptPairs::read("no/such.jsonl").unwrap_err().to_string();
    assert!(absent.starts_with("cannot read no/such.jsonl: "), "{absent}");
    let short = parsed(
        format!(
            "
{}",
            good.replace("cb", "c")
        )
        .as_bytes(),
    )
    .unwrap();
    let message = short.encode(&Toy::default(), letters).unwrap_err().to_string();
    assert!(
        message.starts_with("pairs.jsonl, line 2: the pair `ab` cannot be used: its clean prompt has 2"),
        "{message}"
    );
}
