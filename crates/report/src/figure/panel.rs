//! The parts of a figure: [`Panel`]s, which are [`Lines`] of [`Series`], [`Dots`] of them or a [`Heat`] map.

use stratigraph_profile::{Curve, Matrix, Scale, catalogue};

use super::{Dots, Horizontal, range};

/// One picture of a figure.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Panel {
    /// Curves over the same axes.
    Lines(Lines),
    /// A matrix in colours.
    Heat(Heat),
    /// Numbers of named things, a row for each.
    Dots(Dots),
}

impl Panel {
    /// A panel of one curve, with the title and unit of the catalogue or of the curve itself.
    pub fn from_curve(name: &str, curve: &Curve) -> Self {
        let entry = catalogue::describe(name, curve);
        let side = Side::new(entry.axis_label(), entry.scale).with_series(Series::from_curve(entry.label, curve));
        Panel::Lines(Lines::new(entry.title, Horizontal::from_axis(&curve.axis), side))
    }

    /// A heat map of a matrix, with the title of the catalogue or of the matrix itself.
    pub fn from_matrix(name: &str, matrix: &Matrix) -> Self {
        let known = || catalogue::find_matrix(name).map(|entry| entry.title.to_owned());
        let title = matrix.title.clone().or_else(known).unwrap_or_else(|| name.replace('_', " "));
        Panel::Heat(Heat::new(title, matrix.clone()))
    }

    /// Its heading.
    pub fn title(&self) -> &str {
        match self {
            Panel::Lines(lines) => &lines.title,
            Panel::Heat(heat) => &heat.title,
            Panel::Dots(dots) => &dots.title,
        }
    }

    /// Whether it runs over the depth of a model.
    pub fn is_depth(&self) -> bool {
        match self {
            Panel::Lines(lines) => lines.x.is_depth,
            Panel::Heat(heat) => heat.matrix.columns.n_layers().or(heat.matrix.rows.n_layers()).is_some(),
            Panel::Dots(_) => false,
        }
    }
}

/// Curves over one horizontal axis and one or two vertical ones.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Lines {
    /// The heading.
    pub title: String,
    /// What runs from left to right.
    pub x: Horizontal,
    /// What the left axis measures.
    pub left: Side,
    /// What the right axis measures, where there is one.
    pub right: Option<Side>,
}

impl Lines {
    /// Curves that are measured by the left axis.
    pub fn new(title: impl Into<String>, x: Horizontal, left: Side) -> Self {
        Self { title: title.into(), x, left, right: None }
    }

    /// Adds a right axis with curves of its own.
    pub fn with_right(mut self, right: Side) -> Self {
        self.right = Some(right);
        self
    }
}

/// A vertical axis and its curves. Both sides together can have up to twelve that differ in colour and dash.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Side {
    /// What runs upwards, with its unit.
    pub label: String,
    /// How numbers become heights.
    pub scale: Scale,
    /// In the order of the legend.
    pub series: Vec<Series>,
    /// Numbers to compare with, drawn as horizontal lines.
    pub references: Vec<Reference>,
}

impl Side {
    /// An axis without curves.
    pub fn new(label: impl Into<String>, scale: Scale) -> Self {
        Self { label: label.into(), scale, series: Vec::new(), references: Vec::new() }
    }

    /// Adds a curve.
    pub fn with_series(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// Adds a number to compare with.
    pub fn with_reference(mut self, reference: Reference) -> Self {
        self.references.push(reference);
        self
    }
}

/// One curve.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// From left to right.
    pub points: Vec<Point>,
}

impl Series {
    /// A curve of these points.
    pub fn new(name: impl Into<String>, points: Vec<Point>) -> Self {
        Self { name: name.into(), points }
    }

    /// The points of a curve of a profile. Over depth, layer `l` is at `l`; on other axes, points are at 0, 1, 2 and so on.
    pub fn from_curve(name: impl Into<String>, curve: &Curve) -> Self {
        let axis = &curve.axis;
        let point = |(index, estimate): (usize, stratigraph_profile::Estimate)| {
            let x = axis.depth(index).unwrap_or(index as f64);
            Point::new(x, axis.label(index), estimate.mean).with_sem(estimate.sem)
        };
        Self::new(name, curve.estimates().enumerate().map(point).collect())
    }

    /// Whether any of its points has a number.
    pub(crate) fn has_numbers(&self) -> bool {
        self.points.iter().any(|point| point.y.is_finite())
    }
}

/// A number and its standard error or interval.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Point {
    /// Where it is on the horizontal axis.
    pub x: f64,
    /// The same in words, such as `before layer 3`.
    pub at: String,
    /// The number.
    pub y: f64,
    /// Its standard error, drawn as a band.
    pub sem: Option<f64>,
    /// An interval around it, drawn as a band in place of the standard error.
    pub interval: Option<Interval>,
}

/// An interval around a number, such as one of 95 % by a bootstrap.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// From its ends.
    pub fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }
}

impl Point {
    /// A number without a standard error; `at` says in words where it is.
    pub fn new(x: f64, at: impl Into<String>, y: f64) -> Self {
        Self { x, at: at.into(), y, sem: None, interval: None }
    }

    /// Sets its standard error.
    pub fn with_sem(mut self, sem: Option<f64>) -> Self {
        self.sem = sem;
        self
    }

    /// Sets an interval that is drawn in place of the standard error.
    pub fn with_interval(mut self, interval: Option<Interval>) -> Self {
        self.interval = interval;
        self
    }

    /// The ends of its band; the number itself where it has none.
    pub(super) fn band(&self) -> Interval {
        let sem = self.sem.filter(|sem| sem.is_finite()).unwrap_or(0.0);
        let is_finite = |interval: &Interval| interval.low.is_finite() && interval.high.is_finite();
        self.interval.filter(is_finite).unwrap_or(Interval::new(self.y - sem, self.y + sem))
    }
}

/// A number that curves are compared with.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Reference {
    /// Its name in the legend.
    pub name: String,
    /// The number.
    pub y: f64,
}

impl Reference {
    /// A horizontal line at `y`.
    pub fn new(name: impl Into<String>, y: f64) -> Self {
        Self { name: name.into(), y }
    }
}

/// A matrix in colours.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Heat {
    /// The heading.
    pub title: String,
    /// The numbers. Beside rows and columns over depth, stages are shown.
    pub matrix: Matrix,
    /// Whether 0 is in the middle of the colours, with one side for each sign.
    pub signed: bool,
}

impl Heat {
    /// A heat map; the colours have a side for each sign where the smallest value is below minus a tenth of the largest.
    pub fn new(title: impl Into<String>, matrix: Matrix) -> Self {
        let (low, high) = range(matrix.values.iter().flatten().copied()).unwrap_or_default();
        Self { title: title.into(), signed: low < -0.1 * high.abs(), matrix }
    }

    /// Sets whether the colours have a side for each sign.
    pub fn with_signed(mut self, signed: bool) -> Self {
        self.signed = signed;
        self
    }
}
