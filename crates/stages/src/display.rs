//! A segmentation as a text for a terminal.

use std::fmt::{self, Write};

use crate::evidence::named;
use crate::{Boundary, Segmentation, StageSpan, Stand, Verdict};

/// Writes on without control characters but the ends of lines: a terminal obeys them, and texts may be from a file.
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
        match self.verdict {
            Verdict::Stages => writeln!(f, "stages of inference, {} layers: {}", self.n_layers, self.reason)?,
            Verdict::NoStageStructure => writeln!(f, "no stage structure, {} layers: {}", self.n_layers, self.reason)?,
        }
        for (index, span) in self.stages.iter().enumerate() {
            stage(f, span, index.checked_sub(1).and_then(|before| self.boundaries.get(before)))?;
        }
        for it in &self.rejected {
            writeln!(f, "not drawn: {} | {} at layer {}: {}", it.before, it.after, it.at, it.reason)?;
        }
        for outlier in &self.outliers {
            let (layer, z) = (outlier.layer, outlier.z);
            writeln!(f, "outlier: layer {layer}, {} (z {z:+.1}): {}", outlier.signal, outlier.reason)?;
        }
        if !self.change_points.is_empty() {
            let points: Vec<String> = self.change_points.iter().map(usize::to_string).collect();
            writeln!(f, "change points of all curves, without the rule: {}", points.join(" "))?;
        }
        if !self.missing.is_empty() {
            writeln!(f, "not in the profile: {}", self.missing.join(" "))?;
        }
        if !self.unreadable.is_empty() {
            writeln!(f, "too short, or of a length that does not fit: {}", self.unreadable.join(" "))?;
        }
        Ok(())
    }
}

fn stage(f: &mut impl Write, span: &StageSpan, begins: Option<&Boundary>) -> fmt::Result {
    let layers = named(&(span.first..span.end));
    write!(f, "{:<22} {layers}", span.stage.to_string())?;
    match begins {
        None => writeln!(f)?,
        Some(Boundary { doubt: None, at, .. }) => writeln!(f, ", begins at {at} (interval unknown)")?,
        Some(Boundary { doubt: Some(doubt), at, .. }) => {
            let (low, high, support) = (doubt.low, doubt.high, 100.0 * doubt.support);
            writeln!(f, ", begins at {at} (95 % within {low}-{high}; in {support:.0} % of draws)")?;
        }
    }
    let spoken = span.evidence.iter().filter(|evidence| evidence.stand != Stand::Absent);
    for evidence in spoken {
        let (stand, strength) = (evidence.stand, evidence.strength);
        writeln!(f, "  {stand:<8} {strength:+.2} {}: {}", evidence.signal, evidence.text)?;
    }
    let absent: Vec<&str> =
        span.evidence.iter().filter(|it| it.stand == Stand::Absent).map(|it| it.signal.as_str()).collect();
    if absent.is_empty() { Ok(()) } else { writeln!(f, "  absent: {}", absent.join(" ")) }
}
