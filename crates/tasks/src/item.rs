//! A context and its continuations: [`Item`], read by [`Task::read`] from the benchmarks' own JSONL files.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::json::{Fields, label_or_number, labelled, strings};
use crate::{ItemProblem, Result, Task, TaskError};

/// One question of a benchmark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The text that the model reads.
    pub context: String,
    /// The texts that may follow, each with the space that separates it from the context.
    pub continuations: Vec<String>,
    /// Which continuation is right, from 0.
    pub answer: usize,
}

impl Item {
    /// The characters of a continuation without the space before it, by which `acc_norm` divides.
    ///
    /// # Panics
    /// When there is no such continuation.
    pub fn n_chars(&self, continuation: usize) -> usize {
        let text = &self.continuations[continuation];
        text.strip_prefix(' ').unwrap_or(text).chars().count()
    }
}

impl Task {
    /// Reads a file with an item in each line, in the benchmark's own format; empty lines are skipped.
    ///
    /// - LAMBADA: `{"text": ..}`
    /// - HellaSwag: `{"activity_label": .., "ctx_a": .., "ctx_b": .., "endings": [..], "label": ..}`, the label a number or
    ///   a number in a string
    /// - ARC: `{"question": .., "choices": {"text": [..], "label": [..]}, "answerKey": ..}`, or
    ///   `{"question": {"stem": .., "choices": [{"text": .., "label": ..}, ..]}, "answerKey": ..}`
    ///
    /// # Errors
    /// When the file cannot be read, has no items, or a line is not an item of the task; then it says which line.
    pub fn read(self, path: impl AsRef<Path>) -> Result<Vec<Item>> {
        let path = path.as_ref();
        let cannot = |reason: std::io::Error| TaskError::CannotRead { path: path.into(), reason: reason.to_string() };
        self.parse(&std::fs::read(path).map_err(cannot)?, path)
    }

    /// The items of a file's content; errors name `path`.
    ///
    /// # Errors
    /// As [`read`](Task::read).
    pub fn parse(self, jsonl: &[u8], path: impl AsRef<Path>) -> Result<Vec<Item>> {
        let path = path.as_ref();
        let lines = jsonl.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
        let items = lines.filter(|(_, line)| !line.is_empty()).map(|(index, line)| {
            let bad = |problem| TaskError::BadItem { path: path.into(), line: index + 1, problem };
            self.item(line).map_err(bad)
        });
        let items: Vec<_> = items.collect::<Result<_>>()?;
        if items.is_empty() { Err(TaskError::NoItems { path: path.into() }) } else { Ok(items) }
    }

    fn item(self, line: &[u8]) -> Result<Item, ItemProblem> {
        let text = std::str::from_utf8(line).map_err(|_| ItemProblem::NotUtf8)?;
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|e| ItemProblem::NotJson { reason: e.to_string() })?;
        let fields = Fields(&value);
        match self {
            Task::Lambada => lambada(fields),
            Task::HellaSwag => hellaswag(fields),
            Task::ArcEasy => arc(fields),
        }
    }
}

/// The passage is cut at its last space.
fn lambada(fields: Fields) -> Result<Item, ItemProblem> {
    let parts = fields.text("text")?.rsplit_once(' ');
    let parts = parts.filter(|(context, word)| !context.trim_end().is_empty() && !word.trim_end().is_empty());
    let (context, word) = parts.ok_or(ItemProblem::NoLastWord)?;
    Ok(Item { context: context.to_owned(), continuations: vec![format!(" {word}")], answer: 0 })
}

fn hellaswag(fields: Fields) -> Result<Item, ItemProblem> {
    let activity = fields.text("activity_label")?;
    let (first, second) = (fields.text("ctx_a")?, capitalised(fields.text("ctx_b")?));
    let endings = strings(fields.get("endings")?, "endings")?;
    let label = label_or_number(fields.get("label")?, "label")?;
    let labels = (0..endings.len()).map(|index| index.to_string()).collect();
    Ok(Item {
        context: without_marks(&format!("{activity}: {first} {second}")),
        continuations: endings.into_iter().map(|ending| format!(" {}", without_marks(ending))).collect(),
        answer: place_of(label, labels)?,
    })
}

