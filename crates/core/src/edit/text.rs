//! Edits as text: `blocks.3.attn.hook_z heads=2 pos=1.. zero`. Indices are lists of numbers and half-open ranges.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::indices::{Indices, indices, number, parse_positions};
use super::{EditData, EditKind, MeanOver, Positions, Units};
use crate::{CoreError, Edit, HookPoint, shown};

impl fmt::Display for EditKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EditKind::Zero => f.write_str("zero"),
            EditKind::Mean(MeanOver::All) => f.write_str("mean"),
            EditKind::Mean(MeanOver::Each) => f.write_str("mean(each)"),
            EditKind::Mean(MeanOver::From(first)) => write!(f, "mean({first}..)"),
            EditKind::Resample => f.write_str("resample"),
            EditKind::Clean => f.write_str("clean"),
            EditKind::Scale(factor) => write!(f, "scale({factor})"),
            EditKind::Add(values) => write!(f, "add(#{})", values.id()),
            EditKind::Patch(values) => write!(f, "patch(#{})", values.id()),
            EditKind::MaskDistances(distances) => {
                write!(f, "mask_distances({}..{})", distances.start(), distances.end() + 1)
            }
            EditKind::MaskKeys(keys) => write!(f, "mask_keys({keys})"),
            EditKind::MaskPairs(pairs) => write!(f, "mask_pairs({})", pairs.id()),
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
        Self::parse_with(text, &EditData::default())
    }
}

impl Edit {
    /// Reads an edit from its text. `data` has the tensors of `add(#ID)` and `patch(#ID)` and the pairs of `mask_pairs(ID)`.
    ///
    /// # Errors
    /// When the text is not an edit, or names data that are not given.
    pub fn parse_with(text: &str, data: &EditData) -> Result<Self, CoreError> {
        let bad = |reason: String| CoreError::UnknownEdit { text: text.to_owned(), reason };
        let (point, mut rest) = first_word(text).ok_or_else(|| bad("it is empty".to_owned()))?;
        let point: HookPoint = point.parse()?;
        let (mut positions, mut units) = (Positions::All, Units::All);
        while let Some((word, after)) = first_word(rest) {
            let Some((key, of)) = word.split_once('=').filter(|(key, _)| !key.contains('(')) else { break };
            match key {
                "pos" if positions != Positions::All => return Err(bad("it gives positions twice".to_owned())),
                "heads" | "units" if units != Units::All => {
                    return Err(bad("it gives heads or units twice; write one list, such as heads=0,2".to_owned()));
                }
                "heads" => units = Units::heads(indices(of).map_err(bad)?),
                "units" => units = Units::only(indices(of).map_err(bad)?),
                "pos" => positions = parse_positions(of).map_err(bad)?,
                _ => return Err(bad(format!("`{}` is not heads, units or pos", shown(key)))),
            }
            rest = after;
        }
        let kind = parse_kind(rest.trim(), data).map_err(bad)?;
        Ok(Self { point, positions, units, kind })
    }
}

/// The first word of a text, and what follows it.
fn first_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let (word, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    (!word.is_empty()).then_some((word, rest))
}

