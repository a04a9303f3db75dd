//! What experiments say about the story of a stage: [`StoryCheck`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Stage;

/// What an experiment says about a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The claim's prediction holds: the 95 % confidence interval lies on its side.
    Holds,
    /// The opposite holds: the interval lies on the other side.
    Refuted,
    /// Neither.
    Unclear,
    /// The experiment was not made.
    NotMeasured,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Outcome::Holds => "holds",
            Outcome::Refuted => "refuted",
            Outcome::Unclear => "unclear",
            Outcome::NotMeasured => "not measured",
        })
    }
}

/// A prediction that the story of a stage makes, and what an experiment says about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoryCheck {
    /// The stage that the story is about; none for all of them.
    pub stage: Option<Stage>,
    /// What it predicts.
    pub claim: String,
    /// The curve that was read, or that would have to be measured.
    pub curve: String,
    /// What the experiment says.
    pub outcome: Outcome,
    /// The numbers, in words; empty where it was not measured.
    pub text: String,
}

impl StoryCheck {
    /// A claim about a stage and the curve of its experiment, which was not measured.
    pub fn new(stage: Option<Stage>, claim: impl Into<String>, curve: impl Into<String>) -> Self {
        let (claim, curve, text) = (claim.into(), curve.into(), String::new());
        Self { stage, claim, curve, outcome: Outcome::NotMeasured, text }
    }

    /// Sets what the experiment says, with its numbers.
    pub fn with_outcome(mut self, outcome: Outcome, text: impl Into<String>) -> Self {
        (self.outcome, self.text) = (outcome, text.into());
        self
    }

    /// It in words.
    pub fn in_words(&self) -> String {
        let stage = self.stage.map_or("all stages".to_owned(), |stage| stage.to_string());
        let text = if self.text.is_empty() { String::new() } else { format!(": {}", self.text) };
        format!("{stage}: {} ({}): {}{text}", self.claim, self.curve, self.outcome)
    }
}
