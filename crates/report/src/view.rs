//! What a report says of stages: [`Stages`], each with its evidence, ready to be shaded, listed and printed.

use std::ops::Range;

use stratigraph_stages::{Boundary, Doubt, Evidence, Measurement, Profile, Segmentation, Stage, StageSpan, Stand};

use crate::figure::Band;

/// The stages of a model as a reader meets them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Stages {
    /// The finding in a sentence; nothing where stages were not looked for.
    pub(crate) verdict: String,
    /// From the first layer to the last; none where there is no stage structure.
    pub(crate) stages: Vec<StageView>,
    /// Boundaries that were not drawn, layers that stand out of their stage, and curves that are missing: what they are
    /// called, and each in a sentence.
    pub(crate) remarks: Vec<(&'static str, Vec<String>)>,
    /// Layers where curves change, whatever the stages are.
    pub(crate) changes: Vec<usize>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StageView {
    pub(crate) name: String,
    /// Its place among all stages that there can be, which is its colour too.
    pub(crate) index: usize,
    pub(crate) layers: Range<usize>,
    /// How sure its first layer is.
    pub(crate) doubt: Option<Doubt>,
    pub(crate) evidence: Vec<Evidence>,
}

/// So much of what speaks for a stage is shown first: what it is recognised by, then what speaks most plainly.
const SHOWN: usize = 5;

/// What the stage of an index is recognised by; it shares all else with others.
fn recognised_by(index: usize) -> &'static [Measurement] {
    use Measurement::{Convergence, Deletion, Locality, Meaning, MlpWrite, Suppression, Swap, Vocabulary};
    match Stage::ALL[index] {
        Stage::Detokenization => &[Deletion, Swap, Locality, Meaning],
        Stage::FeatureEngineering => &[Deletion, Swap, Meaning, Convergence],
        Stage::PredictionEnsembling => &[Convergence, Vocabulary],
        Stage::ResidualSharpening => &[Deletion, Suppression, MlpWrite],
    }
}

/// The evidence for and against a stage.
pub(crate) struct Weighed<'a> {
    /// Some of what speaks for it, and everything that does not.
    pub(crate) main: Vec<&'a Evidence>,
    /// What speaks for it as well.
    pub(crate) rest: Vec<&'a Evidence>,
    /// Curves that were not measured.
    pub(crate) absent: Vec<&'a str>,
}

/// The stages of a profile.
pub(crate) fn of(profile: &Profile) -> Stages {
    let Some(found) = &profile.stages else { return Stages::default() };
    let view = |span: &StageSpan| stage(span, found.boundaries.iter().find(|boundary| boundary.after == span.stage));
    let stages: Vec<_> = found.stages.iter().map(view).collect();
    let rejected =
        found.rejected.iter().map(|it| format!("{} to {} at layer {}: {}", it.before, it.after, it.at, it.reason));
    let outliers = found
        .outliers
        .iter()
        .map(|it| format!("layer {}, by {} (robust score {:+.1}): {}", it.layer, it.signal, it.z, it.reason));
    let joined = |names: &[String]| (!names.is_empty()).then(|| names.join(", ")).into_iter().collect::<Vec<_>>();
    let remarks = vec![
        ("Layers that stand out and make no boundary", outliers.collect()),
        ("Boundaries that were not drawn", rejected.collect()),
        ("What the rule reads and this profile lacks", joined(&found.missing)),
        ("Curves that are too short to be read, or of a length that does not fit", joined(&found.unreadable)),
    ];
    Stages {
        verdict: verdict(found, &stages),
        stages,
        remarks: remarks.into_iter().filter(|(_, all)| !all.is_empty()).collect(),
        changes: found.change_points.clone(),
    }
}

fn stage(span: &StageSpan, begins: Option<&Boundary>) -> StageView {
    StageView {
        name: span.stage.to_string(),
        index: Stage::ALL.iter().position(|stage| *stage == span.stage).unwrap_or_default(),
        layers: span.first..span.end,
        doubt: begins.and_then(|boundary| boundary.doubt),
        evidence: span.evidence.clone(),
    }
}

