//! Curves and matrices as pictures: a [`Figure`] is a row of [`Panel`]s, which are [`Lines`] over an axis, [`Dots`] in rows or a
//! [`Heat`] map.
//!
//! A figure is written as one self-contained SVG. It follows the reader's light or dark setting, shows every number
//! under the mouse, and gives series different colours, dashes and markers. [`figures`] are those that a profile has numbers
//! for.
//!
//! ```
//! use stratigraph_report::figure::{Figure, Horizontal, Lines, Panel, Point, Series, Side};
//! use stratigraph_profile::Scale;
//!
//! let points = [0.5, 0.25, 1.0].into_iter().enumerate();
//! let points = points.map(|(layer, y)| Point::new(layer as f64, format!("layer {layer}"), y)).collect();
//! let side = Side::new("score", Scale::Linear).with_series(Series::new("induction", points));
//! let lines = Lines::new("Induction", Horizontal::layers(3), side);
//! let figure = Figure::new("induction", "Induction heads").with_caption("By layer.").with_panel(Panel::Lines(lines));
//! assert!(figure.to_string().contains("layer 2, induction: 1"));
//! ```

mod axis;
mod catalogue;
mod colour;
mod dots;
mod draw;
mod heat;
mod horizontal;
mod legend;
mod marker;
mod panel;
mod strip;
mod svg;

pub(crate) use axis::range;
pub use catalogue::figures;
pub(crate) use colour::{STAGES, of_share, of_share_on_dark, style};
pub use dots::Dots;
pub use horizontal::Horizontal;
pub use panel::{Heat, Interval, Lines, Panel, Point, Reference, Series, Side};
pub(crate) use svg::Alone;

/// A picture and the name of its file.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Figure {
    /// The stem of its file name.
    pub name: String,
    /// The heading.
    pub title: String,
    /// What it shows, in a sentence or two.
    pub caption: String,
    /// What was measured, and on what.
    pub source: String,
    /// From left to right.
    pub panels: Vec<Panel>,
    /// The stages, shaded in each panel that runs over depth.
    pub bands: Vec<Band>,
}

impl Figure {
    /// A figure without panels; `name` is the stem of its file name.
    pub fn new(name: impl Into<String>, title: impl Into<String>) -> Self {
        let (caption, source) = (String::new(), String::new());
        Self { name: name.into(), title: title.into(), caption, source, panels: Vec::new(), bands: Vec::new() }
    }

    /// Sets the sentences that say what it shows.
    pub fn with_caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    /// Sets what was measured, and on what.
    pub fn with_source(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        self
    }

    /// Adds a panel on the right.
    pub fn with_panel(mut self, panel: Panel) -> Self {
        self.panels.push(panel);
        self
    }

    /// Adds a stage that is shaded in each panel that runs over depth.
    pub fn with_band(mut self, band: Band) -> Self {
        self.bands.push(band);
        self
    }

    /// With these stages, where it runs over depth and has none of its own.
    pub(crate) fn shaded(mut self, bands: &[Band]) -> Self {
        if self.bands.is_empty() && self.panels.iter().any(Panel::is_depth) {
            self.bands = bands.to_vec();
        }
        self
    }
}

/// A stage, shaded on an axis of depth, where layer `l` is at `l` and extends half a layer to each side.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Band {
    /// Which colour it has: 0 to 3.
    pub colour: usize,
    /// What it is called.
    pub name: String,
    /// Where it begins and ends.
    pub(crate) range: (f64, f64),
    /// The interval in which it begins.
    pub(crate) start_interval: Option<(f64, f64)>,
    /// Where it begins by other rules.
    pub(crate) start_by_rules: Option<(f64, f64)>,
    /// Where it takes over gradually from the one before.
    pub(crate) gradient: Option<(f64, f64)>,
    /// Whether it begins in a step.
    pub(crate) is_sharp: bool,
    /// What is shown under the mouse.
    pub text: String,
}

impl Band {
    /// The layers from `first` to before `end`, in one of the colours 0 to 3.
    pub fn layers(name: impl Into<String>, colour: usize, first: usize, end: usize) -> Self {
        let (name, range) = (name.into(), (first as f64 - 0.5, end as f64 - 0.5));
        let (start_interval, start_by_rules, gradient) = (None, None, None);
        Self { colour, text: name.clone(), name, range, start_interval, start_by_rules, gradient, is_sharp: false }
    }

    /// Sets the interval of layers in which it begins, both ends included.
    pub fn with_start_interval(mut self, low: usize, high: usize) -> Self {
        self.start_interval = Some((low as f64 - 0.5, high as f64 - 0.5));
        self
    }

    /// Sets the layers in which it begins by other rules, both ends included.
    pub fn with_start_by_rules(mut self, low: usize, high: usize) -> Self {
        self.start_by_rules = Some((low as f64 - 0.5, high as f64 - 0.5));
        self
    }

    /// Lets it take over gradually from the one before, between two depths; layer `l` extends from `l - 0.5` to `l + 0.5`.
    pub fn with_gradient(mut self, from: f64, to: f64) -> Self {
        self.gradient = Some((from, to)).filter(|(from, to)| from.is_finite() && to.is_finite() && from < to);
        self
    }

    /// Draws a line where it begins.
    pub fn sharp(mut self) -> Self {
        self.is_sharp = true;
        self
    }

    /// Sets what is shown under the mouse.
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }
}
