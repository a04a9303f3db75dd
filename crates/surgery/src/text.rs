//! Plans as text: `0..14-12..30`, `0-1-3-2-4`, `0-(1+2)-3`, `none`; interventions add edits after `|`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use stratigraph_core::{Edit, EditData, Hook, shown};

use crate::{Intervention, LayerPlan, Step, SurgeryError};

/// The text of a plan without steps.
const EMPTY: &str = "none";
/// Layers that a text may name; a longer range is taken for a typing error.
const MOST: usize = 1 << 16;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Layer(layer) => write!(f, "{layer}"),
            Step::Parallel(layers) => {
                let layers: Vec<_> = layers.iter().map(usize::to_string).collect();
                write!(f, "({})", layers.join("+"))
            }
        }
    }
}

impl fmt::Display for LayerPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps().is_empty() {
            return f.write_str(EMPTY);
        }
        let follows = |a: &Step, b: &Step| matches!((a, b), (Step::Layer(a), Step::Layer(b)) if a + 1 == *b);
        for (nth, run) in self.steps().chunk_by(follows).enumerate() {
            f.write_str(if nth == 0 { "" } else { "-" })?;
            match run {
                [Step::Layer(first), .., Step::Layer(last)] if is_shorter(*first, *last) => {
                    write!(f, "{first}..{}", last + 1)?;
                }
                steps => {
                    let steps: Vec<_> = steps.iter().map(Step::to_string).collect();
                    f.write_str(&steps.join("-"))?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a range is shorter than the list of its layers: `3..6` is shorter than `3-4-5`, and `3..5` is not shorter
/// than `3-4`.
fn is_shorter(first: usize, last: usize) -> bool {
    last > first + 1
}

impl FromStr for LayerPlan {
    type Err = SurgeryError;

    fn from_str(text: &str) -> Result<Self, SurgeryError> {
        let Old { plan, edits } = Old::parse(text)?;
        if edits.is_empty() {
            return Ok(plan);
        }
        let reason = "it changes what a layer does, which a plan does not: read it as an Intervention".to_owned();
        Err(SurgeryError::BadPlan { text: text.to_owned(), reason })
    }
}

impl fmt::Display for Intervention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.plan())?;
        self.edits().iter().try_for_each(|edit| write!(f, " | {edit}"))
    }
}

impl FromStr for Intervention {
    type Err = SurgeryError;

    fn from_str(text: &str) -> Result<Self, SurgeryError> {
        Self::parse_with(text, &EditData::default())
    }
}

impl Intervention {
    /// Reads an intervention from its text, with the data that its edits name, as [`Edit::parse_with`].
    ///
    /// # Errors
    /// When the text is not an intervention, or names data that are not given.
    pub fn parse_with(text: &str, data: &EditData) -> Result<Self, SurgeryError> {
        let mut parts = text.split('|').map(str::trim);
        let Old { plan, edits } = Old::parse(parts.next().unwrap_or_default())?;
        let edits = edits.into_iter().map(Ok).chain(parts.map(|part| Ok(Edit::parse_with(part, data)?)));
        edits.collect::<Result<Vec<_>, SurgeryError>>().map(|edits| edits.into_iter().fold(plan.into(), Self::edit))
    }
}

/// A plan as older versions wrote it: `3a` and `3m` ran one sublayer of a layer, `3[a=mean]` replaced what one writes.
struct Old {
    plan: LayerPlan,
    edits: Vec<Edit>,
}

impl Old {
    fn parse(text: &str) -> Result<Self, SurgeryError> {
        let bad = |reason: String| SurgeryError::BadPlan { text: text.to_owned(), reason };
        let (mut steps, mut edits) = (Vec::new(), Vec::new());
        if text != EMPTY {
            for part in text.split('-') {
                let edit = parse_part(part, &mut steps).map_err(bad)?;
                edits.extend(edit.map(|edit| edit.in_slot(steps.len() - 1)));
                if steps.len() > MOST {
                    return Err(bad(format!("it has more than {MOST} steps")));
                }
            }
        }
        Ok(Self { plan: LayerPlan::new(steps), edits })
    }
}

