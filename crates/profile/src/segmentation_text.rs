//! A [`Segmentation`] in words: its summary, how certain a boundary is, its [`Remarks`], and all of it as a text.

use std::fmt::{self, Write};

use crate::{
    Boundary, BoundaryInterval, BoundaryVerdict, Evidence, Segmentation, Stage, StageSpan, Support, catalogue,
};

/// How much of the evidence for a stage is listed with its reasons; of the rest only the names are.
const SHOWN: usize = 5;

const LEGEND: &str =
    "Evidence: + for the stage, - against it, o unclear; robust z is the distance from the median layer in spreads.";

impl StageSpan {
    /// Its layers in words: `layer 3`, `layers 3 to 7`.
    pub fn layers(&self) -> String {
        let (first, end) = (self.first, self.end);
        if end <= first.saturating_add(1) { format!("layer {first}") } else { format!("layers {first} to {}", end - 1) }
    }

    /// The evidence that a reader sees first: the clearest for the stage, and everything that is not for it.
    pub fn leading_evidence(&self) -> Vec<&Evidence> {
        let is_for = |it: &&Evidence| it.support == Support::For;
        let others = |it: &&Evidence| !is_for(it) && it.support != Support::Absent;
        self.evidence.iter().filter(is_for).take(SHOWN).chain(self.evidence.iter().filter(others)).collect()
    }

    /// The rest of the evidence for the stage.
    pub fn further_evidence(&self) -> Vec<&Evidence> {
        self.evidence.iter().filter(|it| it.support == Support::For).skip(SHOWN).collect()
    }

    /// The labels of the curves that were not measured.
    pub fn unmeasured(&self) -> Vec<String> {
        self.evidence.iter().filter(|it| it.support == Support::Absent).map(Evidence::label).collect()
    }
}

impl Evidence {
    /// What a reader calls the curve: its label in the [catalogue] and its name.
    pub fn label(&self) -> String {
        match catalogue::find(&self.signal) {
            Some(entry) => format!("{} ({})", entry.label, self.signal),
            None => self.signal.clone(),
        }
    }

    /// `+` for the stage, `-` against it, `o` for neither.
    pub fn marker(&self) -> char {
        match self.support {
            Support::For => '+',
            Support::Against => '-',
            Support::Unclear | Support::Absent => 'o',
        }
    }
}

impl Segmentation {
    /// The boundary at which a stage begins; none for the first stage.
    pub fn start(&self, span: &StageSpan) -> Option<&Boundary> {
        self.boundaries.iter().find(|boundary| boundary.after == span.stage)
    }

    /// The interval in which a stage begins; none for the first stage, or without the means of single windows.
    pub fn start_interval(&self, span: &StageSpan) -> Option<BoundaryInterval> {
        self.start(span)?.interval
    }

    /// What is known about each boundary: those that were found, those that a test rejected, and, where there are stages, those
    /// between neighbouring stages of the paper that the best division does not have.
    pub fn verdicts(&self) -> Vec<String> {
        let found = self.boundaries.iter().map(|it| {
            let why = if it.telling.is_empty() { String::new() } else { format!(". {}", sentences(&it.telling)) };
            capitalised(&(it.in_words(self.n_layers) + &why))
        });
        let rejected = self.rejected.iter().map(|it| {
            let (before, after, weak) = (it.before, it.after, BoundaryVerdict::Weak);
            capitalised(&format!("{before} to {after} at layer {}: {weak}, not drawn: {}", it.at, it.reason))
        });
        let is_missing = |pair: &&[Stage]| {
            let of = |before, after| [before, after] == [pair[0], pair[1]];
            self.has_stages()
                && self.boundaries.iter().all(|it| !of(it.before, it.after))
                && self.rejected.iter().all(|it| !of(it.before, it.after))
        };
        let missing = Stage::ALL.windows(2).filter(is_missing).map(|pair| {
            let (before, after, absent) = (pair[0], pair[1], BoundaryVerdict::Absent);
            capitalised(&format!("{before} to {after}: {absent}: the best division of the layers does not have it"))
        });
        found.chain(rejected).chain(missing).collect()
    }

