//! Curves as pictures: [`Figure`], a row of [`Panel`]s with [`Series`] over layers, written as SVG.
//!
//! A figure is one SVG that needs nothing else: it follows the reader's light or dark setting, tells every number to a
//! mouse that rests on it, and tells series apart by colour, dash and marker.

mod axis;
mod profile;
mod svg;

pub use profile::figures;

/// A picture and the name of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The stem of its file name.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub caption: String,
    /// From left to right.
    pub panels: Vec<Panel>,
}

/// Curves over the same axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// The heading.
    pub title: &'static str,
    /// What runs from left to right.
    pub x_label: &'static str,
    /// What runs upwards, with its unit.
    pub y_label: &'static str,
    /// How it does.
    pub scale: Scale,
    /// At most six, in the order of the legend.
    pub series: Vec<Series>,
}

/// How numbers become heights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// In proportion, from 0.
    Linear,
    /// By their logarithm. Numbers that are not positive have no place on it and are left out.
    Log,
}

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: &'static str,
    /// From left to right.
    pub points: Vec<Point>,
}

/// A number and its standard error, at a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The layer.
    pub x: f64,
    /// The number.
    pub y: f64,
    /// Its standard error, drawn as a band.
    pub sem: Option<f64>,
}