/// Adds the steps of a part, and returns the edit of the last one where there is one.
fn parse_part(text: &str, steps: &mut Vec<Step>) -> Result<Option<Edit>, String> {
    if let Some(inner) = text.strip_prefix('(') {
        let inner = inner.strip_suffix(')').ok_or("a parenthesis is not closed")?;
        steps.push(Step::Parallel(inner.split('+').map(parse_layer).collect::<Result<_, _>>()?));
        return Ok(None);
    }
    if let Some((first, end)) = text.split_once("..") {
        let (first, end) = (parse_layer(first)?, parse_layer(end)?);
        if first >= end {
            return Err(format!("the range {} is empty; ranges are half-open, such as 3..6", shown(text)));
        }
        if end > MOST {
            return Err(format!("the range {} names more than {MOST} layers", shown(text)));
        }
        steps.extend((first..end).map(Step::Layer));
        return Ok(None);
    }
    let (layer, edit) = match text.strip_suffix(']').map(|inner| inner.split_once('[')) {
        Some(Some((layer, ablation))) => (layer, Some(parse_ablation(ablation)?)),
        Some(None) => return Err("a bracket is not opened".to_owned()),
        None => match (text.strip_suffix('a'), text.strip_suffix('m')) {
            (Some(layer), _) => (layer, Some(Edit::zero(Hook::MlpOut.at(0)))),
            (_, Some(layer)) => (layer, Some(Edit::zero(Hook::AttnOut.at(0)))),
            _ => (text, None),
        },
    };
    steps.push(Step::Layer(parse_layer(layer)?));
    Ok(edit)
}

fn parse_ablation(text: &str) -> Result<Edit, String> {
    let point = |sublayer: &str| match sublayer {
        "a" => Ok(Hook::AttnOut.at(0)),
        "m" => Ok(Hook::MlpOut.at(0)),
        _ => Err(format!("`{}` is neither a (attention) nor m (MLP)", shown(sublayer))),
    };
    match text.split_once('=') {
        Some((sublayer, "mean")) => Ok(Edit::mean(point(sublayer)?)),
        Some((sublayer, "resample")) => Ok(Edit::resample(point(sublayer)?)),
        _ => Err(format!("`{}` is not written like a=mean or m=resample", shown(text))),
    }
}

fn parse_layer(text: &str) -> Result<usize, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().ok_or_else(|| format!("`{}` is not a layer", shown(text)))
}

/// Serialises a type as its text.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

serde_as_text!(LayerPlan);
serde_as_text!(Intervention);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_print_in_their_shortest_form_and_parse_back() {
        let full = LayerPlan::full(30);
        let plans = [
            (full.clone(), "0..30"),
            (full.delete(11).unwrap(), "0..11-12..30"),
            (full.swap(12, 13).unwrap(), "0..12-13-12-14..30"),
            (full.repeat_block(3..5, 2).unwrap(), "0..5-3..30"),
            (LayerPlan::full(2), "0-1"),
            (LayerPlan::full(0), "none"),
            (full.parallel(1..3).unwrap(), "0-(1+2)-3..30"),
        ];
        for (plan, text) in plans {
            assert_eq!(plan.to_string(), text);
            assert_eq!(text.parse::<LayerPlan>().unwrap(), plan);
        }
        assert_eq!("0-1-2-3..5-4".parse::<LayerPlan>().unwrap().to_string(), "0..5-4");
    }

    #[test]
    fn interventions_print_and_parse_back() {
        let head = Edit::zero(Hook::Z.at(3)).with_heads([2]);
        let intervention = LayerPlan::full(30).delete(11).unwrap().edit(head).edit(Edit::mean(Hook::MlpOut.at(0)));
        let text = "0..11-12..30 | blocks.3.attn.hook_z heads=2 zero | blocks.0.hook_mlp_out mean";
        assert_eq!(intervention.to_string(), text);
        assert_eq!(text.parse::<Intervention>().unwrap(), intervention);
        assert_eq!(serde_json::to_string(&intervention).unwrap(), format!("\"{text}\""));
    }

    #[test]
    fn the_text_of_older_versions_is_read() {
        let old = "0-1a-2m-3[a=mean]-(4+5)-6[m=resample]".parse::<Intervention>().unwrap();
        let new = "0..4-(4+5)-6 | blocks.1.hook_mlp_out zero | blocks.2.hook_attn_out zero \
                   | blocks.3.hook_attn_out mean | blocks.5.hook_mlp_out resample";
        assert_eq!(old, new.parse().unwrap());
        let refused = "0-1a".parse::<LayerPlan>().unwrap_err().to_string();
        assert!(refused.contains("Intervention"), "{refused}");
    }

    #[test]
    fn what_is_not_a_plan_is_refused() {
        for text in
            ["", "0--1", "a", "5..3", "0..", "..3", "(1+2", "1]", "1[a]", "1[b=mean]", "0..99999999999", "0 - 1"]
        {
            assert!(text.parse::<Intervention>().is_err(), "{text}");
        }
    }
}
