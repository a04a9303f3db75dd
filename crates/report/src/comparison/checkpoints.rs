//! Curves over the checkpoints of one training run: [`figure`].

use stratigraph_profile::{Axis, Matrix, Scale, Unit, catalogue};

use super::{DAMAGE, INSIDE, LENS, Model};
use crate::figure::{Figure, Heat, Panel};

/// A map of each curve, checkpoints downwards and depth to the right. Curves with a logarithmic scale are shown as logarithms.
pub(super) fn figure(models: &[Model], labels: &[String]) -> Figure {
    let curves = DAMAGE.iter().chain(LENS).chain(INSIDE);
    Figure {
        panels: curves.filter_map(|curve| panel(models, labels, curve)).collect(),
        ..Figure::new("training", "When each signature appears in training").with_caption(
            "Checkpoints of one training run from top to bottom, depth from left to right. Divergences, norms and other \
             curves with a logarithmic scale are shown as logarithms to base 10; what is not above 0 is grey.",
        )
    }
}

fn panel(models: &[Model], labels: &[String], name: &str) -> Option<Panel> {
    let entry = catalogue::find(name)?;
    let axis = models.iter().find_map(|model| Some(model.profile.curve_or_derived(name)?.axis.clone()))?;
    let is_log = entry.scale == Scale::Log;
    let value = |value: f64| match value {
        value if !is_log => value,
        value if value > 0.0 => value.log10(),
        _ => f64::NAN,
    };
    let row = |model: &Model| match model.profile.curve_or_derived(name).filter(|curve| curve.axis == axis) {
        Some(curve) => curve.mean.iter().map(|&it| value(it)).collect(),
        None => vec![f64::NAN; axis.len()],
    };
    let rows: Vec<Vec<f64>> = models.iter().map(row).collect();
    let has_numbers = rows.iter().flatten().any(|value| value.is_finite());
    let unit = if is_log { Unit::Other(format!("log10 {}", entry.unit).trim_end().to_owned()) } else { entry.unit };
    let checkpoints = Axis::labelled("checkpoint", labels.iter().map(String::as_str));
    let matrix = Matrix::new(checkpoints, axis, unit, rows);
    // The logarithm of a number has no sign that matters.
    let signed = |heat: Heat| if is_log { heat.with_signed(false) } else { heat };
    has_numbers.then(|| Panel::Heat(signed(Heat::new(entry.title, matrix))))
}
