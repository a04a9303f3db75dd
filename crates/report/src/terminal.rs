//! A profile for a terminal: [`TerminalChart`], a line of blocks for each signal, with the stages under them.

use std::fmt::{self, Display};

use stratigraph_profile::{Profile, Scale, Stage, StageSpan, Unit, catalogue};

use crate::blocks::{CHART, Depth};
use crate::csv::over_depth;
use crate::text::{plain, shortened};

/// Prints a line over layers for each signal of the stages and for each curve that is not in the catalogue, the stages under
/// them, and the evidence for each stage. No line is longer than a hundred characters.
pub struct TerminalChart<'a> {
    profile: &'a Profile,
}

/// The curves that have a line.
const SIGNALS: [&str; 12] = [
    "delete_kl",
    "swap_kl",
    "prev5_attention_mass",
    "wic_accuracy",
    "lens_kl",
    "lens_entropy_bits",
    "lens_top1_agreement",
    "block_influence",
    "prediction_neurons",
    "suppression_neurons",
    "resid_norm",
    "mlp_out_norm",
];
const LEGEND: &str =
    "Each line runs from its smallest value (▁) to its largest (█), with (log) on a logarithmic scale.";
/// The width of a whole line, and of the names.
const WIDTH: usize = 100;
const NAME: usize = 22;

impl<'a> TerminalChart<'a> {
    /// The chart of a profile.
    pub fn new(profile: &'a Profile) -> Self {
        Self { profile }
    }
}

impl Display for TerminalChart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let depth = Depth::new(self.profile.model.n_layers);
        let own =
            over_depth(self.profile).map(|(name, _)| name.as_str()).filter(|name| catalogue::find(name).is_none());
        let mut any = false;
        for name in SIGNALS.into_iter().chain(own) {
            any |= self.line(f, name, depth)?;
        }
        if any {
            writeln!(f, "{:NAME$} {}", "layer", numbers(depth))?;
        }
        let spans = self.profile.stages.as_ref().map_or(&[][..], |found| &found.stages);
        if !spans.is_empty() {
            let line = marked(spans, depth.width(), |layer| depth.column(layer));
            writeln!(f, "{:NAME$} {line}", "stages")?;
            wrapped(f, &legend(spans.iter().map(|span| span.stage)))?;
        }
        if any {
            wrapped(f, LEGEND)?;
        }
        let Some(found) = &self.profile.stages else { return Ok(()) };
        writeln!(f)?;
        found.to_string().lines().try_for_each(|line| wrapped(f, line))
    }
}

impl TerminalChart<'_> {
    /// The line of a curve; false where it has no number.
    fn line(&self, f: &mut fmt::Formatter<'_>, name: &str, depth: Depth) -> Result<bool, fmt::Error> {
        let Some(curve) = self.profile.curves.get(name) else { return Ok(false) };
        let entry = catalogue::describe(name, curve);
        let Some(blocks) = depth.blocks(curve, entry.scale == Scale::Log) else { return Ok(false) };
        let log = if blocks.log { " (log)" } else { "" };
        let label = plain(&shortened(&entry.label, NAME - log.len())) + log;
        let unit = match &curve.unit {
            unit @ (Unit::Nats | Unit::Bits | Unit::Fraction) => format!(" {unit}"),
            Unit::Other(unit) => plain(&shortened(&format!(" {unit}"), 6)),
            _ => String::new(),
        };
        let width = depth.width();
        let range = blocks.in_words(&unit, WIDTH - NAME - width - 2);
        writeln!(f, "{label:NAME$} {:width$} {range}", blocks.line)?;
        Ok(true)
    }
}

/// The letters of stages with their names.
fn legend(stages: impl Iterator<Item = Stage>) -> String {
    let named = stages.map(|stage| format!("{} {stage}", stage.letter()));
    format!("Stages: {}.", named.collect::<Vec<_>>().join(", "))
}

/// A line of stages for each model, all of the same width, with a legend below.
pub(crate) fn lines<'a>(models: impl Iterator<Item = (&'a str, &'a Profile)>) -> String {
    let line = |(name, profile): (&str, &Profile)| {
        let n_layers = profile.model.n_layers;
        let column = |layer: usize| layer.min(n_layers).saturating_mul(CHART) / n_layers.max(1);
        let spans = profile.stages.as_ref().map_or(&[][..], |found| &found.stages);
        let letters = if spans.is_empty() { "no stages".to_owned() } else { marked(spans, CHART, column) };
        let name = plain(&shortened(name, WIDTH - CHART - 16));
        format!("{letters:CHART$} {n_layers:>3} layers  {name}\n")
    };
    let lines: String = models.map(line).collect();
    format!("{lines}{}\n", legend(Stage::ALL.into_iter()))
}

/// The stages in a line of a width: the letter of each, then a line. Each has at least one character.
fn marked(stages: &[StageSpan], width: usize, column: impl Fn(usize) -> usize) -> String {
    let (mut line, mut used) = (String::new(), 0);
    for (index, stage) in stages.iter().enumerate() {
        let room = width.saturating_sub(stages.len() - 1 - index);
        let start = column(stage.first).min(room.saturating_sub(1)).max(used);
        let end = column(stage.end).min(room).max(start + 1);
        line.extend(std::iter::repeat_n(' ', start - used));
        line.extend(std::iter::once(stage.stage.letter()).chain(std::iter::repeat('─')).take(end - start));
        used = end;
    }
    line
}