/// As Hugging Face has it, or as AI2 does.
fn arc(fields: Fields) -> Result<Item, ItemProblem> {
    let answer = label_or_number(fields.get("answerKey")?, "answerKey")?;
    let question = fields.get("question")?;
    let (stem, texts, labels) = if question.is_object() {
        let question = Fields(question);
        let (texts, labels) = labelled(question.get("choices")?)?;
        (question.text("stem")?, texts, labels)
    } else {
        let choices = Fields(fields.get("choices")?);
        let (texts, labels) = (choices.get("text")?, choices.get("label")?);
        let labels = strings(labels, "label")?.into_iter().map(str::to_owned).collect();
        (fields.text("question")?, strings(texts, "text")?, labels)
    };
    if texts.len() != labels.len() {
        return Err(ItemProblem::UnevenChoices { n_choices: texts.len(), n_labels: labels.len() });
    }
    Ok(Item {
        context: format!("Question: {stem}\nAnswer:"),
        continuations: texts.into_iter().map(|text| format!(" {text}")).collect(),
        answer: place_of(answer, labels)?,
    })
}

fn place_of(answer: String, labels: Vec<String>) -> Result<usize, ItemProblem> {
    let place = labels.iter().position(|label| *label == answer);
    place.ok_or(ItemProblem::UnknownAnswer { answer, labels })
}

/// The first letter a capital and all others small.
fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return String::new() };
    let mut capital = first.to_uppercase(); // of one letter there can be several, of which only the first stays large
    let head = capital.next().into_iter().chain(capital.flat_map(char::to_lowercase));
    head.collect::<String>() + &letters.as_str().to_lowercase()
}

