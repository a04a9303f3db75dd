//! Figures of named things in rows: [`heads`], the heads that matter most, and [`neuron_sets`].

use stratigraph_profile::{Axis, Curve, Profile, Scale, catalogue};

use crate::figure::{Dots, Figure, Panel, Series, range};

/// How many heads have a row.
const MOST_HEADS: usize = 20;
/// The beginnings of the names of curves of ablated sets of neurons.
const NEURON_SETS: [&str; 2] = ["neuron_sets", "mean_neuron_sets"];

/// Whether a figure of rows or of blocks shows the curve.
pub(super) fn has_rows(name: &str, curve: &Curve) -> bool {
    let of_sets = |prefix: &&str| name.strip_prefix(*prefix).is_some_and(|rest| rest.starts_with('_'));
    curve.axis.is_of_all_heads()
        || curve.axis.is_of_all_blocks()
        || (NEURON_SETS.iter().any(of_sets) && catalogue::find(name).is_some())
}

/// Whether the matrix of a name is shown with the curve of that name, over heads or blocks.
pub(super) fn has_curve(profile: &Profile, name: &str) -> bool {
    let is_over_both = |axis: &Axis| axis.is_of_all_heads() || axis.is_of_all_blocks();
    profile.curves.get(name).is_some_and(|curve| is_over_both(&curve.axis) && curve.has_numbers())
}

/// What ablating each head does: the map over layers and heads, and the heads that matter most with their errors.
pub(super) fn heads(profile: &Profile) -> Figure {
    let curves = profile.curves.iter().filter(|(_, curve)| curve.axis.is_of_all_heads() && curve.has_numbers());
    let panels = curves.flat_map(|(name, curve)| {
        let map = profile.matrices.get(name).map(|matrix| Panel::from_matrix(name, matrix));
        let dots = Dots::from_curve(name, curve).largest(MOST_HEADS);
        map.into_iter().chain([Panel::Dots(near(dots))])
    });
    let caption = format!(
        "The output of one head at a time changed. Beside each map are the {MOST_HEADS} heads whose number is furthest from \
         the median of all heads, with bars of one standard error to each side; head 3.2 is head 2 of layer 3."
    );
    Figure { panels: panels.collect(), ..Figure::new("head_ablation", "Heads, one at a time").with_caption(caption) }
}

/// Classes of neurons against random sets of neurons, for each metric.
pub(super) fn neuron_sets(profile: &Profile) -> Figure {
    let panels = NEURON_SETS.iter().flat_map(|prefix| {
        let size = format!("{prefix}_size");
        let sizes = profile.curves.get(&size).filter(|curve| curve.has_numbers());
        let sizes = sizes.map(|curve| Panel::Dots(Dots::from_curve(&size, curve)));
        metrics(profile, prefix).into_iter().flat_map(|metric| set_panels(profile, prefix, metric)).chain(sizes)
    });
    let caption = format!(
        "Each class of neurons ablated together, and random sets of as many neurons of the same layers with output weights of \
         similar length. Bars of the class are one standard error to each side, those of the random sets one \
         standard deviation between sets. Differences are paired by window.{}",
        left_out(profile)
    );
    Figure { panels: panels.collect(), ..Figure::new("neuron_sets", "Classes of neurons").with_caption(caption) }
}

/// The metrics that sets of neurons were compared by; the KL divergence first.
fn metrics<'a>(profile: &'a Profile, prefix: &str) -> Vec<&'a str> {
    let beginning = format!("{prefix}_difference_");
    let measured = profile.curves.iter().filter(|(_, curve)| curve.has_numbers());
    let mut metrics: Vec<_> = measured.filter_map(|(name, _)| name.strip_prefix(beginning.as_str())).collect();
    metrics.sort_by_key(|metric| *metric != "kl");
    metrics
}

/// The class beside random sets, and the difference.
fn set_panels(profile: &Profile, prefix: &str, metric: &str) -> Vec<Panel> {
    let curve = |part: &str| {
        let name = format!("{prefix}_{part}{metric}");
        let curve = profile.curves.get(&name)?;
        Some((catalogue::describe(&name, curve), curve))
    };
    let (Some((entry, class)), Some((_, random))) = (curve(""), curve("random_")) else { return Vec::new() };
    let spread = curve("random_sd_").map(|(_, spread)| spread.mean.iter().map(|sd| Some(*sd)).collect());
    let random = random.clone().with_sem(spread.unwrap_or_default());
    let rows = || (0..class.len()).map(|index| class.axis.tick(index)).collect();
    let both = Dots::new(&entry.title, entry.axis_label(), rows(), entry.scale)
        .with_series(Series::from_curve("class", class))
        .with_series(Series::from_curve("random sets", &random));
    let difference = curve("difference_").map(|(entry, difference)| {
        let dots = Dots::new(&entry.title, entry.axis_label(), rows(), Scale::Linear);
        Panel::Dots(dots.with_series(Series::from_curve("difference", difference)))
    });
    std::iter::once(Panel::Dots(near(both))).chain(difference).collect()
}

