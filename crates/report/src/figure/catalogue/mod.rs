//! The figures of a profile: [`figures`].

mod curves;
mod groups;
mod names;
mod others;
mod plans;
mod rows;
mod tables;

use stratigraph_profile::Profile;

use super::{Figure, Panel};
use plans::{PLANS, Plan, REPEATING};

/// The figures that the profile has numbers for, in the order in which a reader wants them.
///
/// Over depth: `signatures` (those of each stage), `damage` (deleting and swapping layers), `lens`, `lens_and_neurons`,
/// `meaning` (Word-in-Context accuracy), `attention`, `geometry`, `neurons`, `sublayers`, `attribution`, `effects`, `patching`,
/// `positions` (without the first one), `frozen` (patterns and norms), `knock_out_words`, `removing` (layers by criteria), `repeating` (blocks of one length), `by_tokens` (sweeps by
/// groups of positions), and `other_curves` for all curves that none of them shows, such as those over other axes. Over
/// strengths: `steering`. In rows: `head_ablation` and `neuron_sets`. Over first layers and lengths of blocks: `blocks`.
/// Of matrices: `ensemble`, `ensemble_tokens` (histograms of cosines), `skip_effects`, `similarity`, `heads`, `head_attribution`, `patching_maps`, and `other_matrices` for those of other
/// names.
pub fn figures(profile: &Profile) -> Vec<Figure> {
    let bands = crate::view::bands(profile);
    let planned = PLANS.iter().map(|plan| {
        let figure = Figure::new(plan.name, plan.title).with_caption(plan.caption);
        Figure { panels: planned(profile, plan), ..figure }
    });
    let others = Figure::new("other_curves", "Other curves")
        .with_caption("All curves that no other figure shows, by what they measure.");
    let others = Figure { panels: others::panels(profile), ..others };
    let rows = [rows::heads(profile), tables::blocks(profile), rows::neuron_sets(profile)];
    let all = planned.chain(rows).chain([groups::figure(profile), others]).chain(tables::all(profile));
    let complete = |figure: Figure| figure.with_source(source(profile)).shaded(&bands);
    all.filter(|figure| !figure.panels.is_empty()).map(complete).collect()
}

/// What was measured, and on what.
fn source(profile: &Profile) -> String {
    let (model, corpus) = (&profile.model.name, &profile.corpus);
    format!("{model} on {} windows of {} tokens of {}", corpus.n_sequences, corpus.seq_len, corpus.name)
}