/// Reads what an edit does; ids of pairs may have spaces.
fn parse_kind(text: &str, data: &EditData) -> Result<EditKind, String> {
    let end = match text.find('(') {
        Some(_) => text.rfind(')').map_or(text.len(), |at| at + 1),
        None => text.find(char::is_whitespace).unwrap_or(text.len()),
    };
    let (text, after) = text.split_at(end);
    if text.is_empty() {
        return Err("it does not say what to do".to_owned());
    }
    if !after.trim().is_empty() {
        return Err(format!("`{}` comes after what the edit does", shown(after.trim())));
    }
    let (name, argument) = match text.split_once('(') {
        Some((name, rest)) => (name, Some(rest.strip_suffix(')').ok_or("a parenthesis is not closed")?)),
        None => (text, None),
    };
    match (name, argument) {
        ("zero", None) => Ok(EditKind::Zero),
        ("mean", None) => Ok(EditKind::Mean(MeanOver::All)),
        ("mean", Some("each")) => Ok(EditKind::Mean(MeanOver::Each)),
        ("mean", Some(positions)) => match positions.strip_suffix("..") {
            Some(first) => Ok(EditKind::Mean((number(first)?..).into())),
            None => Err(format!("`{}` is neither each nor positions from one on, such as 1..", shown(positions))),
        },
        ("resample", None) => Ok(EditKind::Resample),
        ("clean", None) => Ok(EditKind::Clean),
        ("skip", None) => Ok(EditKind::SkipLayer),
        ("scale", Some(factor)) => {
            factor.parse().map(EditKind::Scale).map_err(|_| format!("`{}` is not a number", shown(factor)))
        }
        ("mask_keys", Some(keys)) => parse_positions(keys).map(EditKind::MaskKeys),
        ("mask_distances", Some(distances)) => match indices(distances)?[..] {
            [first, .., last] if !distances.contains(',') => Ok(EditKind::MaskDistances(first..=last)),
            [only] => Ok(EditKind::MaskDistances(only..=only)),
            _ => Err("distances are one range, such as 1..6".to_owned()),
        },
        ("add" | "patch", Some(id)) if let Some(values) = id.strip_prefix('#').and_then(|id| data.values().get(id)) => {
            let values = values.clone();
            Ok(if name == "add" { EditKind::Add(values) } else { EditKind::Patch(values) })
        }
        ("mask_pairs", Some(id)) if let Some(pairs) = data.pairs().get(id) => Ok(EditKind::MaskPairs(pairs.clone())),
        ("add" | "patch" | "custom" | "mask_pairs", Some(_)) => {
            Err(format!("`{name}` holds tensors, pairs or a function, which text cannot; make it in code"))
        }
        _ => Err(format!(
            "`{}` is none of zero, mean, mean(each), mean(N..), resample, clean, scale(X), mask_distances(A..B), \
             mask_keys(..), skip",
            shown(text)
        )),
    }
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
    use crate::{AttentionPair, Edit, EditData, Hook, MeanOver, PairMask, Positions};

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
            (Edit::mean_over(Hook::Z.at(2), MeanOver::Each).with_heads([1]), "blocks.2.attn.hook_z heads=1 mean(each)"),
            (Edit::mean_over(Hook::MlpOut.at(0), 1..), "blocks.0.hook_mlp_out mean(1..)"),
            (Edit::freeze(Hook::Pattern.at(4)), "blocks.4.attn.hook_pattern clean"),
            (Edit::freeze(Hook::Ln1Scale.at(4)).with_positions(2..), "blocks.4.ln1.hook_scale pos=2.. clean"),
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
            "blocks.3.attn.hook_attn_scores mask_distances(1,3..6)",
            "blocks.3.attn.hook_z heads=0 heads=2 zero",
            "blocks.3.attn.hook_z heads=0 units=2 zero",
            "blocks.3.attn.hook_z pos=1,2 pos=5 zero",
            "blocks.3.hook_mlp_out mean(all)",
            "blocks.3.hook_mlp_out mean(1)",
            "blocks.3.hook_mlp_out mean()",
            "blocks.3.hook_mlp_out clean(1..)",
        ] {
            assert!(text.parse::<Edit>().is_err(), "{text}");
        }
        let function = "blocks.3.hook_mlp_out custom(mine)".parse::<Edit>().unwrap_err().to_string();
        assert!(function.contains("make it in code"), "{function}");
        let pairs = Edit::mask_pairs(3, PairMask::new("words", vec![vec![AttentionPair::new(1, 0)]]));
        assert!(!pairs.is_text() && pairs.to_string().parse::<Edit>().is_err());
        let after = "blocks.3.hook_mlp_out scale(2) zero".parse::<Edit>().unwrap_err().to_string();
        assert!(after.contains("`zero` comes after what the edit does"), "{after}");
    }

    #[test]
    fn edits_with_data_are_read_with_it() {
        let mask = PairMask::new("within words, seed 3", vec![vec![AttentionPair::new(1, 0)]]);
        let edit = Edit::mask_pairs(3, mask).with_positions(1..).with_heads([0]);
        let text = "blocks.3.attn.hook_attn_scores heads=0 pos=1.. mask_pairs(within words, seed 3)";
        assert_eq!(edit.to_string(), text);
        let data = EditData::of([&edit]);
        assert_eq!(Edit::parse_with(text, &data).unwrap(), edit);
        assert!(edit.is_text_with_data() && Edit::parse_with(&text.replace('3', "4"), &data).is_err());
    }

    #[test]
    fn a_mean_from_the_first_position_on_is_the_mean_over_all() {
        assert_eq!("hook_embed mean(0..)".parse::<Edit>().unwrap(), Edit::mean(Hook::Embed.at(0)));
    }
}
