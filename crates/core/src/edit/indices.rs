//! Lists of numbers and half-open ranges as text, `0,3..6`: [`Indices`], [`indices`], and [`Positions`].

use std::fmt;
use std::str::FromStr;

use super::Positions;
use crate::{CoreError, shown};

/// Indices that are printed as `0,3..6`.
pub(super) struct Indices<'a>(pub(super) &'a [usize]);

impl fmt::Display for Indices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, run) in self.0.chunk_by(|a, b| a + 1 == *b).enumerate() {
            f.write_str(if nth == 0 { "" } else { "," })?;
            match run {
                [one] => write!(f, "{one}")?,
                [one, two] => write!(f, "{one},{two}")?,
                _ => write!(f, "{}..{}", run[0], run[run.len() - 1] + 1)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Positions::All => f.write_str("0.."),
            Positions::From(first) => write!(f, "{first}.."),
            Positions::Only(positions) => Indices(positions).fmt(f),
            Positions::Mask(mask) if mask.is_negated() => write!(f, "not_mask({})", mask.id()),
            Positions::Mask(mask) => write!(f, "mask({})", mask.id()),
        }
    }
}

/// Reads `1..` and `0,3..6`.
pub(super) fn parse_positions(text: &str) -> Result<Positions, String> {
    match text.strip_suffix("..") {
        Some(first) => Ok(Positions::from(number(first)?)),
        None => Ok(Positions::only(indices(text)?)),
    }
}

impl FromStr for Positions {
    type Err = CoreError;

    /// Reads `1..` and `0,3..6`.
    fn from_str(text: &str) -> Result<Self, CoreError> {
        parse_positions(text).map_err(|reason| CoreError::NotPositions { text: text.to_owned(), reason })
    }
}

/// Reads `0,3..6`.
pub(super) fn indices(text: &str) -> Result<Vec<usize>, String> {
    /// A longer range is taken for a typing error.
    const MOST: usize = 1 << 20;
    let mut indices = Vec::new();
    for part in text.split(',') {
        match part.split_once("..") {
            Some((start, end)) => {
                let (start, end) = (number(start)?, number(end)?);
                if start >= end || end > MOST {
                    let part = shown(part);
                    return Err(format!("the range {part} is empty or too long; ranges are half-open, such as 3..6"));
                }
                indices.extend(start..end);
            }
            None => indices.push(number(part)?),
        }
    }
    Ok(indices)
}

/// Reads a whole number.
pub(super) fn number(text: &str) -> Result<usize, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().ok_or_else(|| format!("`{}` is not a whole number", shown(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_print_and_parse_back() {
        for (positions, text) in [
            (Positions::All, "0.."),
            (Positions::from(3), "3.."),
            (Positions::only([7, 2, 3, 4]), "2..5,7"),
            (Positions::only([0]), "0"),
        ] {
            assert_eq!((positions.to_string(), text.parse()), (text.to_owned(), Ok(positions)));
        }
        let refused = "1..x".parse::<Positions>().unwrap_err().to_string();
        assert!(refused.contains("`1..x`") && refused.contains("`x` is not a whole number"), "{refused}");
    }
}