/// The finding in a sentence, with its reason.
fn verdict(found: &Segmentation, stages: &[StageView]) -> String {
    if !found.has_stages() {
        return format!("No stage structure: {}.", found.reason);
    }
    let named = stages.iter().map(|stage| format!("{} in {}", stage.name, stage.span()));
    let count = ["No", "One", "Two", "Three", "Four"].get(stages.len()).copied().unwrap_or("Many");
    format!("{count} stages: {}. {}.", named.collect::<Vec<_>>().join(", "), capital(&found.reason))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

impl StageView {
    /// Its layers in words.
    pub(crate) fn span(&self) -> String {
        let Range { start, end } = self.layers;
        if end <= start.saturating_add(1) { format!("layer {start}") } else { format!("layers {start} to {}", end - 1) }
    }

    /// How well its beginning is known, in words.
    pub(crate) fn doubt(&self) -> Option<String> {
        let Doubt { low, high, support, .. } = self.doubt?;
        let (start, percent) = (self.layers.start, (100.0 * support).round());
        let within = if low == high { format!("at {low}") } else { format!("within {low} to {high}") };
        Some(format!("begins at {start}; on drawing the windows again 95 % {within}, in {percent} % of draws at all"))
    }

    /// The evidence: what matters most, the rest, and the names of the curves that were not measured.
    pub(crate) fn weighed(&self) -> Weighed<'_> {
        let (absent, mut measured): (Vec<_>, Vec<_>) = self.evidence.iter().partition(|it| it.stand == Stand::Absent);
        let unlike = |it: &Evidence| !recognised_by(self.index).contains(&it.measurement);
        measured.sort_by(|a, b| unlike(a).cmp(&unlike(b)).then(b.strength.total_cmp(&a.strength)));
        let (speaks_for, others): (Vec<_>, Vec<_>) = measured.into_iter().partition(|it| it.stand == Stand::For);
        let (shown, rest) = speaks_for.split_at(speaks_for.len().min(SHOWN));
        Weighed {
            main: shown.iter().copied().chain(others).collect(),
            rest: rest.to_vec(),
            absent: absent.into_iter().map(|it| it.signal.as_str()).collect(),
        }
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
                start_interval: stage.doubt.map(|Doubt { low, high, .. }| (low as f64 - 0.5, high as f64 - 0.5)),
                told: format!("{}: {}{doubt}", stage.name, stage.span()),
            }
        };
        self.stages.iter().map(band).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{profile, segmentation};

    #[test]
    fn a_segmentation_becomes_bands_and_sentences() {
        let mut profile = profile(6, &[]);
        assert_eq!(of(&profile), Stages::default());
        profile.stages = Some(segmentation(6));
        let view = of(&profile);
        assert_eq!(
            view.verdict,
            "Two stages: detokenization in layer 0, residual sharpening in layers 1 to 5. A <reason> & more."
        );
        let bands = view.bands();
        let told: Vec<_> = bands.iter().map(|band| (band.colour, band.range, band.start_interval)).collect();
        assert_eq!(told, [(0, (-0.5, 0.5), None), (3, (0.5, 5.5), Some((0.5, 1.5)))]);
        assert!(bands[1].told.ends_with("95 % within 1 to 2, in 90 % of draws at all"), "{}", bands[1].told);
        assert_eq!(view.remarks.len(), 3);
    }

    #[test]
    fn what_a_stage_is_recognised_by_comes_first() {
        let mut stage = stage(&segmentation(6).stages[1], None);
        let of = |measurement, strength, stand| {
            let signal = format!("{measurement} {strength}");
            Evidence { signal, measurement, stand, strength, text: String::new() }
        };
        let all = [Measurement::Swap, Measurement::Rewriting, Measurement::MlpWrite, Measurement::Suppression];
        stage.evidence = all.map(|it| of(it, 0.5, Stand::For)).to_vec();
        stage.evidence.extend([0.75, 0.25].map(|strength| of(Measurement::Deletion, strength, Stand::For)));
        stage.evidence.push(of(Measurement::Vocabulary, -0.5, Stand::Against));
        let Weighed { main, rest, .. } = stage.weighed();
        let names = |all: Vec<&Evidence>| all.iter().map(|it| it.signal.clone()).collect::<Vec<_>>();
        let first =
            ["deletion 0.75", "MLP write 0.5", "suppression 0.5", "deletion 0.25", "swap 0.5", "vocabulary -0.5"];
        assert_eq!((names(main), names(rest)), (first.map(String::from).to_vec(), vec!["rewriting 0.5".to_owned()]));
    }

    #[test]
    fn no_structure_has_a_reason_and_no_bands() {
        let mut profile = profile(6, &[("delete_kl", &[12.0; 6])]);
        profile.stages = Some(Segmentation::of(&profile));
        let view = of(&profile);
        assert!(view.verdict.starts_with("No stage structure: ") && view.bands().is_empty(), "{}", view.verdict);
    }
}
