//! What the bands around curves show: [`Bands`].

use std::borrow::Cow;

use stratigraph_profile::statistics::ErrorUnit;
use stratigraph_profile::{Curve, Profile, ReplicateUnit};

/// What the bands around curves show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Bands {
    /// One standard error of the mean, as in tables.
    #[default]
    StandardError,
    /// One standard deviation of the means of windows around curves over depth, as in the paper; curves that are not over windows
    /// have no band. Rows of dots and figures by groups keep standard errors.
    ///
    /// A profile that was read from a file has no windows, and so no such bands.
    StandardDeviation,
}

impl Bands {
    /// The profile whose standard errors are what the bands show.
    pub(crate) fn of(self, profile: &Profile) -> Cow<'_, Profile> {
        match self {
            Bands::StandardError => Cow::Borrowed(profile),
            Bands::StandardDeviation => {
                let mut profile = profile.clone();
                let over_depth = profile.curves.values_mut().filter(|curve| curve.axis.n_layers().is_some());
                over_depth.for_each(|curve| curve.sem = deviations(curve));
                Cow::Owned(profile)
            }
        }
    }

    /// A sentence about them in the figures of a profile, and about what follows ±.
    pub(crate) fn in_words(self, profile: &Profile) -> String {
        let over = over(profile);
        let has_bounds = profile.curves.keys().any(|name| name.contains("_ci_low"));
        let intervals = if has_bounds { "; bands of patching are 95 % intervals" } else { "" };
        match self {
            Bands::StandardError => format!("Bands and ± are one standard error of the mean{over}{intervals}."),
            Bands::StandardDeviation => format!(
                "Bands and ± of curves over depth are one standard deviation of the means of windows. Those of dots, of figures \
                 by groups and in tables are one standard error of the mean{over}{intervals}."
            ),
        }
    }
}

/// What standard errors are over, where the curves say so.
fn over(profile: &Profile) -> String {
    let named = [
        ("benchmarks", ErrorUnit::Items),
        ("patching", ErrorUnit::Pairs),
        ("the target of steering", ErrorUnit::Prompts),
        ("Word-in-Context", ErrorUnit::Words),
    ];
    let is_over = |unit| profile.curves.values().any(|curve| curve.errors.is_some_and(|errors| errors.over == unit));
    let others = named.into_iter().filter(|(_, unit)| is_over(*unit));
    let others: Vec<_> = others.map(|(what, unit)| format!("of {what} over {}", unit.title())).collect();
    let corpus = if profile.error_basis().is_some() { ", over what the head of the page says" } else { "" };
    let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
    corpus.to_owned() + &others
}

/// The standard deviation at each point, from at least two windows.
fn deviations(curve: &Curve) -> Vec<Option<f64>> {
    let of_point = |windows: &Vec<f64>| {
        let n = windows.len() as f64;
        let mean = windows.iter().sum::<f64>() / n;
        (n > 1.0).then(|| (windows.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
    };
    match curve.replicate_unit {
        ReplicateUnit::Windows if curve.replicates.len() == curve.len() => {
            curve.replicates.iter().map(of_point).collect()
        }
        _ => vec![None; curve.len()],
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::statistics::ErrorBasis;

    use super::*;
    use crate::Report;
    use crate::figure::Panel;
    use crate::testing::profile;

    #[test]
    fn bands_are_standard_deviations_of_windows_and_tables_keep_their_errors() {
        let mut profile = profile(2, &[("delete_kl", &[2.0, 5.0]), ("wic_accuracy", &[0.5, 0.5, 0.5])]);
        let windows = vec![vec![1.0, 2.0, 3.0], vec![5.0; 3]];
        let curve = profile.curves.get_mut("delete_kl").unwrap();
        *curve = curve.clone().with_replicates(ReplicateUnit::Windows, windows);
        let deviations = Report::new(&profile).with_bands(Bands::StandardDeviation);
        let figures = deviations.figures();
        let Panel::Lines(damage) = &figures.iter().find(|it| it.name == "damage").unwrap().panels[0] else { panic!() };
        assert_eq!(damage.left.series[0].points.iter().map(|it| it.sem).collect::<Vec<_>>(), [Some(1.0), Some(0.0)]);
        let Panel::Lines(meaning) = &figures.iter().find(|it| it.name == "meaning").unwrap().panels[0] else {
            panic!()
        };
        assert_eq!(meaning.left.series[0].points[0].sem, None, "it is not of windows");
        let (page, plain) = (deviations.page(), Report::new(&profile).page());
        assert!(page.contains("standard deviation of the means of windows") && page.contains("± 0.12"), "{page}");
        assert!(!plain.contains("standard deviation of the means"));
    }

    #[test]
    fn errors_are_over_what_the_curves_say() {
        let names =
            ["delete_kl", "delete_arc_easy_acc", "steer_target", "wic_accuracy", "patch_z_heads_denoise_ci_low"];
        let values: &[f64] = &[1.0, 2.0, 3.0];
        let mut profile = profile(2, &names.map(|name| (name, values)));
        assert_eq!(
            Bands::StandardError.in_words(&profile),
            "Bands and ± are one standard error of the mean; bands of patching are 95 % intervals.",
            "a file of an earlier version"
        );
        let corpus = profile.corpus.window_errors().basis().unwrap();
        let of = |unit| Some(ErrorBasis::new(unit, 9));
        let units = [Some(corpus), of(ErrorUnit::Items), of(ErrorUnit::Prompts), of(ErrorUnit::Words), None];
        for (name, errors) in names.into_iter().zip(units) {
            profile.curves.get_mut(name).unwrap().errors = errors;
        }
        let over = "are one standard error of the mean, over what the head of the page says (of benchmarks over items, of the \
                    target of steering over prompts, of Word-in-Context over words); bands of patching are 95 % intervals.";
        for bands in [Bands::StandardError, Bands::StandardDeviation] {
            assert!(bands.in_words(&profile).ends_with(over), "{}", bands.in_words(&profile));
        }
    }
}
