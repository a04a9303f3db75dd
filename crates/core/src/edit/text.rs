//! Edits as text: `blocks.3.attn.hook_z heads=2 pos=1.. zero`. Indices are lists of numbers and half-open ranges.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{EditKind, Positions, Units};
use crate::{CoreError, Edit, HookPoint};

/// Indices that are printed as `0,3..6`.
struct Indices<'a>(&'a [usize]);

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
            Positions::Mask(mask) => write!(f, "mask({})", mask.id()),
        }
    }
}

impl fmt::Display for EditKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EditKind::Zero => f.write_str("zero"),
            EditKind::Mean => f.write_str("mean"),
            EditKind::Resample => f.write_str("resample"),
            EditKind::Scale(factor) => write!(f, "scale({factor})"),
            EditKind::Add(values) => write!(f, "add(#{})", values.id()),
            EditKind::Patch(values) => write!(f, "patch(#{})", values.id()),
            EditKind::MaskDistances(distances) => {
                write!(f, "mask_distances({}..{})", distances.start(), distances.end() + 1)
            }
            EditKind::MaskKeys(keys) => write!(f, "mask_keys({keys})"),
            EditKind::SkipLayer => f.write_str("skip"),
            EditKind::Custom(function) => write!(f, "custom({})", function.id()),
        }
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.point())?;
        match self.units() {
            Units::All => {}
            Units::Heads(heads) => write!(f, " heads={}", Indices(heads))?,
            Units::Units(units) => write!(f, " units={}", Indices(units))?,
        }
        if *self.positions() != Positions::All {
            write!(f, " pos={}", self.positions())?;
        }
        write!(f, " {}", self.kind())
    }
}

impl FromStr for Edit {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        let bad = |reason: String| CoreError::UnknownEdit { text: text.to_owned(), reason };
        let mut words = text.split_whitespace();
        let point: HookPoint = words.next().ok_or_else(|| bad("it is empty".to_owned()))?.parse()?;
        let mut edit = None;
        let (mut positions, mut units) = (Positions::All, Units::All);
        for word in words {
            if edit.is_some() {
                return Err(bad(format!("`{word}` stands after what the edit does")));
            }
            match word.split_once('=') {
                Some(("heads", heads)) => units = Units::heads(indices(heads).map_err(bad)?),
                Some(("units", of)) => units = Units::only(indices(of).map_err(bad)?),
                Some(("pos", of)) => positions = parse_positions(of).map_err(bad)?,
                Some((key, _)) => return Err(bad(format!("`{key}` is not heads, units or pos"))),
                None => edit = Some(parse_kind(word).map_err(bad)?),
            }
        }
        let kind = edit.ok_or_else(|| bad("it does not say what to do".to_owned()))?;
        Ok(Self { point, positions, units, kind })
    }
}

fn parse_kind(text: &str) -> Result<EditKind, String> {
    let (name, argument) = match text.split_once('(') {
        Some((name, rest)) => (name, Some(rest.strip_suffix(')').ok_or("a parenthesis is not closed")?)),
        None => (text, None),
    };
    match (name, argument) {
        ("zero", None) => Ok(EditKind::Zero),
        ("mean", None) => Ok(EditKind::Mean),
        ("resample", None) => Ok(EditKind::Resample),
        ("skip", None) => Ok(EditKind::SkipLayer),
        ("scale", Some(factor)) => {
            factor.parse().map(EditKind::Scale).map_err(|_| format!("`{factor}` is not a number"))
        }
        ("mask_keys", Some(keys)) => parse_positions(keys).map(EditKind::MaskKeys),
        ("mask_distances", Some(distances)) => match indices(distances)?[..] {
            [first, .., last] if distances.contains("..") => Ok(EditKind::MaskDistances(first..=last)),
            [only] => Ok(EditKind::MaskDistances(only..=only)),
            _ => Err("distances are one range, such as 1..6".to_owned()),
        },
        ("add" | "patch" | "custom", Some(_)) => {
            Err(format!("`{name}` holds tensors or a function, which text cannot; make it in code"))
        }
        _ => Err(format!(
            "`{text}` is none of zero, mean, resample, scale(X), mask_distances(A..B), mask_keys(..), skip"
        )),
    }
}

fn parse_positions(text: &str) -> Result<Positions, String> {
    match text.strip_suffix("..") {
        Some(first) => Ok(Positions::from(number(first)?)),
        None => Ok(Positions::only(indices(text)?)),
    }
}

/// Reads `0,3..6`.
fn indices(text: &str) -> Result<Vec<usize>, String> {
    /// A longer range is taken for a typing error.
    const MOST: usize = 1 << 20;
    let mut indices = Vec::new();
    for part in text.split(',') {
        match part.split_once("..") {
            Some((start, end)) => {
                let (start, end) = (number(start)?, number(end)?);
                if start >= end || end > MOST {
                    return Err(format!("the range {part} is empty or too long; ranges are half-open, such as 3..6"));
                }
                indices.extend(start..end);
            }
            None => indices.push(number(part)?),
        }
    }
    Ok(indices)
}

fn number(text: &str) -> Result<usize, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().ok_or_else(|| format!("`{text}` is not a whole number"))
}

impl Serialize for Edit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Edit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Edit, Hook, Positions};

    #[test]
    fn edits_print_and_parse_back() {
        let edits = [
            (Edit::zero(Hook::Z.at(3)).with_heads([2]), "blocks.3.attn.hook_z heads=2 zero"),
            (Edit::mean(Hook::MlpOut.at(0)), "blocks.0.hook_mlp_out mean"),
            (Edit::resample(Hook::AttnOut.at(7)).with_positions(1..), "blocks.7.hook_attn_out pos=1.. resample"),
            (
                Edit::scale(Hook::MlpPost.at(1), 0.5).with_units([9, 4, 5, 6]),
                "blocks.1.mlp.hook_post units=4..7,9 scale(0.5)",
            ),
            (Edit::mask_distances(2, 1..=5), "blocks.2.attn.hook_attn_scores mask_distances(1..6)"),
            (Edit::mask_distances(2, 4..=4), "blocks.2.attn.hook_attn_scores mask_distances(4..5)"),
            (Edit::mask_keys(2, Positions::only([0])), "blocks.2.attn.hook_attn_scores mask_keys(0)"),
            (Edit::skip_layer(11).with_positions(3..6), "blocks.11.hook_resid_post pos=3..6 skip"),
            (Edit::zero(Hook::Embed.at(0)), "hook_embed zero"),
        ];
        for (edit, text) in edits {
            assert_eq!(edit.to_string(), text);
            assert_eq!(text.parse::<Edit>().unwrap(), edit);
            assert!(edit.is_text());
        }
    }

    #[test]
    fn what_is_not_an_edit_is_refused_with_a_reason() {
        for text in [
            "",
            "zero",
            "blocks.3.hook_mlp_out",
            "blocks.3.hook_mlp_out zero pos=1..",
            "blocks.3.hook_mlp_out null",
            "blocks.3.hook_mlp_out pos=5..3 zero",
            "blocks.3.hook_mlp_out pos=a zero",
            "blocks.3.hook_mlp_out head=1 zero",
            "blocks.3.hook_mlp_out scale(x)",
            "blocks.3.hook_mlp_out scale(1",
            "blocks.3.attn.hook_attn_scores mask_distances(1,3)",
        ] {
            assert!(text.parse::<Edit>().is_err(), "{text}");
        }
        let function = "blocks.3.hook_mlp_out custom(mine)".parse::<Edit>().unwrap_err().to_string();
        assert!(function.contains("make it in code"), "{function}");
    }
}
