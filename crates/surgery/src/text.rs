//! Plans as text: `0-1-3-2-4`, `0-1a-2m`, `0-1[a=mean]-2`, `0-(1+2)-3`, `none`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use stratigraph_core::Sublayer;

use crate::{Ablation, LayerPlan, Step, SurgeryError};

/// The text of a plan without steps.
const EMPTY: &str = "none";

const HALVES: [(char, Sublayer); 2] = [('a', Sublayer::Attention), ('m', Sublayer::Mlp)];

impl Ablation {
    fn name(self) -> &'static str {
        match self {
            Ablation::Mean => "mean",
            Ablation::Resample => "resample",
        }
    }
}

impl fmt::Display for Ablation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn letter(half: Sublayer) -> char {
    match half {
        Sublayer::Attention => 'a',
        Sublayer::Mlp => 'm',
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Layer(layer) => write!(f, "{layer}"),
            Step::Half(layer, half) => write!(f, "{layer}{}", letter(*half)),
            Step::Ablated(layer, half, ablation) => write!(f, "{layer}[{}={ablation}]", letter(*half)),
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
        for (slot, step) in self.steps().iter().enumerate() {
            write!(f, "{}{step}", if slot == 0 { "" } else { "-" })?;
        }
        Ok(())
    }
}

impl FromStr for LayerPlan {
    type Err = SurgeryError;

    fn from_str(text: &str) -> Result<Self, SurgeryError> {
        if text == EMPTY {
            return Ok(LayerPlan::new(Vec::new()));
        }
        let bad = |reason| SurgeryError::BadPlan { text: text.to_owned(), reason };
        let steps = text.split('-').map(|part| parse_step(part).map_err(bad));
        Ok(LayerPlan::new(steps.collect::<Result<_, _>>()?))
    }
}

fn parse_step(text: &str) -> Result<Step, &'static str> {
    if let Some(inner) = text.strip_prefix('(') {
        let inner = inner.strip_suffix(')').ok_or("a parenthesis is not closed")?;
        return Ok(Step::Parallel(inner.split('+').map(parse_layer).collect::<Result<_, _>>()?));
    }
    if let Some(inner) = text.strip_suffix(']') {
        let (layer, ablated) = inner.split_once('[').ok_or("a bracket is not opened")?;
        let (half, ablation) = ablated.split_once('=').ok_or("an ablation is written like 3[a=mean]")?;
        let half = HALVES.iter().find(|(letter, _)| half == letter.to_string()).ok_or("a half is neither a nor m")?;
        let ablation = Ablation::ALL.into_iter().find(|known| known.name() == ablation);
        let ablation = ablation.ok_or("an ablation is neither mean nor resample")?;
        return Ok(Step::Ablated(parse_layer(layer)?, half.1, ablation));
    }
    for (letter, half) in HALVES {
        if let Some(layer) = text.strip_suffix(letter) {
            return Ok(Step::Half(parse_layer(layer)?, half));
        }
    }
    parse_layer(text).map(Step::Layer)
}

fn parse_layer(text: &str) -> Result<usize, &'static str> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a layer is not a number");
    }
    text.parse().map_err(|_| "a layer is missing or too large")
}

impl Serialize for LayerPlan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LayerPlan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
