//! What the bands around curves show: [`Bands`].

use std::borrow::Cow;

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

    /// A sentence about them, and about what follows ±.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Bands::StandardError => {
                "Bands and ± are one standard error of the mean, over what the head of the page says (of Word-in-Context over \
                 words); bands of patching are 95 % intervals."
            }
            Bands::StandardDeviation => {
                "Bands and ± of curves over depth are one standard deviation of the means of windows. Those of dots, of figures \
                 by groups and in tables are one standard error of the mean, over what the head of the page says."
            }
        }
    }
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
}
