//! Panels of curves, with titles, labels and scales from the catalogue: [`panel`], [`lines`], [`repeated`].

use stratigraph_profile::catalogue::{self, CurveEntry, MetricEntry};
use stratigraph_profile::{Axis, Curve, Profile};

use super::plans::{MOST, REPEATED, Wanted};
use crate::figure::{Horizontal, Interval, Lines, Panel, Reference, Series, Side};
use crate::text::Number;

/// A curve with what the catalogue says about it.
#[derive(Clone)]
pub(super) struct Described<'a> {
    pub(super) entry: CurveEntry,
    pub(super) curve: &'a Curve,
    bounds: Option<Bounds<'a>>,
}

/// The ends of an interval around each point of a curve, which are curves of their own: `x_ci_low` and `x_ci_high` of `x`.
#[derive(Clone)]
struct Bounds<'a> {
    low: &'a Curve,
    high: &'a Curve,
}

const LOW: &str = "_ci_low";
const HIGH: &str = "_ci_high";

impl<'a> Bounds<'a> {
    /// The bounds of the curve of a name; none where it has none.
    fn find(profile: &'a Profile, name: &str, curve: &Curve) -> Option<Self> {
        let bound = |end: &str| {
            let is_its = |other: &str| other.contains(end) && other.replacen(end, "", 1) == name;
            let found = profile.curves.iter().find(|(other, bound)| is_its(other) && bound.axis == curve.axis);
            found.map(|(_, bound)| bound)
        };
        Some(Self { low: bound(LOW)?, high: bound(HIGH)? })
    }
}

/// Whether a curve is a bound of another one, which is drawn with it.
pub(super) fn is_bound(profile: &Profile, name: &str) -> bool {
    [LOW, HIGH].iter().filter(|end| name.contains(*end)).any(|end| {
        let of = name.replacen(end, "", 1);
        profile.curves.get(&of).is_some_and(|curve| Bounds::find(profile, &of, curve).is_some())
    })
}

impl<'a> Described<'a> {
    /// The curve of a name; `None` where it is absent or has no number.
    pub(super) fn find(profile: &'a Profile, name: &str) -> Option<Self> {
        let curve = profile.curves.get(name).filter(|curve| curve.has_numbers())?;
        Some(Self { entry: catalogue::describe(name, curve), curve, bounds: Bounds::find(profile, name, curve) })
    }

    /// Its line, with its band.
    fn series(&self, name: &str) -> Series {
        let mut series = Series::from_curve(name, self.curve);
        let Some(Bounds { low, high }) = &self.bounds else { return series };
        let intervals = low.mean.iter().zip(&high.mean).map(|(low, high)| Interval::new(*low, *high));
        let points = series.points.into_iter().zip(intervals);
        series.points = points.map(|(point, interval)| point.with_interval(Some(interval))).collect();
        series
    }
}

/// The curves of one vertical axis, and single numbers to compare them with.
#[derive(Default)]
pub(super) struct Measured<'a> {
    pub(super) curves: Vec<Described<'a>>,
    pub(super) references: Vec<Reference>,
}

impl Measured<'_> {
    fn side(&self, by_sweep: bool) -> Option<Side> {
        let first = &self.curves.first()?.entry;
        // Where all curves of a panel have one metric, the legend names the sweep alone.
        let series = |it: &Described| {
            let sweep = it.entry.sweep.as_ref().filter(|_| by_sweep);
            it.series(sweep.unwrap_or(&it.entry.label))
        };
        let mut side = Side::new(first.axis_label(), first.scale);
        side.series = self.curves.iter().map(series).collect();
        side.references.clone_from(&self.references);
        Some(side)
    }
}

/// A panel of those curves that are there; `None` when there are none.
pub(super) fn panel(profile: &Profile, wanted: &Wanted) -> Option<Panel> {
    let is_there = |name: &&str| Described::find(profile, name).is_some();
    if !wanted.needs_any.is_empty() && !wanted.needs_any.iter().any(is_there) {
        return None;
    }
    let measured = |names: &[&str], references: &[&str]| Measured {
        curves: names.iter().filter_map(|name| Described::find(profile, name)).collect(),
        references: references.iter().filter_map(|name| reference(profile, name)).collect(),
    };
    let left = measured(wanted.left.curves, wanted.left.references);
    let right = measured(wanted.right.curves, wanted.right.references);
    match (left.curves.is_empty(), right.curves.is_empty()) {
        (false, false) => lines(wanted.title, &left, &right),
        (false, true) if !wanted.needs_both => lines(wanted.title, &left, &Measured::default()),
        (true, false) if !wanted.needs_both => lines(wanted.title, &right, &Measured::default()),
        _ => None,
    }
}