fn planned(profile: &Profile, plan: &Plan) -> Vec<Panel> {
    match plan.name {
        REPEATING => curves::blocks(profile),
        _ => plan.panels.iter().filter_map(|wanted| curves::panel(profile, wanted)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::{Axis, Matrix, Unit};

    use super::super::{Interval, Point};
    use super::*;
    use crate::testing::profile;

    fn names(profile: &Profile) -> Vec<String> {
        figures(profile).into_iter().map(|figure| figure.name).collect()
    }

    #[test]
    fn figures_are_those_whose_curves_are_there() {
        let profile =
            profile(2, &[("delete_kl", &[1.0, 2.0]), ("lens_entropy_bits", &[3.0, 2.0, 1.0]), ("x", &[1.0, 2.0])]);
        assert_eq!(names(&profile), ["signatures", "damage", "lens", "other_curves"]);
        assert_eq!(figures(&profile)[2].source, "m on 3 windows of 5 tokens of c");
        let [Panel::Lines(lens)] = &figures(&profile)[2].panels[..] else { panic!("only the entropy is there") };
        let first = Point::new(-0.5, "before layer 0", 3.0).with_sem(Some(0.125));
        assert_eq!(lens.left.series[0].points[0], first);
        assert_eq!((&lens.title[..], &lens.left.label[..]), ("Logit lens: entropy", "entropy, bits"));
    }

    #[test]
    fn what_has_no_number_is_left_out() {
        let mut one =
            profile(2, &[("delete_kl", &[f64::NAN, f64::NAN]), ("swap_kl", &[f64::NAN]), ("x", &[f64::NAN; 2])]);
        assert!(names(&one).is_empty());
        one.curves.get_mut("delete_kl").unwrap().mean[1] = 1.0;
        assert_eq!(names(&one), ["signatures", "damage"]);
    }

    #[test]
    fn comparisons_are_drawn_where_there_is_something_to_compare_with() {
        let both: [(&str, &[f64]); 2] = [("delete_kl", &[1.0, 2.0]), ("delete_after_first_kl", &[0.5, 1.0])];
        assert_eq!(names(&profile(2, &both)), ["signatures", "damage", "positions"]);
        let frozen: [(&str, &[f64]); 1] = [("delete_frozen_norms_kl", &[1.0, 2.0])];
        assert_eq!(names(&profile(2, &frozen)), ["frozen"]);
        // Other sweeps over blocks are not part of the figure of repeats.
        let blocks: [(&str, &[f64]); 1] = [("knock_back_5_in_2_layers_kl", &[1.0])];
        assert_eq!(names(&profile(2, &blocks)), ["other_curves"]);
    }

    #[test]
    fn the_bounds_of_a_curve_are_a_band_around_it() {
        let name = "patch_resid_pre_last_denoise";
        let (low, high) = (format!("{name}_ci_low"), format!("{name}_ci_high"));
        let curves: [(&str, &[f64]); 4] =
            [(name, &[0.1, 0.9]), (&low, &[0.0, 0.8]), (&high, &[0.3, 1.0]), ("mine_ci_low", &[1.0, 2.0])];
        let profile = profile(2, &curves);
        assert_eq!(names(&profile), ["patching", "other_curves"]);
        let figures = figures(&profile);
        let [Panel::Lines(lines)] = &figures[0].panels[..] else { panic!("a panel of lines") };
        let [series] = &lines.left.series[..] else { panic!("one curve") };
        assert_eq!(series.points[1].interval, Some(Interval::new(0.8, 1.0)));
        assert!(figures[0].to_string().contains("clean into corrupted: 0.1 [0, 0.3]"), "{}", figures[0]);
        assert_eq!(figures[1].panels.len(), 1, "a bound of no curve is a curve");
    }

    #[test]
    fn repeated_blocks_have_a_curve_for_each_length() {
        let curves: [(&str, &[f64]); 3] =
            [("repeat_2_kl", &[1.0, 2.0, 3.0]), ("repeat_3_kl", &[4.0, 5.0]), ("repeat_3_accuracy", &[0.5, 0.25])];
        let figures = figures(&profile(4, &curves));
        let [repeating, others] = &figures[..] else { panic!("two figures") };
        let Panel::Lines(kl) = &repeating.panels[0] else { panic!("a panel of lines") };
        assert_eq!(kl.left.series.iter().map(|it| &it.name[..]).collect::<Vec<_>>(), ["repeat 2", "repeat 3"]);
        assert_eq!(kl.left.series[1].points[1].at, "layers 1 to 3");
        assert_eq!(others.panels.len(), 1);
    }

    #[test]
    fn every_matrix_is_drawn() {
        let mut profile = profile(2, &[]);
        let known =
            ["cka", "merging_heads", "dla_heads", "ensemble_ing", "patch_resid_pre_noise", "patch_resid_pre_kl"];
        for name in known.into_iter().chain(["of my own"]) {
            let matrix = Matrix::new(Axis::layers(2), Axis::heads(2), Unit::Count, vec![vec![0.5, -1.0]; 2]);
            profile.matrices.insert(name.into(), matrix);
        }
        let expected = ["ensemble", "similarity", "heads", "head_attribution", "patching_maps", "other_matrices"];
        assert_eq!(names(&profile), expected);
        assert_eq!(figures(&profile)[5].panels.len(), 2);
    }

    #[test]
    fn tokens_of_a_neuron_are_two_lines_over_cosines() {
        let rows = ["3.7 -ing", "3.7 others", "4.1 -ing", "4.1 others"];
        let matrix = |rows: &[&str]| {
            let values = (0..rows.len()).map(|row| vec![row as f64, 5.0]).collect();
            let axes = (Axis::labelled("tokens", rows.to_vec()), Axis::labelled("cosine", ["-0.1", "0.1"]));
            Matrix::new(axes.0, axes.1, Unit::Count, values)
        };
        let profile = profile(2, &[]).with_matrix("ensemble_ing_tokens", matrix(&rows)).unwrap();
        let figures = figures(&profile);
        assert_eq!(figures.iter().map(|it| &it.name[..]).collect::<Vec<_>>(), ["ensemble_tokens"]);
        let [Panel::Lines(first), Panel::Lines(second)] = &figures[0].panels[..] else { panic!("two panels") };
        let names =
            |lines: &super::super::Lines| lines.left.series.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        assert_eq!((&first.title[..], names(first)), ("Neuron 3.7", vec!["-ing".to_owned(), "others".to_owned()]));
        assert_eq!((&second.title[..], second.left.series[1].points[0].y), ("Neuron 4.1", 3.0));
    }
}
