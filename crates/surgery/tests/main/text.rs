//! Plans and interventions as text, of every kind that proptest finds.

use proptest::prelude::*;
use stratigraph_core::{Edit, Hook, MeanOver, Positions};
use stratigraph_surgery::{Intervention, LayerPlan, SurgeryError};

use crate::plans::any_plan;

fn any_edit() -> impl Strategy<Value = Edit> {
    let point = (prop::sample::select(&Hook::ALL[..]), 0usize..12).prop_map(|(hook, slot)| hook.at(slot));
    let indices = || prop::collection::btree_set(0usize..30, 1..6);
    let positions =
        prop_oneof![Just(Positions::All), (0usize..9).prop_map(Positions::from), indices().prop_map(Positions::only),];
    let edit = prop_oneof![
        point.clone().prop_map(Edit::zero),
        point.clone().prop_map(Edit::mean),
        point.clone().prop_map(Edit::resample),
        point.clone().prop_map(Edit::freeze),
        point.clone().prop_map(|point| Edit::mean_over(point, MeanOver::Each)),
        (point.clone(), 0usize..9).prop_map(|(point, first)| Edit::mean_over(point, first..)),
        (point.clone(), -9.0..9.0f64).prop_map(|(point, factor)| Edit::scale(point, factor)),
        (0usize..12, 1usize..5, 0usize..5)
            .prop_map(|(slot, first, more)| Edit::mask_distances(slot, first..=first + more)),
        (0usize..12, indices()).prop_map(|(slot, keys)| Edit::mask_keys(slot, Positions::only(keys))),
        (0usize..12).prop_map(Edit::skip_layer),
    ];
    (edit, positions, prop::option::of((any::<bool>(), indices()))).prop_map(|(edit, positions, units)| {
        let edit = edit.with_positions(positions);
        match units {
            Some((true, heads)) => edit.with_heads(heads),
            Some((false, units)) => edit.with_units(units),
            None => edit,
        }
    })
}

proptest! {
    #[test]
    fn plans_print_parse_and_serialise(plan in any_plan(40)) {
        prop_assert_eq!(&plan.to_string().parse::<LayerPlan>().unwrap(), &plan);
        let json = serde_json::to_string(&plan).unwrap();
        prop_assert_eq!(serde_json::from_str::<LayerPlan>(&json).unwrap(), plan);
    }

    #[test]
    fn interventions_print_parse_and_serialise(
        plan in any_plan(40),
        edits in prop::collection::vec(any_edit(), 0..4),
    ) {
        let intervention = edits.into_iter().fold(Intervention::from(plan), Intervention::edit);
        prop_assert!(intervention.is_text());
        let read: Intervention = intervention.to_string().parse().unwrap();
        prop_assert_eq!(&read, &intervention);
        prop_assert_eq!(read.id(), intervention.id());
        let json = serde_json::to_string(&intervention).unwrap();
        prop_assert_eq!(serde_json::from_str::<Intervention>(&json).unwrap(), intervention);
    }

    #[test]
    fn any_text_is_an_intervention_or_an_error(text in "[0-9am()+\\-none\\[\\]=.| ]{0,20}") {
        if let Ok(plan) = text.parse::<LayerPlan>() {
            prop_assert_eq!(plan.to_string().parse::<LayerPlan>().unwrap(), plan);
        }
        if let Ok(intervention) = text.parse::<Intervention>() {
            prop_assert_eq!(intervention.to_string().parse::<Intervention>().unwrap(), intervention);
        }
    }
}

#[test]
fn texts_that_are_no_plans_are_refused() {
    let bad = ["", "0--1", "0-x", "-1", "(1+2", "0-+3", "99999999999999999999999", "()"];
    for text in bad.into_iter().chain(["3[a]", "3[x=mean]", "3[a=zero]", "3a=mean]", "3[a=mean", "[a=mean]"]) {
        assert!(matches!(text.parse::<LayerPlan>(), Err(SurgeryError::BadPlan { .. })), "{text}");
        assert!(matches!(text.parse::<Intervention>(), Err(SurgeryError::BadPlan { .. })), "{text}");
    }
    for text in ["0..3 |", "0..3 | zero", "0..3 | blocks.1.hook_mlp_out", "0..3 | blocks.1.hook_mlp_out double"] {
        assert!(text.parse::<Intervention>().is_err(), "{text}");
    }
}

#[test]
fn an_id_is_the_beginning_of_the_sha256_of_the_text() {
    assert_eq!(Intervention::none(4).id(), "eea689d661e5a169"); // printf '0..4' | sha256sum
}

#[test]
fn errors_quote_a_text_on_one_short_line() {
    for part in ["\n", "\u{1b}[31m", &"x".repeat(10_000)] {
        let plans = ["0..{}3", "{}..3", "0-{}5", "3[{}=mean]", "3[a={}]"].map(str::to_owned);
        let edits = ["{}", "heads={} zero", "pos=x{} zero", "a{}=1 zero", "scale({})", "mean({})", "zero x{}"];
        let edits = edits.map(|edit| format!("0..3 | blocks.1.hook_mlp_out {edit}"));
        for text in plans.into_iter().chain(edits).chain(["0..3 | a{}b zero".to_owned()]) {
            let error = text.replace("{}", part).parse::<Intervention>().unwrap_err().to_string();
            assert!(!error.contains(char::is_control) && error.len() < 600, "{text}: {error}");
        }
    }
}
