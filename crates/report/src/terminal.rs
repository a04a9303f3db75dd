//! A profile for a terminal: [`TerminalChart`], a line of blocks for each signal, with the stages under them.

use std::fmt::{self, Display};

use stratigraph_stages::{Curve, Profile, Stand};

use crate::text::{Number, plain, shortened};
use crate::view::{StageView, Stages, Weighed};

/// Prints the signals of the stages over layers, a line each, the stages under them, and what speaks for each stage.
/// No line is longer than a hundred characters.
pub struct TerminalChart<'a> {
    profile: &'a Profile,
    stages: Stages,
}

/// A signal: its name, its curve, its unit, and whether it is drawn by its logarithm.
type Signal = (&'static str, &'static str, &'static str, bool);

const SIGNALS: [Signal; 12] = [
    ("deleting a layer: KL", "delete_kl", "nats", true),
    ("swapping with next: KL", "swap_kl", "nats", true),
    ("attention, last 5", "prev5_attention_mass", "fraction", false),
    ("words in context", "wic_accuracy", "accuracy", false),
    ("lens: KL", "lens_kl", "nats", true),
    ("lens: entropy", "lens_entropy_bits", "bits", false),
    ("lens: same choice", "lens_top1_agreement", "fraction", false),
    ("block influence", "block_influence", "1 - cos", true),
    ("prediction neurons", "prediction_neurons", "", false),
    ("suppression neurons", "suppression_neurons", "", false),
    ("residual norm", "resid_norm", "", true),
    ("MLP output norm", "mlp_out_norm", "", true),
];
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Of a whole line, of the names, and of the blocks.
const WIDTH: usize = 100;
const NAME: usize = 22;
const CHART: usize = 54;

impl<'a> TerminalChart<'a> {
    /// The chart of a profile.
    pub fn new(profile: &'a Profile) -> Self {
        Self { profile, stages: crate::view::of(profile) }
    }

    /// Where layers lie in a line.
    fn depth(&self) -> Depth {
        let n_layers = self.profile.model.n_layers.max(1);
        match n_layers.div_ceil(CHART) {
            1 => Depth { n_layers, per_layer: (CHART / n_layers).clamp(1, 4), per_column: 1 },
            per_column => Depth { n_layers, per_layer: 1, per_column },
        }
    }
}

/// How many characters a layer has, or how many layers a character.
#[derive(Clone, Copy)]
struct Depth {
    n_layers: usize,
    per_layer: usize,
    per_column: usize,
}

impl Depth {
    /// The character at which a layer begins; behind the last one, where all end.
    fn column(self, layer: usize) -> usize {
        if layer >= self.n_layers { self.width() } else { layer * self.per_layer / self.per_column }
    }

    /// How many characters all layers have.
    fn width(self) -> usize {
        self.n_layers.div_ceil(self.per_column) * self.per_layer
    }

    /// A block for each layer; where several share a character, of the largest.
    fn blocks(self, curve: &Curve, log: bool) -> Option<(String, f64, f64)> {
        let values: Vec<f64> = curve.mean.iter().copied().take(self.n_layers).collect();
        let positive = || values.iter().copied().filter(|value| *value > 0.0);
        let log = log && crate::figure::range(positive()).is_some_and(|(low, high)| high >= 10.0 * low);
        let (low, high) =
            if log { crate::figure::range(positive()) } else { crate::figure::range(values.iter().copied()) }?;
        let scaled = |value: f64| if log { value.ln() } else { value };
        let block = |value: f64| {
            let share = (scaled(value) - scaled(low)) / (scaled(high) - scaled(low));
            if value.is_finite() && share.is_finite() {
                BLOCKS[(share.clamp(0.0, 1.0) * 7.0).round() as usize]
            } else {
                BLOCKS[0]
            }
        };
        let shown = |layers: &[f64]| match crate::figure::range(layers.iter().copied()) {
            Some((_, largest)) => block(largest),
            None => ' ',
        };
        let line = values.chunks(self.per_column).map(|layers| shown(layers).to_string().repeat(self.per_layer));
        Some((line.collect(), low, high))
    }
}

impl Display for TerminalChart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let depth = self.depth();
        for (name, curve, unit, log) in SIGNALS {
            let found = self.profile.curves.get(curve).and_then(|curve| depth.blocks(curve, log));
            let Some((line, low, high)) = found else { continue };
            let (width, range) = (depth.width(), format!("{} … {} {unit}", Number(low), Number(high)));
            writeln!(f, "{name:NAME$} {line:width$} {}", range.trim_end())?;
        }
        writeln!(f, "{:NAME$} {}", "layer", numbers(depth))?;
        self.stages(f, depth)
    }
}

impl TerminalChart<'_> {
    fn stages(&self, f: &mut fmt::Formatter<'_>, depth: Depth) -> fmt::Result {
        if self.stages.verdict.is_empty() {
            return Ok(());
        }
        if !self.stages.stages.is_empty() {
            let line = marked(&self.stages.stages, depth.width(), |layer| depth.column(layer));
            writeln!(f, "{:NAME$} {line}", "stages")?;
        }
        writeln!(f)?;
        wrapped(f, "", &self.stages.verdict)?;
        self.stages.stages.iter().try_for_each(|stage| told(f, stage))?;
        for (title, remarks) in &self.stages.remarks {
            remarks.iter().try_for_each(|remark| wrapped(f, "", &format!("{title}: {remark}")))?;
        }
        if !self.stages.changes.is_empty() {
            let layers = self.stages.changes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
            wrapped(f, "", &format!("Change points of all curves together, without the rule: {layers}"))?;
        }
        Ok(())
    }
}

