//! Conversations as one text: [`ChatTemplate`], of [`ChatMessage`]s and [`ChatVariable`]s.

mod calendar;
mod functions;
mod json;
mod variable;

use std::collections::{BTreeMap, BTreeSet};

use minijinja::value::ValueKind;
use minijinja::{Environment, Value};
use serde::Serialize;

pub use self::variable::ChatVariable;
use crate::{GenerateError, Result};

/// The variables that [`ChatTemplate::render`] sets.
const OWN: [&str; 2] = ["messages", "add_generation_prompt"];

/// The variables that transformers sets to none where they are not given.
const OPTIONAL: [&str; 2] = ["tools", "documents"];

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChatMessage {
    /// Who says it: `system`, `user` or `assistant`.
    pub role: String,
    /// The text.
    pub content: String,
}

impl ChatMessage {
    /// What somebody says.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }

    /// What the user says.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new("user", content)
    }

    /// Instructions before the conversation.
    pub fn system(content: impl Into<String>) -> Self {
        Self::new("system", content)
    }
}

/// A chat template of Hugging Face, in Jinja: it makes the text of a conversation that a model was tuned on.
///
/// It renders as `apply_chat_template` of transformers does: blocks are trimmed, `tojson` writes as Python does,
/// `raise_exception` and `strftime_now` (in UTC) are there, and so are the special tokens, such as `bos_token`. Where `tools`
/// and `documents` are not given, they are none.
///
/// ```
/// use stratigraph_generate::chat::{ChatMessage, ChatTemplate};
///
/// let source = "{% for m in messages %}<|{{ m.role }}|>{{ m['content'].strip() }}{{ eos_token }}\n{% endfor %}\
///               {% if add_generation_prompt %}<|assistant|>{% endif %}";
/// let template = ChatTemplate::new(source)?.with_special_token("eos_token", "</s>");
/// let text = template.render(&[ChatMessage::user(" Hello ")])?;
/// assert_eq!(text, "<|user|>Hello</s>\n<|assistant|>");
/// # Ok::<(), stratigraph_generate::GenerateError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    source: String,
    variables: BTreeMap<String, Value>,
    add_generation_prompt: bool,
}

impl ChatTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// [`GenerateError::BadTemplate`] when it is not one.
    pub fn new(source: impl Into<String>) -> Result<Self> {
        let source = without_generation_tags(&source.into());
        environment().template_from_str(&source).map_err(|error| bad_template(&error))?;
        Ok(Self { source, variables: BTreeMap::new(), add_generation_prompt: true })
    }

    /// With the text of a special token, by the name that tokenizers give it: `bos_token`, `eos_token`.
    pub fn with_special_token(self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.with_variable(name, text.into())
    }

    /// With a variable that some templates read, such as `enable_thinking`; of several of one name the last counts. What
    /// [`variables`](ChatTemplate::variables) lacks has no effect, nor have `messages` and `add_generation_prompt`, which
    /// [`render`](ChatTemplate::render) sets.
    pub fn with_variable(self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.with(ChatVariable { name: name.into(), value: Value::from_serialize(value) })
    }

    /// The same, with a variable that was read from a text.
    pub fn with(mut self, variable: ChatVariable) -> Self {
        self.variables.insert(variable.name, variable.value);
        self
    }

    /// The variables that the template reads and does not set itself, but for those of [`render`](ChatTemplate::render) and the
    /// functions of a template.
    ///
    /// ```
    /// # use stratigraph_generate::chat::ChatTemplate;
    /// let template = ChatTemplate::new("{% if enable_thinking is false %}{{ raise_exception('no') }}{% endif %}{{ messages }}")?;
    /// assert!(template.variables().eq(["enable_thinking"]));
    /// # Ok::<(), stratigraph_generate::GenerateError>(())
    /// ```
    pub fn variables(&self) -> impl Iterator<Item = String> {
        let environment = environment();
        let source = with_set_expressions(&self.source);
        let read = environment.template_from_str(&source).map(|template| template.undeclared_variables(false));
        let is_own =
            |name: &String| !OWN.contains(&name.as_str()) && environment.globals().all(|(global, _)| global != name);
        let read: BTreeSet<String> = read.unwrap_or_default().into_iter().filter(is_own).collect();
        read.into_iter()
    }

    /// Ends with the last message, without the beginning of an answer.
    pub fn without_generation_prompt(self) -> Self {
        Self { add_generation_prompt: false, ..self }
    }

    /// The text of a conversation, with the beginning of an answer.
    ///
    /// # Errors
    /// [`GenerateError::BadTemplate`] when the template refuses the conversation, or fails.
    pub fn render(&self, messages: &[ChatMessage]) -> Result<String> {
        let mut variables = self.variables.clone();
        for name in OPTIONAL {
            variables.entry(name.to_owned()).or_insert(Value::from(()));
        }
        variables.insert(OWN[0].to_owned(), Value::from_serialize(messages));
        variables.insert(OWN[1].to_owned(), self.add_generation_prompt.into());
        let environment = environment();
        let template = environment.template_from_str(&self.source).map_err(|error| bad_template(&error))?;
        template.render(variables).map_err(|error| bad_template(&error))
    }
}

/// Jinja as transformers sets it up.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_formatter(|out, state, value| match value.kind() {
        // As Python writes them.
        ValueKind::Bool => Ok(out.write_str(if value.is_true() { "True" } else { "False" })?),
        ValueKind::None => Ok(out.write_str("None")?),
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment.add_function("raise_exception", functions::raise_exception);
    environment.add_function("strftime_now", functions::strftime_now);
    environment.add_filter("tojson", json::to_json);
    environment
}

/// With conditions that always hold in place of the tags by which transformers marks what an assistant wrote, so that what
/// these do to the white space around them stays.
fn without_generation_tags(source: &str) -> String {
    with_tags(source, |tag, content| match content {
        "generation" => tag.replace(content, "if true"),
        "endgeneration" => tag.replace(content, "endif"),
        _ => tag.to_owned(),
    })
}

/// With each expression that a variable is set to before its tag too: minijinja 2.24 takes the variable to be set already
/// where it looks for what the expression reads.
fn with_set_expressions(source: &str) -> String {
    let environment = environment();
    with_tags(source, |tag, content| {
        let expression = content.strip_prefix("set").and_then(|set| Some(set.split_once('=')?.1));
        match expression.filter(|expression| environment.compile_expression(expression).is_ok()) {
            Some(expression) => format!("{{{{ {expression} }}}}{tag}"),
            None => tag.to_owned(),
        }
    })
}

/// With another text for each tag, given the tag and what it contains.
fn with_tags(source: &str, replaced: impl Fn(&str, &str) -> String) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start + 2..].find("%}").map(|at| at + 4) else { break };
        let tag = &rest[start..start + length];
        text.push_str(&rest[..start]);
        text.push_str(&replaced(tag, tag[2..length - 2].trim_matches(['-', '+']).trim()));
        rest = &rest[start + length..];
    }
    text.push_str(rest);
    text
}

fn bad_template(error: &minijinja::Error) -> GenerateError {
    let reason = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    let line = error.line().map_or_else(String::new, |line| format!(" (line {line})"));
    GenerateError::BadTemplate { reason: format!("{reason}{line}") }
}