/// The numbers of layers, where there is room.
fn numbers(depth: Depth) -> String {
    let mut line = String::new();
    for layer in 0..depth.n_layers {
        let (at, number) = (depth.column(layer), layer.to_string());
        let is_round = layer % 5 == 0 || depth.per_layer > 2;
        if is_round && (line.is_empty() || at > line.len()) && at + number.len() <= depth.width() + 3 {
            line = format!("{line:at$}{number}");
        }
    }
    line
}

/// Writes a line of text in lines that fit, all but the first further to the right.
fn wrapped(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    let indent = &text[..text.len() - text.trim_start_matches(' ').len()];
    let mut line = indent.to_owned();
    for word in plain(text).split_whitespace() {
        let is_begun = line.trim_start() != "";
        if is_begun && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(f, "{line}")?;
            line = format!("{indent}    ");
        } else if is_begun {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(f, "{line}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{profile, segmentation};

    fn chart(n_layers: usize, curves: &[(&str, &[f64])]) -> String {
        let mut profile = profile(n_layers, curves);
        profile.stages = Some(segmentation(n_layers));
        TerminalChart::new(&profile).to_string()
    }

    #[test]
    fn a_line_a_signal_and_the_stages_below() {
        let text = chart(4, &[("delete_kl", &[8.0, 0.08, 0.8, f64::NAN]), ("lens_kl", &[3.0, 2.0, 1.0, 1.0, 0.0])]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "delete: KL (log)       ████▁▁▁▁▅▅▅▅     0.08 to 8 nats", "{text}");
        assert_eq!(lines[1], "lens: KL               ████▅▅▅▅▁▁▁▁▁▁▁▁ 1 to 3 nats", "{text}");
        assert_eq!(lines[2].trim_end(), "layer                  0   1   2   3", "{text}");
        assert_eq!(lines[3], "stages                 D───R───────────", "{text}");
        assert_eq!(lines[4], "Stages: D detokenization, R residual sharpening.");
        assert!(text.contains("  + delete: KL (delete_kl): ") && text.contains("  not measured: delete: KL"), "{text}");
    }

    #[test]
    fn a_curve_of_the_user_s_own_has_a_line() {
        let text = TerminalChart::new(&profile(2, &[("my_own", &[1.0, 2.0])])).to_string();
        assert!(text.starts_with("my own                 ▁▁▁▁████ 1 to 2\n"), "{text}");
    }

    #[test]
    fn no_stage_vanishes() {
        let span = |(index, layers): (usize, &std::ops::Range<usize>)| {
            StageSpan::new(Stage::ALL[index], layers.start, layers.end)
        };
        for n in [4, 54, 55, 95, 96, 109, 400] {
            for cuts in [[1, 2, 3], [1, n - 2, n - 1], [n - 3, n - 2, n - 1], [1, 2, n - 1]] {
                let layers = [0..cuts[0], cuts[0]..cuts[1], cuts[1]..cuts[2], cuts[2]..n];
                let stages: Vec<_> = layers.iter().enumerate().map(span).collect();
                let line = marked(&stages, CHART, |layer| layer * CHART / n);
                let letters: String = line.chars().filter(|c| c.is_alphabetic()).collect();
                assert_eq!((&letters[..], line.chars().count()), ("DFPR", CHART), "{n} {cuts:?} {line}");
            }
        }
        // An end before its beginning, and layers that do not exist: no segmentation has them, but a record may.
        let (backwards, far) = (std::ops::Range { start: 5, end: 2 }, 7..usize::MAX);
        let odd: Vec<_> = [backwards, far].iter().enumerate().map(span).collect();
        assert_eq!(marked(&odd, 8, |layer| layer.min(8)).chars().count(), 8);
        assert_eq!(odd[0].layers(), "layer 5");
    }

    #[test]
    fn names_are_cut_in_the_middle_and_cannot_steer_the_terminal() {
        let name = format!("models/\u{1b}[31m{}/the-end", "long".repeat(20));
        let mut profile = profile(4, &[("delete_kl", &[8.0, 0.08, 0.8, 0.1])]);
        let text = lines([(&name[..], &profile)].into_iter());
        let first = text.lines().next().unwrap();
        assert!(first.contains("models/\u{fffd}[31m") && first.ends_with("/the-end"), "{text}");
        assert!(first.contains('…') && first.chars().count() <= WIDTH, "{text}");
        let mut stages = segmentation(4);
        stages.missing = vec!["\u{1b}]0;owned\u{7}".into()];
        profile.stages = Some(stages);
        let text = TerminalChart::new(&profile).to_string();
        assert!(text.contains("owned") && !text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }

    #[test]
    fn no_line_is_too_long() {
        for n_layers in [1, 2, 12, 30, 54, 55, 96, 200] {
            let values: Vec<f64> = (0..=n_layers).map(|layer| 1e-6 * 3f64.powi(layer as i32 % 30)).collect();
            let curves: [(&str, &[f64]); 3] =
                [("delete_kl", &values[1..]), ("lens_kl", &values), ("wic_accuracy", &values)];
            let text = chart(n_layers, &curves);
            assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
        assert!(!chart(3, &[("delete_kl", &[f64::NAN; 3])]).contains("(log)"));
    }
}