/// Removes what WikiHow's headings left in a text: ` [title]` ends a sentence, other words in brackets are dropped.
fn without_marks(text: &str) -> String {
    let text = text.trim().replace(" [title]", ". ");
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(open) = rest.find('[') {
        let (before, bracket) = rest.split_at(open);
        kept.push_str(before);
        // A bracket is closed in its own line or not at all.
        match bracket.find([']', '\n']).filter(|&end| bracket.as_bytes()[end] == b']') {
            Some(end) => rest = &bracket[end + 1..],
            None => {
                kept.push('[');
                rest = &bracket[1..];
            }
        }
    }
    (kept + rest).replace("  ", " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(task: Task, line: &str) -> Item {
        task.parse(line.as_bytes(), "items.jsonl").unwrap().remove(0)
    }

    fn problem(task: Task, jsonl: &[u8]) -> String {
        task.parse(jsonl, "items.jsonl").unwrap_err().to_string()
    }

    #[test]
    fn a_passage_is_cut_at_its_last_space() {
        let item = only(Task::Lambada, r#"{"text": "She said,\n\"Call the  dog"}"#);
        assert_eq!(item.context, "She said,\n\"Call the ");
        assert_eq!((item.continuations, item.answer), (vec![" dog".to_owned()], 0));
    }

    #[test]
    fn endings_lose_their_marks_and_the_second_part_begins_large() {
        let line = r#"{"activity_label": "Baking", "ctx_a": "[header] How to bake [title] Mix.  [step] Stir [substeps] it",
            "ctx_b": "a MAN", "endings": [" eats [it up", "sings. [title] Loud"], "label": "1"}"#;
        let item = only(Task::HellaSwag, &line.replace('\n', ""));
        assert_eq!(item.context, "Baking: How to bake. Mix.  Stir it A man");
        assert_eq!(item.continuations, [" eats [it up", " sings.. Loud"]);
        assert_eq!((item.answer, item.n_chars(0)), (1, 11));
    }

    #[test]
    fn an_empty_second_part_leaves_no_space_behind() {
        let line = r#"{"activity_label": "A", "ctx_a": "b", "ctx_b": "", "endings": ["c", "d"], "label": 0, "ind": 4}"#;
        let item = only(Task::HellaSwag, line);
        assert_eq!((item.context.as_str(), item.answer), ("A: b", 0));
    }

    #[test]
    fn capitals_are_one_letter() {
        let cases = [("", ""), ("éCOLE", "École"), ("ßA", "Ssa"), ("the USA", "The usa"), ("1A", "1a")];
        for (text, expected) in cases {
            assert_eq!(capitalised(text), expected);
        }
    }

    #[test]
    fn both_forms_of_arc_give_the_same() {
        let hub = r#"{"id": "x", "question": "Q?", "choices": {"text": ["ä", "b", "c"], "label": ["1", "2", "3"]}, "answerKey": "3"}"#;
        let own = r#"{"question": {"stem": "Q?", "choices": [{"text": "ä", "label": "A"}, {"text": "b", "label": "B"},
            {"text": "c", "label": "C"}]}, "answerKey": "C"}"#;
        let item = only(Task::ArcEasy, hub);
        assert_eq!(item, only(Task::ArcEasy, &own.replace('\n', "")));
        assert_eq!((item.context.as_str(), item.answer), ("Question: Q?\nAnswer:", 2));
        assert_eq!((item.continuations[0].as_str(), item.n_chars(0)), (" ä", 1));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let good = "{\"text\": \"a b\"}\n\n";
        let bad = |line: &str| problem(Task::Lambada, format!("{good}{line}").as_bytes());
        assert_eq!(problem(Task::Lambada, b"\n \r\n"), "items.jsonl has no items");
        assert!(bad("{").starts_with("items.jsonl, line 3: it is not JSON: "));
        assert_eq!(bad("{}"), "items.jsonl, line 3: it has no field `text`");
        assert_eq!(bad("[1]"), "items.jsonl, line 3: it has no field `text`");
        assert_eq!(bad("{\"text\": 1}"), "items.jsonl, line 3: its field `text` is not a string");
        for text in ["word", " word", "two words ", ""] {
            let message = bad(&format!("{{\"text\": \"{text}\"}}"));
            assert_eq!(message, "items.jsonl, line 3: its text does not end in a space and a word after other text");
        }
        assert_eq!(problem(Task::Lambada, b"{\"text\": \"\xff b\"}"), "items.jsonl, line 1: it is not UTF-8");
    }

    #[test]
    fn an_answer_is_one_of_the_choices() {
        let hellaswag = r#"{"activity_label": "A", "ctx_a": "b", "ctx_b": "", "endings": ["c", "d"], "label": LABEL}"#;
        let found = |label| problem(Task::HellaSwag, hellaswag.replace("LABEL", label).as_bytes());
        assert_eq!(found("2"), "items.jsonl, line 1: its answer `2` is none of its choices (0, 1)");
        assert_eq!(found("\"\""), "items.jsonl, line 1: its answer `` is none of its choices (0, 1)");
        assert_eq!(found("null"), "items.jsonl, line 1: its field `label` is not a string or a whole number");
        let arc = r#"{"question": "Q", "choices": {"text": ["a", "b"], "label": LABELS}, "answerKey": "E"}"#;
        let found = |labels| problem(Task::ArcEasy, arc.replace("LABELS", labels).as_bytes());
        assert_eq!(found(r#"["A", "B"]"#), "items.jsonl, line 1: its answer `E` is none of its choices (A, B)");
        assert_eq!(found(r#"["A"]"#), "items.jsonl, line 1: it has 2 choices but 1 labels");
        assert_eq!(found("[1, 2]"), "items.jsonl, line 1: its field `label` is not a list of strings");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let message = Task::ArcEasy.read("no/such.jsonl").unwrap_err().to_string();
        assert!(message.starts_with("cannot read no/such.jsonl: "), "{message}");
    }
}
