//! Draws [`Lines`]: title, legend, axes, curves with bands of one standard error, and columns that show the numbers under the mouse.

use std::fmt::{self, Display, Write};

use stratigraph_profile::Scale;

use super::axis::Axis;
use super::legend::Legend;
use super::marker::mark;
use super::strip::{self, Frame};
use super::{Band, Horizontal, Interval, Lines, Point, Reference, Series, Side, colour};
use crate::text::{Escaped, Number, Tick, shortened, with_error};

pub(super) const WIDTH: f64 = 410.0;
/// The margins of the plot, and its height.
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
pub(super) const TITLE: f64 = 24.0;
const BOTTOM: f64 = 44.0;
const PLOT: f64 = 196.0;
/// How many characters fit into a heading, and into the label beside the plot.
pub(super) const HEADING: usize = 44;
const UPRIGHT: usize = 34;
/// With more points than this marks are small.
const MANY: usize = 40;

/// A panel laid out.
pub(super) struct Drawing<'a> {
    panel: &'a Lines,
    bands: &'a [Band],
    legend: Legend,
    frame: Frame,
    left: Axis,
    right: Option<Axis>,
}

impl<'a> Drawing<'a> {
    pub(super) fn of(panel: &'a Lines, bands: &'a [Band]) -> Self {
        let bands = if panel.x.is_depth { bands } else { &[] };
        let legend = Legend::of(panel);
        let strip = if bands.is_empty() { 6.0 } else { strip::HEIGHT + 4.0 };
        let top = TITLE + legend.height() + strip;
        let sides = (LEFT, WIDTH - if panel.right.is_some() { LEFT } else { RIGHT });
        let frame = Frame { sides, top, bottom: top + PLOT };
        let axis = |side: &Side| {
            let points = side.series.iter().flat_map(|series| &series.points);
            let ends = points.flat_map(|point| [point.y, point.band().high, lower(point, side.scale)]);
            let values = ends.chain(side.references.iter().map(|reference| reference.y));
            Axis::over(values, side.scale, frame.bottom, top)
        };
        Self { panel, bands, legend, frame, left: axis(&panel.left), right: panel.right.as_ref().map(axis) }
    }

    pub(super) fn height(&self) -> f64 {
        self.frame.bottom + BOTTOM
    }

    /// The panel in words.
    pub(super) fn in_words(&self) -> String {
        let Lines { title, x, left, right } = self.panel;
        let right = right.as_ref().map(|right| format!("; {}", right.label)).unwrap_or_default();
        format!("{title}: {} ({}{right}) by {}", self.legend, left.label, x.label)
    }