/// Rows on a scale that shows small differences between them: zero need not be on it. It stays logarithmic where their numbers
/// span a decade.
fn near(dots: Dots) -> Dots {
    let numbers = dots.series.iter().flat_map(|series| &series.points).map(|point| point.y);
    let positive = range(numbers.filter(|number| *number > 0.0));
    let is_log = dots.scale == Scale::Log && positive.is_some_and(|(low, high)| high >= 10.0 * low);
    Dots { scale: if is_log { Scale::Log } else { Scale::Fitted }, ..dots }
}

/// A sentence about the classes that have no curve.
fn left_out(profile: &Profile) -> String {
    let missing = NEURON_SETS.iter().find_map(|prefix| {
        let sizes = profile.curves.get(&format!("{prefix}_size"))?;
        let metric = *metrics(profile, prefix).first()?;
        let measured = &profile.curves.get(&format!("{prefix}_difference_{metric}"))?.axis;
        let measured: Vec<_> = (0..measured.len()).map(|index| measured.tick(index)).collect();
        let all = (0..sizes.len()).map(|index| (sizes.axis.tick(index), sizes.mean[index]));
        let missing = all.filter(|(name, _)| !measured.contains(name)).map(|(name, size)| format!("{name} ({size})"));
        Some(missing.collect::<Vec<_>>())
    });
    match missing.filter(|missing| !missing.is_empty()) {
        Some(missing) => format!(" Left out, with the number of their neurons: {}.", missing.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::{Matrix, Unit};

    use super::super::figures;
    use super::*;
    use crate::testing::profile;

    fn curve(axis: Axis, value: impl Fn(usize) -> f64) -> Curve {
        let values: Vec<f64> = (0..axis.len()).map(value).collect();
        let sem = vec![Some(0.125); values.len()];
        Curve::new(axis, Unit::Nats, values).with_sem(sem)
    }

    #[test]
    fn of_many_heads_the_most_important_are_drawn_beside_their_map() {
        let (n_layers, n_heads) = (30, 9);
        let values = vec![vec![0.5; n_heads]; n_layers];
        let map = Matrix::new(Axis::layers(n_layers), Axis::heads(n_heads), Unit::Nats, values);
        let each = curve(Axis::all_heads(n_layers, n_heads), |head| if head == 29 { 3.0 } else { 0.01 * head as f64 });
        let profile = profile(n_layers, &[]).with_curve("zero_heads_kl", each).unwrap();
        let profile = profile.with_matrix("zero_heads_kl", map).unwrap();
        let figures = figures(&profile);
        assert_eq!(figures.iter().map(|it| &it.name[..]).collect::<Vec<_>>(), ["head_ablation"]);
        let [Panel::Heat(_), Panel::Dots(dots)] = &figures[0].panels[..] else { panic!("a map and rows") };
        assert_eq!((dots.rows.len(), &dots.rows[0][..], dots.series[0].points[0].sem), (20, "3.2", Some(0.125)));
        assert_eq!(dots.title, "Zeroing a head: KL");
    }

    #[test]
    fn numbers_within_a_decade_have_an_axis_that_shows_their_differences() {
        let scale = |most: f64| {
            let each = curve(Axis::all_heads(2, 2), |head| if head == 3 { most } else { 3.5 });
            let profile = profile(2, &[]).with_curve("zero_heads_nll", each).unwrap();
            let figures = figures(&profile);
            let [Panel::Dots(dots)] = &figures[0].panels[..] else { panic!("rows") };
            dots.scale
        };
        assert_eq!([3.6, 35.0].map(scale), [Scale::Fitted, Scale::Log]);
    }

    #[test]
    fn classes_stand_beside_random_sets() {
        let classes = || Axis::labelled("class", ["prediction", "token frequency"]);
        let mut profile = profile(2, &[]);
        for (name, value) in [("", 3.0), ("_random", 1.0), ("_random_sd", 0.5), ("_difference", 2.0)] {
            profile = profile.with_curve(format!("neuron_sets{name}_kl"), curve(classes(), |_| value)).unwrap();
        }
        let all = Axis::labelled("class", ["prediction", "suppression", "token frequency"]);
        let sizes = curve(all, |class| [4.0, 0.0, 6.0][class]);
        let profile = profile.with_curve("neuron_sets_size", sizes).unwrap();
        let figures = figures(&profile);
        assert_eq!(figures.iter().map(|it| &it.name[..]).collect::<Vec<_>>(), ["neuron_sets"]);
        let titles: Vec<_> = figures[0].panels.iter().map(Panel::title).collect();
        let expected =
            ["Zeroing a class of neurons: KL", "Zeroed class − random: KL", "Neurons of each class that are zeroed"];
        assert_eq!(titles, expected);
        let Panel::Dots(both) = &figures[0].panels[0] else { panic!("rows") };
        let random = &both.series[1].points[1];
        assert_eq!((random.y, random.sem, &random.at[..]), (1.0, Some(0.5), "class token frequency"));
        assert!(figures[0].caption.ends_with("Left out, with the number of their neurons: suppression (0)."));
    }
}
