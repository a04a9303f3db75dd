//! Curves and interventions as CSV: [`layers`], [`other_curves`], [`interventions`].

use std::collections::BTreeSet;

use stratigraph_profile::{Axis, Curve, Estimate, InterventionRecord, Profile};

/// The row of the residual position after the last layer.
pub(crate) const END: &str = "end";

/// The curves that run over the depth of the model, by name.
pub(crate) fn over_depth(profile: &Profile) -> impl Iterator<Item = (&String, &Curve)> {
    profile.curves.iter().filter(|(_, curve)| curve.axis.n_layers().is_some())
}

/// All other curves.
pub(crate) fn not_over_depth(profile: &Profile) -> impl Iterator<Item = (&String, &Curve)> {
    profile.curves.iter().filter(|(_, curve)| curve.axis.n_layers().is_none())
}

/// The rows of curves over depth: the layers, and [`END`] where a curve has a value after the last one.
pub(crate) fn row_names<'a>(curves: impl Iterator<Item = &'a Curve>, n_layers: usize) -> Vec<String> {
    let has_end = |curve: &Curve| matches!(curve.axis, Axis::ResidualPositions { .. });
    let end = curves.into_iter().any(has_end).then(|| END.to_owned());
    (0..n_layers).map(|layer| layer.to_string()).chain(end).collect()
}

/// A row for each layer with the mean and standard error of every curve over depth. A residual position is in the row of
/// the layer after it, a pair or block of layers in the row of its first layer. Cells after the end of a curve are empty.
pub(crate) fn layers(profile: &Profile) -> Vec<u8> {
    let names = over_depth(profile).flat_map(|(name, _)| [name.clone(), format!("{name}_sem")]);
    let header = std::iter::once("layer".to_owned()).chain(names).collect();
    let curves: Vec<&Curve> = over_depth(profile).map(|(_, curve)| curve).collect();
    let names = row_names(curves.iter().copied(), profile.model.n_layers);
    let row = |(index, name): (usize, String)| {
        let cells = curves.iter().flat_map(|curve| cells(curve.estimates().nth(index)));
        std::iter::once(name).chain(cells).collect()
    };
    write(header, names.into_iter().enumerate().map(row))
}

/// A row for each point of each curve that does not run over depth; nothing where there is no such curve.
pub(crate) fn other_curves(profile: &Profile) -> Option<Vec<u8>> {
    let header = ["curve", "axis", "point", "mean", "sem"].map(str::to_owned).into();
    let rows = not_over_depth(profile).flat_map(|(name, curve)| {
        curve.estimates().enumerate().map(move |(index, estimate)| {
            let point = [name.clone(), curve.axis.name(), curve.axis.tick(index)];
            point.into_iter().chain(cells(Some(estimate))).collect()
        })
    });
    not_over_depth(profile).next()?;
    Some(write(header, rows))
}

/// A row for each intervention: its name, sweep, point and text, and the mean and standard error of every metric.
pub(crate) fn interventions(interventions: &[InterventionRecord]) -> Vec<u8> {
    let metrics = metrics(interventions);
    let names = metrics.iter().flat_map(|name| [name.to_string(), format!("{name}_sem")]);
    let header = ["intervention", "sweep", "index", "text"].map(str::to_owned).into_iter().chain(names).collect();
    let row = |it: &InterventionRecord| {
        let cells = metrics.iter().flat_map(|&name| cells(it.metrics.get(name).copied()));
        let index = it.index.map(|index| index.to_string()).unwrap_or_default();
        let what = [it.name.clone(), it.sweep.clone().unwrap_or_default(), index, it.text.clone()];
        what.into_iter().chain(cells).collect()
    };
    write(header, interventions.iter().map(row))
}

/// The names of everything that was measured under interventions.
pub(crate) fn metrics(interventions: &[InterventionRecord]) -> BTreeSet<&String> {
    interventions.iter().flat_map(|it| it.metrics.keys()).collect()
}

fn cells(estimate: Option<Estimate>) -> [String; 2] {
    let text =
        |value: Option<f64>| value.filter(|value| !value.is_nan()).map(|value| value.to_string()).unwrap_or_default();
    [text(estimate.map(|it| it.mean)), text(estimate.and_then(|it| it.sem))]
}

fn write(header: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let rows = std::iter::once(header).chain(rows);
    rows.for_each(|row| writer.write_record(row).expect("rows of one length go into memory"));
    writer.into_inner().expect("memory can be written")
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::Unit;

    use super::*;

    fn profile() -> Profile {
        let curves: [(&str, &[f64]); 3] =
            [("delete_kl", &[0.5, 0.25]), ("lens_kl", &[3.0, 1.0, 0.0]), ("swap_kl", &[0.125])];
        let mut profile = crate::testing::profile(2, &curves);
        profile.curves.values_mut().for_each(|curve| curve.sem.fill(None));
        profile
    }

    #[test]
    fn a_row_a_layer_and_empty_cells_where_a_curve_ends() {
        let text = String::from_utf8(layers(&profile())).unwrap();
        let expected = "layer,delete_kl,delete_kl_sem,lens_kl,lens_kl_sem,swap_kl,swap_kl_sem\n\
                        0,0.5,,3,,0.125,\n1,0.25,,1,,,\nend,,,0,,,\n";
        assert_eq!(text, expected);
        let mut profile = profile();
        profile.curves.remove("lens_kl");
        assert_eq!(String::from_utf8(layers(&profile)).unwrap().lines().count(), 3);
    }

    #[test]
    fn curves_over_something_else_have_a_file_of_their_own() {
        let own = Curve::new(Axis::labelled("suffix", ["ing", "ed"]), Unit::Fraction, vec![0.5, 0.25]);
        let profile = profile().with_curve("own", own).unwrap();
        let text = String::from_utf8(other_curves(&profile).unwrap()).unwrap();
        assert_eq!(text, "curve,axis,point,mean,sem\nown,suffix,ing,0.5,\nown,suffix,ed,0.25,\n");
        assert!(!String::from_utf8(layers(&profile)).unwrap().contains("own"));
    }

    #[test]
    fn an_intervention_has_its_name_and_its_text() {
        let deleted =
            InterventionRecord::in_sweep("delete", 1, "0-2").with_metric("kl", Estimate::new(0.5, Some(0.25)));
        let all = [InterventionRecord::clean("0-1-2").with_metric("nll", Estimate::exact(3.0)), deleted];
        let text = String::from_utf8(interventions(&all)).unwrap();
        let expected = "intervention,sweep,index,text,kl,kl_sem,nll,nll_sem\nclean,,,0-1-2,,,3,\n\
                        delete 1,delete,1,0-2,0.5,0.25,,\n";
        assert_eq!(text, expected);
    }
}