/// Curves of one or two vertical axes; `None` when the left one has none. Without a title of its own a panel is called after
/// the metric that its curves share, or after its first curve.
pub(super) fn lines(title: Option<&str>, left: &Measured, right: &Measured) -> Option<Panel> {
    let all = || left.curves.iter().chain(&right.curves);
    let metric = shared_metric(all().map(|it| it.entry.metric.as_ref()));
    let of_metric = || metric.filter(|_| left.curves.len() > 1).map(|metric| metric.title.as_str());
    let title = title.or_else(of_metric).unwrap_or(&all().next()?.entry.title).to_owned();
    let x = horizontal(all().map(|it| &it.curve.axis))?;
    let lines = Lines::new(title, x, left.side(metric.is_some())?);
    Some(Panel::Lines(match right.side(metric.is_some()) {
        Some(right) => lines.with_right(right),
        None => lines,
    }))
}

/// The metric that all curves have.
fn shared_metric<'a>(mut metrics: impl Iterator<Item = Option<&'a MetricEntry>>) -> Option<&'a MetricEntry> {
    let first = metrics.next()??;
    metrics.all(|metric| metric.is_some_and(|metric| metric.name == first.name)).then_some(first)
}

/// The axis that all curves share, or that of layers, on which all axes over depth can be drawn.
fn horizontal<'a>(mut axes: impl Iterator<Item = &'a Axis>) -> Option<Horizontal> {
    let first = axes.next()?;
    match first.n_layers() {
        Some(n_layers) if !axes.all(|axis| axis == first) => Some(Horizontal::layers(n_layers)),
        _ => Some(Horizontal::from_axis(first)),
    }
}

fn reference(profile: &Profile, name: &str) -> Option<Reference> {
    let y = profile.values.get(name)?.mean;
    let label = catalogue::find_value(name).map_or(name, |entry| entry.label);
    y.is_finite().then(|| Reference::new(format!("{label} {}", Number(y)), y))
}

/// What is done with blocks of layers: a panel for each of the metrics that are drawn, with a curve for each sweep.
pub(super) fn blocks(profile: &Profile) -> Vec<Panel> {
    let panels = |metric: &&str| {
        let all = of_blocks(profile, metric);
        all.chunks(MOST).filter_map(|curves| panel_of_blocks(profile, metric, curves)).collect::<Vec<_>>()
    };
    REPEATED.iter().flat_map(panels).collect()
}

fn panel_of_blocks(profile: &Profile, metric: &str, curves: &[Described]) -> Option<Panel> {
    let references = reference(profile, &format!("clean_{metric}")).into_iter().collect();
    let title = catalogue::find_metric(metric)?.title;
    let measured = Measured { curves: curves.to_vec(), references };
    let Panel::Lines(mut lines) = lines(Some(&title), &measured, &Measured::default())? else { return None };
    lines.x = Horizontal { label: "first layer of the block".into(), ..Horizontal::layers(profile.model.n_layers) };
    Some(Panel::Lines(lines))
}

/// The curves of one metric, those of shorter blocks first.
fn of_blocks<'a>(profile: &'a Profile, metric: &str) -> Vec<Described<'a>> {
    let is_of_metric = |it: &Described| it.entry.metric.as_ref().is_some_and(|own| own.name == metric);
    let found = profile.curves.iter().filter_map(|(name, curve)| {
        let Axis::BlockStarts { length, .. } = &curve.axis else { return None };
        let it = Described::find(profile, name).filter(is_of_metric)?;
        (it.entry.group == catalogue::BLOCKS).then_some((*length, it))
    });
    let mut found: Vec<_> = found.collect();
    found.sort_by_key(|(length, _)| *length);
    found.into_iter().map(|(_, curve)| curve).collect()
}
