//! What tokens look like: [`TokenTexts`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The text of each token by its id, as it is after a letter, so that a token that begins a word shows the space before it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenTexts(BTreeMap<u32, String>);

impl TokenTexts {
    /// Adds the text of a token.
    pub fn insert(&mut self, id: u32, text: impl Into<String>) {
        self.0.insert(id, text.into());
    }

    /// The text of a token; `#7` for one whose text is not known.
    pub fn of(&self, id: u32) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| format!("#{id}"))
    }

    /// The text of a token on one line, with its white space visible: `␣` for a space, `⏎` for a line break, `⇥` for a tab, and `∅`
    /// for a token without text.
    ///
    /// ```
    /// use stratigraph_profile::prompt::TokenTexts;
    /// let mut texts = TokenTexts::default();
    /// texts.insert(1, " Paris\n");
    /// texts.insert(2, "");
    /// assert_eq!((texts.shown(1), texts.shown(2), texts.shown(3)), ("␣Paris⏎".into(), "∅".into(), "#3".into()));
    /// ```
    pub fn shown(&self, id: u32) -> String {
        let visible = |c: char| match c {
            ' ' | '\u{a0}' => '␣',
            '\n' => '⏎',
            '\r' => '␍',
            '\t' => '⇥',
            c if c.is_control() || is_invisible(c) => '\u{fffd}',
            c => c,
        };
        match self.of(id) {
            text if text.is_empty() => "∅".to_owned(),
            text => text.chars().map(visible).collect(),
        }
    }

    /// Whether the text of a token is known.
    pub fn contains(&self, id: u32) -> bool {
        self.0.contains_key(&id)
    }
}

/// Characters without width, and those that change the direction of writing.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}')
}
