//! The changes that a search tries: [`Operator`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::SurgeryError;

/// A kind of change of a plan, tried wherever it can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operator {
    /// A layer is left out.
    Delete,
    /// What the attention of a layer writes is zeroed.
    DeleteAttention,
    /// What the MLP of a layer writes is zeroed.
    DeleteMlp,
    /// A block of neighbouring slots runs once more, right after itself.
    RepeatBlock,
    /// Two neighbouring slots are swapped.
    Swap,
}

impl Operator {
    /// All of them.
    pub const ALL: [Operator; 5] =
        [Operator::Delete, Operator::DeleteAttention, Operator::DeleteMlp, Operator::RepeatBlock, Operator::Swap];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Operator::Delete => "delete",
            Operator::DeleteAttention => "delete_attention",
            Operator::DeleteMlp => "delete_mlp",
            Operator::RepeatBlock => "repeat_block",
            Operator::Swap => "swap",
        }
    }

    /// Whether it makes the model smaller.
    pub fn removes(self) -> bool {
        matches!(self, Operator::Delete | Operator::DeleteAttention | Operator::DeleteMlp)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Operator {
    type Err = SurgeryError;

    fn from_str(name: &str) -> Result<Self, SurgeryError> {
        Self::ALL.into_iter().find(|operator| operator.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Operator::name).join(", ");
            SurgeryError::BadSearch { reason: format!("unknown operator `{name}`; known: {known}") }
        })
    }
}
