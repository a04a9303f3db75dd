//! Fields of a line of JSON, with what is wrong when they are not there: [`Fields`].

use serde_json::Value;

use crate::ItemProblem;

type Result<T> = std::result::Result<T, ItemProblem>;

/// The fields of an object; any other value has none.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(pub &'a Value);

impl<'a> Fields<'a> {
    pub(crate) fn get(self, field: &'static str) -> Result<&'a Value> {
        self.0.get(field).ok_or(ItemProblem::MissingField { field })
    }

    pub(crate) fn text(self, field: &'static str) -> Result<&'a str> {
        let value = self.get(field)?;
        value.as_str().ok_or(ItemProblem::WrongType { field, expected: "a string" })
    }
}

/// A list of strings.
pub(crate) fn strings<'a>(value: &'a Value, field: &'static str) -> Result<Vec<&'a str>> {
    let texts = value.as_array().and_then(|values| values.iter().map(Value::as_str).collect());
    texts.ok_or(ItemProblem::WrongType { field, expected: "a list of strings" })
}

/// A string, or a whole number as its digits.
pub(crate) fn label_or_number(value: &Value, field: &'static str) -> Result<String> {
    let number = || value.as_i64().map(|number| number.to_string());
    let text = value.as_str().map(|text| text.trim().to_owned()).or_else(number);
    text.ok_or(ItemProblem::WrongType { field, expected: "a string or a whole number" })
}

/// The texts and labels of a list of objects that have one each.
pub(crate) fn labelled(value: &Value) -> Result<(Vec<&str>, Vec<String>)> {
    let wrong = ItemProblem::WrongType { field: "choices", expected: "a list" };
    let choices = value.as_array().ok_or(wrong)?.iter().map(Fields);
    let pairs = choices.map(|choice| Ok((choice.text("text")?, label_or_number(choice.get("label")?, "label")?)));
    pairs.collect()
}
