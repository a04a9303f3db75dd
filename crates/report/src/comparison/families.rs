//! Averages over the models of one family: [`family_series`].

use super::Model;
use super::alignment::{POINTS, at_points};
use crate::figure::{Point, Series};

/// The mean of a curve over the models of a family, with the standard error over models; none if no model has it.
pub(super) fn family_series(family: &str, models: &[&Model], curve: &str) -> Option<Series> {
    let each: Vec<Vec<f64>> = models.iter().filter_map(|model| at_points(&model.profile, curve, 2)).collect();
    if each.is_empty() {
        return None;
    }
    let n = each.len() as f64;
    let point = |point: usize| {
        let mean = each.iter().map(|values| values[point]).sum::<f64>() / n;
        let squares: f64 = each.iter().map(|values| (values[point] - mean).powi(2)).sum();
        let sem = (each.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt());
        let depth = (point as f64 + 0.5) / POINTS as f64;
        Point::new(depth, format!("depth {depth:.2}"), mean).with_sem(sem)
    };
    let name = format!("{family} (mean of {})", each.len());
    Some(Series::new(name, (0..POINTS).map(point).collect()))
}
