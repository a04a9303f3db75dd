//! What a report says of stages: [`Stages`], each with its evidence, ready to be shaded, listed and printed.

use std::ops::Range;

use stratigraph_stages::Profile;

use crate::figure::Band;
use crate::text::Number;

/// The stages of a model as a reader meets them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Stages {
    /// The finding in a sentence.
    pub(crate) verdict: String,
    /// From the first layer to the last; none where there is no stage structure.
    pub(crate) stages: Vec<StageView>,
    /// Layers that stand out of their stage, with the reason.
    pub(crate) outliers: Vec<(usize, String)>,
    /// Layers where curves change, whatever the stages are, with the reason.
    pub(crate) changes: Vec<(usize, String)>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StageView {
    pub(crate) name: String,
    /// Its place among all stages that there can be, which is its colour too.
    pub(crate) index: usize,
    pub(crate) layers: Range<usize>,
    /// Between which layers it begins.
    pub(crate) start_interval: Option<(f64, f64)>,
    pub(crate) evidence: Vec<Evidence>,
}

/// What one signal says of a stage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Evidence {
    pub(crate) signal: String,
    /// `None` where the signal was not measured.
    pub(crate) speaks_for: Option<bool>,
    pub(crate) text: String,
}

/// The stages of a profile.
pub(crate) fn of(_profile: &Profile) -> Stages {
    Stages::default()
}

impl Evidence {
    /// What it says, in a word.
    pub(crate) fn verdict(&self) -> &'static str {
        match self.speaks_for {
            Some(true) => "for",
            Some(false) => "against",
            None => "not measured",
        }
    }
}

impl StageView {
    /// Its layers in words.
    pub(crate) fn span(&self) -> String {
        let Range { start, end } = self.layers;
        if end <= start + 1 { format!("layer {start}") } else { format!("layers {start} to {}", end - 1) }
    }

    /// How well its beginning is known, in words.
    pub(crate) fn doubt(&self) -> Option<String> {
        let (low, high) = self.start_interval?;
        let start = self.layers.start;
        Some(match low == high {
            true => format!("begins at layer {start} in every resampling"),
            false => format!("begins at layer {start}, between {} and {} on resampling", Number(low), Number(high)),
        })
    }
}

impl Stages {
    /// The stages as they are shaded in figures.
    pub(crate) fn bands(&self) -> Vec<Band> {
        let band = |stage: &StageView| {
            let doubt = stage.doubt().map(|doubt| format!("\n{doubt}")).unwrap_or_default();
            Band {
                colour: stage.index,
                name: stage.name.clone(),
                range: (stage.layers.start as f64 - 0.5, stage.layers.end as f64 - 0.5),
                start_interval: stage.start_interval.map(|(low, high)| (low - 0.5, high - 0.5)),
                told: format!("{}: {}{doubt}", stage.name, stage.span()),
            }
        };
        self.stages.iter().map(band).collect()
    }
}
