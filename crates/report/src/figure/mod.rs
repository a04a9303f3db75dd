//! Curves and matrices as pictures: a [`Figure`] is a row of [`Panel`]s, [`Lines`] over layers or a [`Heat`] map.
//!
//! A figure is written as one SVG that needs nothing else: it follows the reader's light or dark setting, tells every
//! number to a mouse that rests on it, and tells series apart by colour, dash and marker. [`figures`] are those that a
//! profile has numbers for.

mod axis;
mod catalogue;
mod colour;
mod draw;
mod heat;
mod horizontal;
mod legend;
mod strip;
mod svg;

pub(crate) use axis::range;
pub use catalogue::figures;
pub(crate) use catalogue::{series, with_bands};
pub(crate) use colour::{STAGES, style};
pub use horizontal::Horizontal;
pub(crate) use svg::Alone;

/// A picture and the name of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The stem of its file name.
    pub name: String,
    /// The heading.
    pub title: String,
    /// What it shows, in a sentence or two.
    pub caption: String,
    /// What was measured, on what.
    pub source: String,
    /// From left to right.
    pub panels: Vec<Panel>,
    /// The stages, shaded in each panel that runs over depth.
    pub bands: Vec<Band>,
}

/// One picture of a figure.
#[derive(Debug, Clone, PartialEq)]
pub enum Panel {
    /// Curves over the same axes.
    Lines(Lines),
    /// A matrix in colours.
    Heat(Heat),
}

/// Curves over one horizontal axis and one or two vertical ones.
#[derive(Debug, Clone, PartialEq)]
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

/// A vertical axis and the curves that it measures; both sides together have at most twelve, which are told apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// What runs upwards, with its unit.
    pub label: String,
    /// How it does.
    pub scale: Scale,
    /// In the order of the legend.
    pub series: Vec<Series>,
    /// Numbers to compare with, drawn as level lines.
    pub references: Vec<Reference>,
}

/// How numbers become heights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// In proportion, from 0.
    Linear,
    /// In proportion, from 0 and not beyond 1.
    Share,
    /// In proportion, over the range that the numbers have.
    Fitted,
    /// By their logarithm, where they span a decade or more, and else in proportion. Numbers that are not positive have
    /// no place on a logarithmic axis and are left out; those a million times below the largest lie on its lower end.
    Log,
}

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// From left to right.
    pub points: Vec<Point>,
}

/// A number and its standard error, at a place.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Where it lies on the horizontal axis.
    pub x: f64,
    /// The place in words, such as `before layer 3`.
    pub at: String,
    /// The number.
    pub y: f64,
    /// Its standard error, drawn as a band.
    pub sem: Option<f64>,
}

/// A number that curves are compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Its name in the legend.
    pub name: String,
    /// The number.
    pub y: f64,
}

/// A matrix in colours.
#[derive(Debug, Clone, PartialEq)]
pub struct Heat {
    /// The heading.
    pub title: String,
    /// The numbers and what they are of.
    pub matrix: stratigraph_stages::Matrix,
    /// Whether 0 is in the middle of the colours, with one side for each sign.
    pub signed: bool,
    /// Whether its columns, and whether its rows, are layers or the places before them, beside which stages are shown.
    pub is_depth: (bool, bool),
}

/// A stage, shaded on an axis of depth where layer `l` has the place `l` and reaches half a layer to each side.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    /// Which colour it has: 0 to 3.
    pub colour: usize,
    /// What it is called.
    pub name: String,
    /// Where it begins and ends.
    pub range: (f64, f64),
    /// Between which places its beginning is known to lie.
    pub start_interval: Option<(f64, f64)>,
    /// What it tells a mouse that rests on it.
    pub told: String,
}
