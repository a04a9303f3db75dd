//! The [`Legend`] of a panel, in one or more rows; each entry has a sample of its curve.

use std::fmt::{self, Display, Write};

use super::marker::mark;
use super::{Lines, colour};
use crate::text::{Escaped, shortened};

/// Where it begins, and the width it has.
const LEFT: f64 = 58.0;
const WIDTH: f64 = 348.0;
/// The height of a row.
pub(super) const ROW: f64 = 17.0;
/// The width of a character, roughly.
const CHARACTER: f64 = 7.3;
/// The width of an entry without its text.
const SAMPLE: f64 = 44.0;
/// The longest text of an entry, in characters.
const LONGEST: usize = 40;

/// What the sample of an entry shows.
#[derive(Clone, Copy)]
enum Sample {
    Curve(usize),
    Reference(usize),
}

/// The entries of a panel, by row, each with its distance from the left.
pub(super) struct Legend {
    rows: Vec<Vec<(f64, Sample, String)>>,
}

impl Legend {
    /// The legend of series alone; without a row where there is no name.
    pub(super) fn of_names<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self::new(names.enumerate().map(|(index, name)| (Sample::Curve(index), name.to_owned())))
    }

    pub(super) fn of(panel: &Lines) -> Self {
        let by_right = |name: &String| format!("{name} →");
        let left = panel.left.series.iter().map(|series| series.name.clone());
        let right = panel.right.iter().flat_map(|side| &side.series).map(|series| by_right(&series.name));
        let curves = left.chain(right).enumerate().map(|(index, name)| (Sample::Curve(index), name));
        let left = panel.left.references.iter().map(|reference| reference.name.clone());
        let right = panel.right.iter().flat_map(|side| &side.references).map(|reference| by_right(&reference.name));
        let references = left.chain(right).enumerate().map(|(index, name)| (Sample::Reference(index), name));
        Self::new(curves.chain(references))
    }

    fn new(entries: impl Iterator<Item = (Sample, String)>) -> Self {
        let (mut rows, mut at) = (vec![Vec::new()], 0.0);
        for (sample, name) in entries {
            let name = shortened(&name, LONGEST);
            let width = SAMPLE + CHARACTER * name.chars().count() as f64;
            if at + width > WIDTH && at > 0.0 {
                rows.push(Vec::new());
                at = 0.0;
            }
            rows.last_mut().expect("there is a row").push((LEFT + at, sample, name));
            at += width;
        }
        Self { rows }
    }

    pub(super) fn height(&self) -> f64 {
        ROW * self.rows.len() as f64
    }

    /// Draws it below the height `top`.
    pub(super) fn draw(&self, f: &mut impl Write, top: f64) -> fmt::Result {
        for (row, entries) in self.rows.iter().enumerate() {
            let y = top + ROW * (row as f64 + 0.5);
            entries.iter().try_for_each(|entry| draw_entry(f, entry, y))?;
        }
        Ok(())
    }
}

fn draw_entry(f: &mut impl Write, (x, sample, name): &(f64, Sample, String), y: f64) -> fmt::Result {
    match *sample {
        Sample::Curve(index) => {
            let class = colour::class(index);
            write!(f, r#"<g class="{class}" transform="translate({x:.1} {y:.1})"><path class="line" d="M0 0h22"/>"#)?;
            mark(f, index, (11.0, 0.0), 1.0)?;
        }
        Sample::Reference(index) => {
            let line = format_args!(r#"<path class="reference r{}" d="M0 0h22"/>"#, index % 3).to_string();
            write!(f, r#"<g transform="translate({x:.1} {y:.1})">{line}"#)?;
        }
    }
    write!(f, r#"<text x="28" y="4">{}</text></g>"#, Escaped(name))
}

impl Display for Legend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.rows.iter().flatten().map(|(.., name)| name.as_str());
        f.write_str(&names.collect::<Vec<_>>().join(", "))
    }
}
