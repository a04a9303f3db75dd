//! Answers that a model writes: prompts by hand, scores as lm-evaluation-harness 0.4.13 gives them (`scripts/make_gsm8k_cases.py`).

use serde_json::Value;
use stratigraph_tasks::{GenerativeScores, GenerativeTask, TaskError};

const TASK: GenerativeTask = GenerativeTask::Gsm8k;

fn line(question: &str, answer: &str) -> String {
    serde_json::json!({ "question": question, "answer": answer }).to_string()
}

#[test]
fn every_text_is_scored_as_the_harness_does() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("gsm8k.json")).unwrap();
    let mut rights = [0; 2];
    for case in &cases {
        let (text, answer) = (case["text"].as_str().unwrap(), case["answer"].as_str().unwrap());
        let item = TASK.parse(line("?", answer).as_bytes(), "items.jsonl").unwrap().remove(0);
        let exact = item.exact_match(text);
        let expected = [&case["strict-match"], &case["flexible-extract"]].map(|it| it.as_bool().unwrap());
        assert_eq!([exact.strict_match, exact.flexible_extract], expected, "{case}");
        rights.iter_mut().zip(expected).for_each(|(n, right)| *n += usize::from(right));
    }
    assert!(rights.iter().all(|n| (40..cases.len() - 40).contains(n)), "{rights:?} of {}", cases.len());
}

#[test]
fn examples_stand_before_a_question_with_their_answers() {
    let lines = [line("One?", "It is 1.\n#### 1"), line("Two?", "#### 2")];
    let items = TASK.parse(lines.join("\n").as_bytes(), "items.jsonl").unwrap();
    let shown = TASK.with_examples(items[1..].to_vec(), &items, 1).unwrap();
    assert_eq!(shown[0].prompt(), "Question: One?\nAnswer: It is 1.\n#### 1\n\nQuestion: Two?\nAnswer:");
    let few = TASK.with_examples(items.clone(), &items, 2).unwrap_err();
    assert_eq!(few, TaskError::FewExamples { wanted: 2, found: 1, subject: None });
    let missing = TASK.parse(b"{\"question\": \"One?\"}", "items.jsonl").unwrap_err().to_string();
    assert_eq!(missing, "items.jsonl, line 1: it has no field `answer`");
}

#[test]
fn fractions_and_paired_changes_by_hand() {
    let lines = [line("One?", "#### 1"), line("Two?", "#### 2"), line("Three?", "#### 3"), line("Four?", "#### 4")];
    let items = TASK.parse(lines.join("\n").as_bytes(), "items.jsonl").unwrap();
    let scores = |texts: [&str; 4]| GenerativeScores::new(TASK, &items, texts.map(str::to_owned).into());
    let clean = scores(["#### 1", "#### 2", "3", "no"]);
    assert_eq!((clean.strict_match.mean, clean.flexible_extract.mean), (0.5, 0.75));
    assert!((clean.flexible_extract.sem.unwrap() - 0.25).abs() < 1e-15); // sqrt(0.25 / 4)
    let changed = scores(["#### 1", "0", "4", "no"]);
    let [strict, flexible] = changed.changes_from(&clean);
    assert_eq!((strict.score.mean, flexible.score.mean), (-0.25, -0.5));
    assert_eq!(changed.to_string(), "gsm8k (4 items): strict_match 0.250 ± 0.250, flexible_extract 0.250 ± 0.250");
    assert_eq!("gsm8k".parse(), Ok(TASK));
    assert!("arc_easy".parse::<GenerativeTask>().unwrap_err().to_string().ends_with("known: gsm8k"));
}
