//! Which figures a profile gives: [`figures`].

mod curves;
mod plans;
mod tables;

pub(crate) use curves::series;
use stratigraph_stages::Profile;

use super::{Band, Figure, Panel};
use plans::{PLANS, Plan};

/// The figures that the profile has numbers for, in the order in which a reader wants them.
///
/// Over depth: `signatures` (those of each stage), `damage` (what deleting and swapping layers does), `lens`,
/// `lens_and_neurons`, `meaning` (word-in-context accuracy), `attention`, `geometry`, `neurons`, `sublayers`,
/// `repeating`.
/// Of matrices: `ensemble`, `similarity`, `heads`, and `matrices` for those of other names.
pub fn figures(profile: &Profile) -> Vec<Figure> {
    with_bands(profile, &crate::view::of(profile).bands())
}

/// The same, with these stages shaded.
pub(crate) fn with_bands(profile: &Profile, bands: &[Band]) -> Vec<Figure> {
    let planned = PLANS.iter().map(|plan| (plan.name, plan.title, plan.shows, planned(profile, plan)));
    let others = tables::all(profile).into_iter();
    let all = planned.chain(others).filter(|(.., panels)| !panels.is_empty());
    let figure = |(name, title, shows, panels): (&str, &str, &str, Vec<Panel>)| Figure {
        name: name.to_owned(),
        title: title.to_owned(),
        caption: shows.to_owned(),
        source: source(profile),
        bands: if panels.iter().any(Panel::is_depth) { bands.to_vec() } else { Vec::new() },
        panels,
    };
    all.map(figure).collect()
}

/// What was measured on what.
fn source(profile: &Profile) -> String {
    let (model, corpus) = (&profile.model.name, &profile.corpus);
    format!("{model} on {} windows of {} tokens of {}", corpus.n_sequences, corpus.seq_len, corpus.name)
}

fn planned(profile: &Profile, plan: &Plan) -> Vec<Panel> {
    let fixed = plan.panels.iter().filter_map(|wanted| curves::panel(profile, wanted));
    match plan.name {
        "repeating" => curves::repeating(profile),
        _ => fixed.collect(),
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_stages::{Axis, Curve, Matrix};

    use super::super::Point;
    use super::*;
    use crate::testing::profile;

    fn names(profile: &Profile) -> Vec<String> {
        figures(profile).into_iter().map(|figure| figure.name).collect()
    }

    #[test]
    fn figures_are_those_whose_curves_are_there() {
        let profile = profile(2, &[("delete_kl", &[1.0, 2.0]), ("lens_entropy_bits", &[3.0, 2.0, 1.0]), ("x", &[1.0])]);
        assert_eq!(names(&profile), ["signatures", "damage", "lens"]);
        assert_eq!(figures(&profile)[2].source, "m on 3 windows of 5 tokens of c");
        let [Panel::Lines(lens)] = &figures(&profile)[2].panels[..] else { panic!("only the entropy is there") };
        let first = Point { x: -0.5, at: "before layer 0".into(), y: 3.0, sem: Some(0.125) };
        assert_eq!(lens.left.series[0].points[0], first);
    }

    #[test]
    fn what_has_no_number_is_left_out() {
        let nothing = profile(2, &[("delete_kl", &[f64::NAN, f64::NAN]), ("swap_kl", &[])]);
        assert!(names(&nothing).is_empty());
        let mut one = profile(2, &[]);
        one.curves.insert("delete_kl".into(), Curve { mean: vec![f64::NAN, 1.0], ..Curve::default() });
        assert_eq!(names(&one), ["signatures", "damage"]);
    }

    #[test]
    fn every_matrix_is_drawn() {
        let mut profile = profile(2, &[]);
        for name in ["cka", "merging_heads", "ensemble_ing", "of my own"] {
            let axis = |name: &str, n| Axis::counting(name, n);
            let values = vec![vec![0.5, -1.0]; 2];
            let matrix = Matrix { rows: axis("layer", 2), columns: axis("head", 2), unit: "u".into(), values };
            profile.matrices.insert(name.into(), matrix);
        }
        assert_eq!(names(&profile), ["ensemble", "similarity", "heads", "matrices"]);
    }
}