    pub(super) fn draw(&self, f: &mut impl Write) -> fmt::Result {
        write!(
            f,
            r#"<text class="title" x="{LEFT}" y="16">{}</text>"#,
            Escaped(&shortened(&self.panel.title, HEADING))
        )?;
        self.legend.draw(f, TITLE)?;
        strip::shade(f, self.bands, &self.panel.x, self.frame)?;
        self.draw_horizontal(f)?;
        self.draw_vertical(f, &self.left, &self.panel.left.label, false)?;
        if let (Some(axis), Some(side)) = (&self.right, &self.panel.right) {
            self.draw_vertical(f, axis, &side.label, true)?;
        }
        let (left, right) = self.frame.sides;
        for (index, (reference, axis)) in self.references().enumerate() {
            let Some(y) = axis.place(reference.y) else { continue };
            write!(f, r#"<path class="reference r{}" d="M{left} {y:.1}H{right}"/>"#, index % 3)?;
        }
        for (index, (series, axis)) in self.series().enumerate() {
            write!(f, r#"<g class="{}">"#, colour::class(index))?;
            self.draw_series(f, index, series, axis)?;
            f.write_str("</g>")?;
        }
        strip::draw(f, self.bands, &self.panel.x, self.frame)?;
        self.draw_columns(f)
    }

    /// Every curve with the axis that measures it.
    fn series(&self) -> impl Iterator<Item = (&Series, &Axis)> {
        let left = self.panel.left.series.iter().map(|series| (series, &self.left));
        let right = self.panel.right.iter().zip(&self.right);
        left.chain(right.flat_map(|(side, axis)| side.series.iter().map(move |series| (series, axis))))
    }

    /// Every number to compare with, and the axis that measures it.
    fn references(&self) -> impl Iterator<Item = (&Reference, &Axis)> {
        let left = self.panel.left.references.iter().map(|reference| (reference, &self.left));
        let right = self.panel.right.iter().zip(&self.right);
        left.chain(right.flat_map(|(side, axis)| side.references.iter().map(move |reference| (reference, axis))))
    }

    fn across(&self, x: f64) -> f64 {
        self.panel.x.place(x, self.frame.sides)
    }

    fn draw_horizontal(&self, f: &mut impl Write) -> fmt::Result {
        let Frame { sides: (left, right), bottom, .. } = self.frame;
        let (marks, line) = (bottom + 18.0, bottom + 36.0);
        for (at, name) in &self.panel.x.ticks {
            let (at, name) = (self.across(*at), Escaped(name));
            write!(f, r#"<path class="axis" d="M{at:.1} {bottom}v4"/>"#)?;
            write!(f, r#"<text class="small" x="{at:.1}" y="{marks}" text-anchor="middle">{name}</text>"#)?;
        }
        let label = shortened(&self.panel.x.label, HEADING);
        let (middle, label) = ((left + right) / 2.0, Escaped(&label));
        write!(f, r#"<path class="axis" d="M{left} {bottom}H{right}"/>"#)?;
        write!(f, r#"<text x="{middle}" y="{line}" text-anchor="middle">{label}</text>"#)
    }

    fn draw_vertical(&self, f: &mut impl Write, axis: &Axis, label: &str, on_right: bool) -> fmt::Result {
        let Frame { sides: (left, right), top, bottom } = self.frame;
        for &tick in axis.ticks() {
            let at = axis.place(tick).unwrap_or(bottom);
            let (x, anchor) = if on_right { (right + 6.0, "start") } else { (left - 6.0, "end") };
            if on_right {
                write!(f, r#"<path class="axis" d="M{right} {at:.1}h4"/>"#)?;
            } else {
                write!(f, r#"<path class="grid" d="M{left} {at:.1}H{right}"/>"#)?;
            }
            let y = at + 4.0;
            write!(f, r#"<text class="small" x="{x}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#, Tick(tick))?;
        }
        let (x, turn) = if on_right { (WIDTH - 14.0, 90) } else { (14.0, -90) };
        let label = shortened(label, UPRIGHT);
        let (middle, label) = ((top + bottom) / 2.0, Escaped(&label));
        write!(f, r#"<text transform="translate({x} {middle:.1}) rotate({turn})" text-anchor="middle">{label}</text>"#)
    }

    fn draw_series(&self, f: &mut impl Write, index: usize, series: &Series, axis: &Axis) -> fmt::Result {
        let placed = |point: &Point| Some((self.across(point.x), axis.place(point.y)?));
        // A point that the scale cannot show, such as a divergence of zero on a logarithmic axis, breaks the curve.
        for run in series.points.split(|point| placed(point).is_none()).filter(|run| !run.is_empty()) {
            let edge = |point: &Point, y: f64| (self.across(point.x), axis.place(y).unwrap_or(axis.start()));
            let upper = run.iter().map(|point| edge(point, point.band().high));
            let lower = run.iter().rev().map(|point| edge(point, point.band().low));
            write!(f, r#"<path class="band" d="{}Z"/>"#, Path(upper.chain(lower).collect()))?;
            write!(f, r#"<path class="line" d="{}"/>"#, Path(run.iter().filter_map(placed).collect()))?;
        }
        let size = if series.points.len() > MANY { 0.5 } else { 1.0 };
        series.points.iter().filter_map(placed).try_for_each(|at| mark(f, index, at, size))
    }

    /// A column for each layer that shows every number in it under the mouse.
    fn draw_columns(&self, f: &mut impl Write) -> fmt::Result {
        let Frame { sides: (left, right), top, .. } = self.frame;
        let x: &Horizontal = &self.panel.x;
        let mut texts = vec![String::new(); x.columns];
        let labels = std::iter::repeat_n(&self.panel.left.label, self.panel.left.series.len());
        let labels = labels.chain(self.panel.right.iter().map(|side| &side.label).cycle());
        for ((series, _), label) in self.series().zip(labels) {
            for point in series.points.iter().filter(|point| point.y.is_finite()) {
                let number = match point.interval {
                    Some(Interval { low, high }) => format!("{} [{}, {}]", Number(point.y), Number(low), Number(high)),
                    None => with_error(point.y, point.sem),
                };
                let text = &mut texts[x.column_of(point.x)];
                writeln!(text, "{}, {}: {number} ({label})", point.at, series.name)?;
            }
        }
        let width = (right - left) / x.columns as f64;
        for (column, text) in texts.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
            let (from, text) = (left + width * column as f64, Escaped(text.trim_end()));
            write!(f, r#"<path class="over" d="M{from:.1} {top:.1}h{width:.2}v{PLOT}h-{width:.2}z">"#)?;
            write!(f, "<title>{text}</title></path>")?;
        }
        Ok(())
    }
}

/// The lower end of a band; on a logarithmic axis it may run out of the plot.
fn lower(point: &Point, scale: Scale) -> f64 {
    if scale == Scale::Log { point.y } else { point.band().low }
}

/// A line through points.
struct Path(Vec<(f64, f64)>);

impl Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (x, y)) in self.0.iter().enumerate() {
            write!(f, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' })?;
        }
        Ok(())
    }
}