/// A line of stages for each model, so many characters wide, for a comparison.
pub(crate) fn lines<'a>(models: impl Iterator<Item = (&'a str, usize, &'a Stages)>) -> String {
    let line = |(name, n_layers, stages): (&str, usize, &Stages)| {
        let column = |layer: usize| layer.min(n_layers).saturating_mul(CHART) / n_layers.max(1);
        let letters = marked(&stages.stages, CHART, column);
        let letters = if letters.is_empty() { "no stages".to_owned() } else { letters };
        let name = plain(&shortened(name, WIDTH - CHART - 16));
        format!("{letters:CHART$} {n_layers:>3} layers  {name}\n")
    };
    models.map(line).collect()
}

/// The stages in a line so many characters wide: the letter of each, then a line. One has a character at least.
fn marked(stages: &[StageView], width: usize, column: impl Fn(usize) -> usize) -> String {
    let (mut line, mut used) = (String::new(), 0);
    for (index, stage) in stages.iter().enumerate() {
        let room = width.saturating_sub(stages.len() - 1 - index);
        let start = column(stage.layers.start).min(room.saturating_sub(1)).max(used);
        let end = column(stage.layers.end).min(room).max(start + 1);
        let letter = stage.name.chars().next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
        line.extend(std::iter::repeat_n(' ', start - used));
        line.extend(letter.chars().chain(std::iter::repeat('─')).take(end - start));
        used = end;
    }
    line
}

/// A stage in words, a line for each signal: `+` speaks for it, `-` against, `o` is unclear.
fn told(f: &mut impl fmt::Write, stage: &StageView) -> fmt::Result {
    let doubt = stage.doubt().map(|doubt| format!("; {doubt}")).unwrap_or_default();
    wrapped(f, "", &format!("{}: {}{doubt}", stage.name, stage.span()))?;
    let Weighed { main, rest, absent } = stage.weighed();
    for line in main {
        let sign = match line.stand {
            Stand::For => '+',
            Stand::Against => '-',
            Stand::Unclear | Stand::Absent => 'o',
        };
        wrapped(f, "  ", &format!("{sign} {}: {}", line.signal, line.text))?;
    }
    let rest: Vec<_> = rest.iter().map(|line| line.signal.as_str()).collect();
    for (signals, what) in [(rest, "for it as well"), (absent, "not measured")] {
        if !signals.is_empty() {
            wrapped(f, "  ", &format!("{what}: {}", signals.join(", ")))?;
        }
    }
    Ok(())
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

/// Writes text in lines that fit, all but the first further to the right.
fn wrapped(f: &mut impl fmt::Write, indent: &str, text: &str) -> fmt::Result {
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
        assert!(lines[0].starts_with("deleting a layer: KL   ████▁▁▁▁▅▅▅▅     0.08 … 8 nats"), "{text}");
        assert!(lines[2].starts_with("layer                  0   1   2   3"), "{text}");
        assert!(lines[3].starts_with("stages                 D───R───────"), "{text}");
        assert!(text.contains("  + delete_kl: ") && text.contains("  not measured: delete_kl"), "{text}");
    }

    #[test]
    fn no_stage_vanishes() {
        let stage = |(index, layers): (usize, &std::ops::Range<usize>)| StageView {
            name: ["detokenization", "feature engineering", "prediction ensembling", "residual sharpening"][index]
                .into(),
            index,
            layers: layers.clone(),
            doubt: None,
            evidence: Vec::new(),
        };
        for n in [4, 54, 55, 95, 96, 109, 400] {
            for cuts in [[1, 2, 3], [1, n - 2, n - 1], [n - 3, n - 2, n - 1], [1, 2, n - 1]] {
                let layers = [0..cuts[0], cuts[0]..cuts[1], cuts[1]..cuts[2], cuts[2]..n];
                let stages: Vec<_> = layers.iter().enumerate().map(stage).collect();
                let line = marked(&stages, CHART, |layer| layer * CHART / n);
                let letters: String = line.chars().filter(|c| c.is_alphabetic()).collect();
                assert_eq!((&letters[..], line.chars().count()), ("DFPR", CHART), "{n} {cuts:?} {line}");
            }
        }
        // What no segmentation has, and a file may: an end before its beginning, and layers that there are not.
        let (backwards, far) = (std::ops::Range { start: 5, end: 2 }, 7..usize::MAX);
        let odd: Vec<_> = [backwards, far].iter().enumerate().map(stage).collect();
        assert_eq!(marked(&odd, 8, |layer| layer.min(8)).chars().count(), 8);
        assert_eq!(odd[0].span(), "layer 5");
    }

    #[test]
    fn names_are_cut_in_the_middle_and_cannot_steer_the_terminal() {
        let name = format!("models/\u{1b}[31m{}/the-end", "long".repeat(20));
        let text = lines([(&name[..], 30, &Stages::default())].into_iter());
        assert!(text.contains("models/\u{fffd}[31m") && text.trim_end().ends_with("/the-end"), "{text}");
        assert!(text.contains('…') && text.trim_end().chars().count() <= WIDTH, "{text}");
        let mut profile = profile(4, &[("delete_kl", &[8.0, 0.08, 0.8, 0.1])]);
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
            let text = chart(n_layers, &[("delete_kl", &values), ("lens_kl", &values), ("wic_accuracy", &[])]);
            assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
        assert!(!chart(3, &[("delete_kl", &[f64::NAN; 3])]).contains("deleting a layer"));
    }
}
