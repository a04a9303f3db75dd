//! The families of interventions: [`SweepEntry`].

use super::differences::DIFFERENCES;
use super::entry::AxisKind;
use super::limit::Limit;
use super::matrices::find_head_sweep;
use super::neuron_sets::{NEURON_SET_DIFFERENCES, NEURON_SETS};
use super::pattern::{Captured, captured};
use super::sweep_rows::{MEASURED, Row, SWEEPS};

/// A family of interventions, one for each point of an axis.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SweepEntry {
    /// Its name, at the beginning of a curve's name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// A word or two for legends and headings.
    pub label: String,
    /// The group of curves it belongs to.
    pub group: &'static str,
    /// What it runs over.
    pub axis: AxisKind,
    /// The intervention at layer 3 of a model of 12 layers as text, for blocks of two.
    pub text: String,
    /// What is done to the model.
    pub definition: String,
    /// Whether its curves are differences of the curves of two other families, so that values may be negative.
    pub is_difference: bool,
}

impl Row {
    fn entry(&self, open: Captured) -> SweepEntry {
        SweepEntry {
            name: open.fill(self.name),
            title: open.fill(self.title),
            label: open.fill(self.label),
            group: self.group,
            axis: (self.axis)(open.number),
            text: open.fill(self.text),
            definition: open.fill(self.definition),
            is_difference: false,
        }
    }
}

/// All sweeps; the open part of a name, such as `repeat_b` or `patch_HOOK_layers`, is a letter or word. Of those that are
/// limited to positions there are the deletion and the swap.
pub fn sweeps() -> Vec<SweepEntry> {
    let open = |row: &Row| match row.name.contains("{n}") {
        true => Captured { text: "b", number: 1, second: "k" },
        false => Captured { text: "HOOK", number: 0, second: "" },
    };
    let limited = |entry: SweepEntry| {
        let limits: &[Limit] = if matches!(&*entry.name, "delete" | "swap") { &Limit::USUAL } else { &[] };
        let limited: Vec<_> = limits.iter().map(|limit| limit.entry(&entry)).collect();
        std::iter::once(entry).chain(limited)
    };
    SWEEPS.iter().map(|row| row.entry(open(row))).flat_map(limited).chain(others()).collect()
}

/// What measurements run, and the differences of two sweeps; none of them can be limited to positions by its name.
fn others() -> impl Iterator<Item = SweepEntry> {
    let closed = Captured { text: "", number: 0, second: "" };
    let differences = DIFFERENCES.iter().chain(&NEURON_SET_DIFFERENCES);
    let differences = differences.map(move |row| SweepEntry { is_difference: true, ..row.entry(closed) });
    MEASURED.iter().chain(&NEURON_SETS).map(move |row| row.entry(closed)).chain(differences)
}

/// The sweep of a name, which may end with the positions to which it is limited: `delete_after_first`, `mean_mlp_from_5`.
pub fn find_sweep(name: &str) -> Option<SweepEntry> {
    let of =
        |rows: &[Row], name: &str| rows.iter().find_map(|row| captured(row.name, name).map(|open| row.entry(open)));
    let of_all_positions = |name: &str| of(&SWEEPS, name).or_else(|| of_heads(name));
    let limited = || {
        let limit = Limit::of(name)?;
        let entry = of_all_positions(name.strip_suffix(limit.suffix)?)?;
        let of_whole_windows = entry.name == "lens" || entry.name.starts_with("repeat_");
        (!of_whole_windows).then(|| limit.entry(&entry))
    };
    of_all_positions(name).or_else(limited).or_else(|| others().find(|entry| entry.name == name))
}

/// A sweep over layers and heads as a curve over all heads, with the words of its matrix.
fn of_heads(name: &str) -> Option<SweepEntry> {
    let matrix = find_head_sweep(name)?;
    let done = name.strip_suffix("_heads")?;
    let (hook, kind) = match done.strip_prefix("patch_") {
        Some(hook) => (hook, "patch(#ID)".to_owned()),
        None => ("z", ablation(done)),
    };
    Some(SweepEntry {
        name: name.to_owned(),
        title: matrix.title,
        label: name.replace('_', " "),
        group: "Ablating a head",
        axis: AxisKind::AllHeads,
        text: format!("0..12 | blocks.3.attn.hook_{hook} heads=2 {kind}"),
        definition: matrix.definition,
        is_difference: false,
    })
}

/// An ablation as in the text of an intervention: `mean(each)` of `mean_each`, `mean(5..)` of `mean_from_5`.
fn ablation(name: &str) -> String {
    match name.split_once('_') {
        None => name.to_owned(),
        Some((kind, "after_first")) => format!("{kind}(1..)"),
        Some((kind, over)) => match over.strip_prefix("from_") {
            Some(first) => format!("{kind}({first}..)"),
            None => format!("{kind}({over})"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::find;

    #[test]
    fn sweeps_over_heads_are_curves_over_all_heads() {
        let text = |name| find_sweep(name).unwrap().text;
        assert_eq!(text("zero_heads"), "0..12 | blocks.3.attn.hook_z heads=2 zero");
        assert_eq!(text("mean_each_heads"), "0..12 | blocks.3.attn.hook_z heads=2 mean(each)");
        assert_eq!(text("mean_after_first_heads"), "0..12 | blocks.3.attn.hook_z heads=2 mean(1..)");
        assert_eq!(text("mean_from_3_heads"), "0..12 | blocks.3.attn.hook_z heads=2 mean(3..)");
        assert_eq!(text("zero_heads_after_first"), "0..12 | blocks.3.attn.hook_z heads=2 pos=1.. zero");
        assert_eq!(text("patch_v_heads"), "0..12 | blocks.3.attn.hook_v heads=2 patch(#ID)");
        let entry = find("resample_heads_kl").unwrap();
        assert_eq!((&entry.title[..], entry.axis), ("Resample-ablating a head: KL", AxisKind::AllHeads));
        assert!(find_sweep("patch_resid_pre").is_none() && find_sweep("merging_heads").is_none());
    }

    #[test]
    fn sets_of_neurons_run_over_classes() {
        let scale = |name| find(name).unwrap().scale;
        assert_eq!(find("neuron_sets_random_sd_kl").unwrap().axis, AxisKind::Labelled("class"));
        assert_ne!(scale("neuron_sets_difference_kl"), scale("neuron_sets_kl"));
        assert!(find_sweep("neuron_sets_after_first").is_none());
    }
}
