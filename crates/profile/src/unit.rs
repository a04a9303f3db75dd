//! What numbers are measured in and how they are drawn: [`Unit`], [`Scale`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// The unit of a number. It is written as text: `nats`, `fraction`, or a text that the user chooses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum Unit {
    /// Natural logarithms of probabilities.
    Nats,
    /// Logarithms to the base 2.
    Bits,
    /// A part of a whole, between 0 and 1.
    Fraction,
    /// A number of things.
    Count,
    /// A cosine, or 1 minus one.
    Cosine,
    /// A Euclidean length of activations.
    Norm,
    /// An angle; 1 is half a turn.
    HalfTurns,
    /// A position in an order that begins with 1.
    Rank,
    /// A difference of logits.
    Logits,
    /// A pure number.
    #[default]
    Dimensionless,
    /// Another unit.
    Other(String),
}

/// Every unit that has a name of its own.
const NAMED: [(Unit, &str); 10] = [
    (Unit::Nats, "nats"),
    (Unit::Bits, "bits"),
    (Unit::Fraction, "fraction"),
    (Unit::Count, "count"),
    (Unit::Cosine, "cosine"),
    (Unit::Norm, "norm"),
    (Unit::HalfTurns, "half turns"),
    (Unit::Rank, "rank"),
    (Unit::Logits, "logits"),
    (Unit::Dimensionless, ""),
];

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = NAMED.iter().find(|(unit, _)| unit == self).map(|(_, name)| *name);
        f.pad(match self {
            Unit::Other(text) => text,
            _ => named.unwrap_or_default(),
        })
    }
}

impl From<String> for Unit {
    fn from(text: String) -> Self {
        let named = NAMED.into_iter().find(|(_, name)| *name == text).map(|(unit, _)| unit);
        named.unwrap_or(Unit::Other(text))
    }
}

impl From<&str> for Unit {
    fn from(text: &str) -> Self {
        Unit::from(text.to_owned())
    }
}

impl From<Unit> for String {
    fn from(unit: Unit) -> Self {
        unit.to_string()
    }
}

/// How numbers are drawn as heights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Scale {
    /// Linearly, from 0.
    #[default]
    Linear,
    /// Linearly, from 0, to at most 1.
    Share,
    /// Linearly, over the range of the numbers.
    Fitted,
    /// By the logarithm where the numbers span a decade or more, and linearly otherwise. Numbers that are not positive
    /// are left out of a logarithmic axis; those more than a million times below the largest lie on its lower end.
    Log,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_back_from_its_text() {
        for unit in NAMED.into_iter().map(|(unit, _)| unit).chain([Unit::Other("volts".into())]) {
            let json = serde_json::to_string(&unit).unwrap();
            assert_eq!(serde_json::from_str::<Unit>(&json).unwrap(), unit, "{json}");
        }
        assert_eq!(Unit::from("nats"), Unit::Nats);
    }
}
