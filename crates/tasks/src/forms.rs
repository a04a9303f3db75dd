//! How a line of each benchmark becomes an item, as in the task definitions of lm-evaluation-harness 0.4.13.

use crate::json::{Fields, label_or_number, labelled, strings};
use crate::{Item, ItemProblem, Task};

type Result<T, E = ItemProblem> = std::result::Result<T, E>;

/// The item of a line.
pub(crate) fn item(task: Task, fields: Fields) -> Result<Item> {
    match task {
        Task::Lambada => lambada(fields),
        Task::HellaSwag => hellaswag(fields),
        Task::ArcEasy | Task::ArcChallenge => arc(fields),
        Task::Piqa => piqa(fields),
        Task::WinoGrande => winogrande(fields),
        Task::Mmlu => mmlu(fields),
    }
}

/// The passage is cut at its last space.
fn lambada(fields: Fields) -> Result<Item> {
    let parts = fields.text("text")?.rsplit_once(' ');
    let parts = parts.filter(|(context, word)| !context.trim_end().is_empty() && !word.trim_end().is_empty());
    let (context, word) = parts.ok_or(ItemProblem::NoLastWord)?;
    Ok(Item::new(context, vec![format!(" {word}")], 0))
}

fn hellaswag(fields: Fields) -> Result<Item> {
    let activity = fields.text("activity_label")?;
    let (first, second) = (fields.text("ctx_a")?, capitalised(fields.text("ctx_b")?));
    let endings = strings(fields.get("endings")?, "endings")?;
    let label = label_or_number(fields.get("label")?, "label")?;
    let labels = (0..endings.len()).map(|index| index.to_string()).collect();
    let context = without_marks(&format!("{activity}: {first} {second}"));
    let continuations = endings.into_iter().map(|ending| format!(" {}", without_marks(ending))).collect();
    Ok(Item::new(context, continuations, place_of(label, labels)?))
}

/// As Hugging Face has it, or as AI2 does.
fn arc(fields: Fields) -> Result<Item> {
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
    let continuations = texts.into_iter().map(|text| format!(" {text}")).collect();
    Ok(Item::new(format!("Question: {stem}\nAnswer:"), continuations, place_of(answer, labels)?))
}

fn piqa(fields: Fields) -> Result<Item> {
    let goal = fields.text("goal")?;
    let solutions = [fields.text("sol1")?, fields.text("sol2")?];
    let label = label_or_number(fields.get("label")?, "label")?;
    let answer = place_of(label, ["0", "1"].map(str::to_owned).into())?;
    let continuations = solutions.map(|solution| format!(" {solution}")).into();
    Ok(Item::new(format!("Question: {goal}\nAnswer:"), continuations, answer))
}

/// Partial evaluation: what follows the blank is scored, after each option in the blank (Trinh and Le 2018,
/// arXiv 1806.02847).
fn winogrande(fields: Fields) -> Result<Item> {
    let (before, after) = fields.text("sentence")?.split_once('_').ok_or(ItemProblem::NoBlank)?;
    let options = [fields.text("option1")?, fields.text("option2")?];
    let label = label_or_number(fields.get("answer")?, "answer")?;
    let answer = place_of(label, ["1", "2"].map(str::to_owned).into())?;
    let item = Item::new("", vec![format!(" {}", after.trim()); 2], answer);
    Ok(Item { beginnings: options.map(|option| format!("{before}{option}")).into(), ..item })
}

const LETTERS: [&str; 4] = ["A", "B", "C", "D"];

/// The letters of the choices are scored.
fn mmlu(fields: Fields) -> Result<Item> {
    let (question, subject) = (fields.text("question")?.trim(), fields.text("subject")?);
    let choices = strings(fields.get("choices")?, "choices")?;
    if choices.len() != LETTERS.len() {
        return Err(ItemProblem::WrongType { field: "choices", expected: "a list of 4 strings" });
    }
    let answer = label_or_number(fields.get("answer")?, "answer")?;
    let answer = match LETTERS.iter().position(|letter| *letter == answer) {
        Some(place) => place,
        None => place_of(answer, (0..LETTERS.len()).map(|place| place.to_string()).collect())?,
    };
    let listed: String = LETTERS.iter().zip(choices).map(|(letter, choice)| format!("\n{letter}. {choice}")).collect();
    let topic = subject.replace('_', " ");
    Ok(Item {
        preamble: format!("The following are multiple choice questions (with answers) about {topic}.\n\n"),
        subject: Some(subject.to_owned()),
        ..Item::new(format!("{question}{listed}\nAnswer:"), LETTERS.map(|letter| format!(" {letter}")).into(), answer)
    })
}

fn place_of(answer: String, labels: Vec<String>) -> Result<usize> {
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
    fn a_goal_has_two_solutions() {
        let line = r#"{"goal": "Open a jar", "sol1": "tap the lid", "sol2": "sing ", "label": 1}"#;
        let item = only(Task::Piqa, line);
        assert_eq!((item.prompt(0).as_str(), item.answer), ("Question: Open a jar\nAnswer:", 1));
        assert_eq!((item.continuations[1].as_str(), item.n_chars(1)), (" sing ", 5));
        let unlabelled = problem(Task::Piqa, line.replace("\": 1", "\": -1").as_bytes());
        assert_eq!(unlabelled, "items.jsonl, line 1: its answer `-1` is none of its choices (0, 1)");
    }

    #[test]
    fn a_blank_is_filled_and_the_rest_is_scored() {
        let line = r#"{"sentence": "The _ hit the wall_, as it was hard .", "option1": "ball", "option2": "egg", "answer": "1"}"#;
        let item = only(Task::WinoGrande, line);
        assert_eq!([item.prompt(0), item.prompt(1)], ["The ball", "The egg"]);
        assert_eq!(item.continuations, [" hit the wall_, as it was hard ."; 2]);
        assert_eq!((item.answer, item.context.as_str()), (0, ""));
        let found = |line: &str| problem(Task::WinoGrande, line.as_bytes());
        assert_eq!(found(&line.replace('_', "")), "items.jsonl, line 1: its sentence has no blank `_`");
        let test = found(&line.replace("\"1\"", "\"\""));
        assert_eq!(test, "items.jsonl, line 1: its answer `` is none of its choices (1, 2)");
    }

    #[test]
    fn letters_of_choices_are_scored() {
        let line = r#"{"question": " Which?\n", "subject": "high_school_us_history", "choices": ["w", "x", "y", "z"], "answer": 2}"#;
        let item = only(Task::Mmlu, line);
        let expected = "The following are multiple choice questions (with answers) about high school us history.\n\n\
            Which?\nA. w\nB. x\nC. y\nD. z\nAnswer:";
        assert_eq!((item.prompt(0).as_str(), item.answer), (expected, 2));
        assert_eq!(item.continuations, [" A", " B", " C", " D"]);
        assert_eq!(item.subject.as_deref(), Some("high_school_us_history"));
        assert_eq!(only(Task::Mmlu, &line.replace("\": 2", "\": \"C\"")), item);
        let found = |from: &str, to: &str| problem(Task::Mmlu, line.replace(from, to).as_bytes());
        assert_eq!(found("\": 2", "\": 4"), "items.jsonl, line 1: its answer `4` is none of its choices (0, 1, 2, 3)");
        let few = found(", \"z\"", "");
        assert_eq!(few, "items.jsonl, line 1: its field `choices` is not a list of 4 strings");
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
        let long = format!("\"\\n{}\"", "x".repeat(1000));
        assert!(found(&long).len() < 250 && !found(&long).contains('\n'), "{}", found(&long));
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