    /// The finding in a sentence or two, with its reason.
    pub fn summary(&self) -> String {
        if !self.has_stages() {
            return format!("No stage structure: {}.", self.reason);
        }
        let named = self.stages.iter().map(|span| format!("{} in {}", span.stage, span.layers()));
        let count = ["No", "One", "Two", "Three", "Four"].get(self.stages.len()).copied().unwrap_or("Many");
        format!("{count} stages: {}. {}.", named.collect::<Vec<_>>().join(", "), capitalised(&self.reason))
    }

    /// Everything else that was found, by heading; headings without findings are left out. [Boundaries](Segmentation::verdicts)
    /// are not among them.
    pub fn remarks(&self) -> Vec<Remarks> {
        let joined = |names: &[String]| if names.is_empty() { Vec::new() } else { vec![names.join(", ")] };
        let changes: Vec<String> = self.change_points.iter().map(usize::to_string).collect();
        let remarks = |heading, findings| Remarks { heading, findings };
        let edges = self.edges.iter().map(crate::EdgeEffect::in_words).collect();
        let stories = self.stories.iter().map(crate::StoryCheck::in_words).collect();
        let all = [
            remarks("First and last layers that are special and no stage", edges),
            remarks(
                "Layers that stand out inside a stage",
                self.outliers.iter().map(crate::OutlierLayer::in_words).collect(),
            ),
            remarks("Layers at which all curves together change, found without any idea of stages", joined(&changes)),
            remarks("What experiments say about the stories of the stages", stories),
            remarks("How it was read", self.readings.clone()),
            remarks("Curves that the stages could use and that were not measured", joined(&self.missing)),
            remarks("Curves that are too short or of the wrong length to be used", joined(&self.unreadable)),
        ];
        all.into_iter().filter(|it| !it.findings.is_empty()).collect()
    }
}

/// Findings of one sort.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remarks {
    /// What they are.
    pub heading: &'static str,
    /// Each in a sentence.
    pub findings: Vec<String>,
}

/// Phrases as sentences in a row.
fn sentences(phrases: &[String]) -> String {
    phrases.iter().map(|it| capitalised(it) + ".").collect::<Vec<_>>().join(" ")
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Writes without control characters but line breaks: a terminal obeys them, and the text may come from a file.
struct Plain<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Plain<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let plain = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
        text.chars().try_for_each(|c| self.0.write_char(plain(c)))
    }
}

impl fmt::Display for Segmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let f = &mut Plain(f);
        writeln!(f, "{}", self.summary())?;
        if !self.stages.is_empty() {
            writeln!(f, "{LEGEND}")?;
        }
        self.stages.iter().try_for_each(|span| stage(f, self, span))?;
        let boundaries = Remarks { heading: "Boundaries", findings: self.verdicts() };
        std::iter::once(boundaries).chain(self.remarks()).try_for_each(|remarks| listed(f, &remarks))
    }
}

/// A heading with its findings: a single one on the same line, several as a list.
fn listed(f: &mut impl Write, Remarks { heading, findings }: &Remarks) -> fmt::Result {
    match &findings[..] {
        [] => Ok(()),
        [one] => writeln!(f, "{heading}: {one}"),
        several => {
            writeln!(f, "{heading}:")?;
            several.iter().try_for_each(|finding| writeln!(f, "  - {finding}"))
        }
    }
}

