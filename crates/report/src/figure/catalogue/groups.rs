//! Sweeps by groups of positions: a panel for each matrix, with a line for each group.

use stratigraph_profile::{Axis, Curve, Matrix, Profile, Unit, catalogue};

use crate::figure::{Dots, Figure, Horizontal, Lines, Panel, Point, Series, Side};
use crate::groups::GroupMetrics;

/// The number of lines that differ in colour and dash.
const MOST: usize = 12;

/// The unchanged model and every sweep by groups.
pub(super) fn figure(profile: &Profile) -> Figure {
    let metrics = GroupMetrics::of(profile);
    let is_shown = |name: &str, has_numbers: bool| has_numbers && metric_of(name).is_none_or(|it| metrics.shows(&it));
    let clean = profile.curves.iter().filter(|(name, _)| is_clean_by_group(name));
    let clean = clean.filter(|(name, curve)| is_shown(name, curve.has_numbers()));
    let clean = clean.map(|(name, curve)| Panel::Dots(Dots::from_curve(name, curve)));
    let matrices = profile.matrices.iter().filter(|(name, matrix)| is_by_group(name, matrix));
    let matrices = matrices.filter(|(name, matrix)| is_shown(name, matrix.has_numbers()));
    let panels = clean.chain(matrices.map(|(name, matrix)| lines(name, matrix))).collect();
    let caption = "The metrics of the sweeps, averaged over groups of positions. The unchanged model has another loss in each \
                   group, so compare differences from it. The file groups.csv has every metric.";
    Figure { panels, ..Figure::new("by_tokens", "Effects by token").with_caption(caption) }
}

/// The metric of a matrix or a curve by groups, where the catalogue has it.
fn metric_of(name: &str) -> Option<String> {
    let (curve, _) = catalogue::split_grouping(name)?;
    let nothing = Curve::empty(Axis::layers(0), Unit::Dimensionless);
    let of_sweep = || catalogue::describe(curve, &nothing).metric.map(|metric| metric.name);
    let of_clean = || catalogue::find_metric(curve.strip_prefix("clean_")?).map(|metric| metric.name);
    of_clean().or_else(of_sweep)
}

/// Whether a curve is one of the unchanged model over groups.
pub(super) fn is_clean_by_group(name: &str) -> bool {
    catalogue::split_grouping(name).is_some_and(|(curve, _)| curve.starts_with("clean_"))
}

/// Whether a matrix is a sweep by groups that lines can show.
pub(super) fn is_by_group(name: &str, matrix: &Matrix) -> bool {
    let is_drawn = matrix.rows.n_layers().is_some() && matches!(matrix.columns, Axis::Labelled { .. });
    is_drawn && matrix.columns.len() <= MOST && catalogue::split_grouping(name).is_some()
}

/// A line for each group over the points of the sweep.
fn lines(name: &str, matrix: &Matrix) -> Panel {
    let curve = catalogue::split_grouping(name).map_or(name, |(curve, _)| curve);
    let entry = catalogue::describe(curve, &Curve::empty(matrix.rows.clone(), matrix.unit.clone()));
    let known = || catalogue::find_matrix(name).map(|entry| entry.title);
    let title = matrix.title.clone().or_else(known).unwrap_or_else(|| name.replace('_', " "));
    let series = (0..matrix.columns.len()).map(|group| {
        let point = |row: usize| {
            let (x, estimate) = (matrix.rows.depth(row).unwrap_or(row as f64), matrix.estimate(row, group)?);
            Some(Point::new(x, matrix.rows.label(row), estimate.mean).with_sem(estimate.sem))
        };
        Series::new(matrix.columns.tick(group), (0..matrix.rows.len()).filter_map(point).collect())
    });
    let side = series.fold(Side::new(entry.axis_label(), entry.scale), Side::with_series);
    Panel::Lines(Lines::new(title, Horizontal::from_axis(&matrix.rows), side))
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::{Estimate, InterventionRecord};

    use super::*;
    use crate::testing::profile;

    #[test]
    fn each_group_is_a_line_over_depth() {
        let groups = Axis::labelled("class", ["digit", "other"]);
        let cells = [0.5, 1.0, 0.25, 2.0].map(|mean| Estimate::new(mean, Some(mean / 8.0)));
        let matrix = Matrix::from_estimates(Axis::layers(2), groups.clone(), Unit::Nats, cells);
        let clean = Curve::new(groups, Unit::Nats, vec![3.0, 4.0]);
        let profile = profile(2, &[("delete_kl", &[1.0, 2.0])]);
        let profile = profile.with_matrix("delete_kl_by_class", matrix.clone()).unwrap();
        let profile = profile.with_matrix("delete_entropy_bits_by_class", matrix.clone()).unwrap();
        let profile = profile.with_curve("clean_nll_by_class", clean).unwrap().with_matrix("own", matrix).unwrap();
        assert_eq!(figure(&profile).panels.len(), 3, "every metric where none is the KL divergence or the loss");
        let clean = InterventionRecord::clean("0-1").with_metric("kl", Estimate::exact(0.0));
        let figure = figure(&profile.with_intervention(clean));
        let [Panel::Dots(clean), Panel::Lines(deleted)] = &figure.panels[..] else { panic!("dots and lines") };
        assert_eq!(clean.title, "Loss of the unchanged model by token class");
        assert_eq!((&deleted.title[..], &deleted.left.label[..]), ("Deleting a layer: KL by token class", "KL, nats"));
        let [digit, other] = &deleted.left.series[..] else { panic!("two lines") };
        assert_eq!((&digit.name[..], &other.name[..]), ("digit", "other"));
        assert_eq!(other.points[1], Point::new(1.0, "layer 1", 2.0).with_sem(Some(0.25)));
    }
}
