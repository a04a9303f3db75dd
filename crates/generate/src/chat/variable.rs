//! A variable of a chat template as a text: [`ChatVariable`].

use std::str::FromStr;

use minijinja::Value;

use crate::GenerateError;

/// A variable of a chat template, which is read from `NAME=VALUE`; the value is JSON.
///
/// ```
/// use stratigraph_generate::chat::{ChatTemplate, ChatVariable};
///
/// let template = ChatTemplate::new("{% if enable_thinking is false %}quick{% endif %}")?;
/// let variable: ChatVariable = "enable_thinking=false".parse()?;
/// assert_eq!((variable.name(), template.with(variable.clone()).render(&[])?), ("enable_thinking", "quick".to_owned()));
/// # Ok::<(), stratigraph_generate::GenerateError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ChatVariable {
    pub(super) name: String,
    pub(super) value: Value,
}

impl ChatVariable {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for ChatVariable {
    type Err = GenerateError;

    /// # Errors
    /// [`GenerateError::BadVariable`] when there is no `=`, or no JSON after it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |reason: &str| GenerateError::BadVariable { text: text.to_owned(), reason: reason.to_owned() };
        let (name, value) =
            text.split_once('=').ok_or_else(|| bad("write NAME=VALUE, such as enable_thinking=false"))?;
        // Read as a value of the template, which keeps the order of an object's keys.
        let value = serde_json::from_str(value)
            .map_err(|_| bad("the value is not JSON; write false, 3 or \"a text\" with its quotation marks"))?;
        Ok(Self { name: name.to_owned(), value })
    }
}