fn stage(f: &mut impl Write, found: &Segmentation, span: &StageSpan) -> fmt::Result {
    let interval = found.start_interval(span).map(|it| it.in_words(span.first, found.n_layers));
    let begins = interval.map(|interval| format!("; {interval}")).unwrap_or_default();
    writeln!(f, "{}: {}{begins}", capitalised(&span.stage.to_string()), span.layers())?;
    if !span.headline.is_empty() {
        writeln!(f, "  {}", span.headline)?;
    }
    for evidence in span.leading_evidence() {
        writeln!(f, "  {} {}: {}", evidence.marker(), evidence.label(), evidence.text)?;
    }
    let further = span.further_evidence().into_iter().map(Evidence::label).collect::<Vec<_>>();
    for (title, labels) in [("also for it", further), ("not measured", span.unmeasured())] {
        if !labels.is_empty() {
            writeln!(f, "  {title}: {}", labels.join(", "))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Stage, Verdict};

    fn evidence(signal: &str, support: Support) -> Evidence {
        let (signal, kind, text) = (signal.into(), "deletion".into(), "its reason".into());
        Evidence { signal, kind, characteristic: true, support, strength: 0.5, text }
    }

    fn segmentation() -> Segmentation {
        let all = ["delete_kl", "a", "b", "c", "d", "e"].map(|name| evidence(name, Support::For));
        let others = [evidence("lens_kl", Support::Against), evidence("swap_kl", Support::Absent)];
        let (before, after) = (Stage::Detokenization, Stage::ResidualSharpening);
        let first = StageSpan::new(before, 0, 1).with_evidence(all.into_iter().chain(others).collect());
        let last = StageSpan::new(after, 1, 6);
        let interval = BoundaryInterval { low: 1, high: 2, frequency: 0.9, within_one: 0.9 };
        Segmentation {
            stages: vec![first, last],
            boundaries: vec![Boundary::new(before, after, 1).with_interval(Some(interval))],
            change_points: vec![1, 3],
            ..Segmentation::new(6, Verdict::Stages, "a reason")
        }
    }

    #[test]
    fn a_segmentation_is_told_in_full() {
        let expected = "\
Two stages: detokenization in layer 0, residual sharpening in layers 1 to 5. A reason.
Evidence: + for the stage, - against it, o unclear; robust z is the distance from the median layer in spreads.
Detokenization: layer 0
  + delete: KL (delete_kl): its reason
  + a: its reason
  + b: its reason
  + c: its reason
  + d: its reason
  - lens: KL (lens_kl): its reason
  also for it: e
  not measured: swap: KL (swap_kl)
Residual sharpening: layers 1 to 5; begins at layer 1 (95 % interval: layers 1 to 2; 90 % of the resamples have this \
boundary)
Boundaries:
  - Detokenization to residual sharpening at layer 1: begins at layer 1 (95 % interval: layers 1 to 2; 90 % of the resamples \
have this boundary)
  - Detokenization to feature engineering: absent: the best division of the layers does not have it
  - Feature engineering to prediction ensembling: absent: the best division of the layers does not have it
  - Prediction ensembling to residual sharpening: absent: the best division of the layers does not have it
Layers at which all curves together change, found without any idea of stages: 1, 3
";
        assert_eq!(segmentation().to_string(), expected);
        let none = Segmentation { verdict: Verdict::NoStageStructure, ..segmentation() };
        assert_eq!(none.summary(), "No stage structure: a reason.");
        assert_eq!(segmentation().n_shared_boundaries(&none, 0), 1);
    }

    #[test]
    fn a_rejected_boundary_is_listed_once_with_or_without_stages() {
        let (before, after, reason) = (Stage::Detokenization, Stage::FeatureEngineering, "it wavers".to_owned());
        let rejected = vec![crate::RejectedBoundary { before, after, at: 2, reason }];
        let found = Segmentation { rejected, ..segmentation() };
        let line = "Detokenization to feature engineering at layer 2: weak, not drawn: it wavers\n";
        let none = Segmentation { verdict: Verdict::NoStageStructure, boundaries: Vec::new(), ..found.clone() };
        for (found, n_absent) in [(found, 2), (none, 0)] {
            let text = found.to_string();
            assert_eq!((text.matches("it wavers").count(), text.matches(": absent").count()), (1, n_absent), "{text}");
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn several_findings_are_a_list_under_one_heading() {
        let story = |claim: &str| crate::StoryCheck::new(Some(Stage::Detokenization), claim, "delete_kl");
        let found = Segmentation { stories: vec![story("one"), story("another")], ..segmentation() };
        let text = found.to_string();
        let expected = "\
What experiments say about the stories of the stages:
  - detokenization: one (delete_kl): not measured
  - detokenization: another (delete_kl): not measured
";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_text_from_a_file_cannot_steer_a_terminal() {
        let mut found = segmentation();
        found.missing = vec!["\u{1b}[2J".into()];
        found.stages[0].evidence[0].text = "\u{9b}31m\u{7}".into();
        let text = found.to_string();
        assert!(text.contains("\u{fffd}[2J") && !text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
}
