//! A figure of its own: [`write_figure`].

use stratigraph::prelude::*;
use stratigraph::profile::Scale;
use stratigraph::report::figure::{Figure, Horizontal, Lines, Panel, Point, Series, Side};

/// What layers write, beside what deleting them costs.
///
/// # Errors
/// When the profile lacks one of the two curves.
pub fn write_figure(profile: &Profile) -> Result<Figure, ProfileError> {
    let side = |label: &str, name: &str| -> Result<Side, ProfileError> {
        let curve = profile.curve(name)?;
        let points = curve.mean.iter().enumerate();
        let points = points.map(|(layer, &y)| Point::new(layer as f64, curve.axis.label(layer), y)).collect();
        Ok(Side::new(label, Scale::Log).with_series(Series::new(name, points)))
    };
    let lines =
        Lines::new("Writes and damage", Horizontal::layers(profile.model.n_layers), side("norm", "write_norm")?);
    let lines = lines.with_right(side("KL, nats", "delete_kl")?);
    Ok(Figure::new("writes", "What layers write").with_caption("By layer.").with_panel(Panel::Lines(lines)))
}
