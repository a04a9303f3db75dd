//! The families of interventions: [`SweepEntry`].

use super::LimitedName;
use super::block_words;
use super::differences::DIFFERENCES;
use super::entry::AxisKind;
use super::lenses::LENSES;
use super::limit::Limit;
use super::matrices::find_head_sweep;
use super::neuron_sets::{NEURON_SET_DIFFERENCES, NEURON_SETS};
use super::pattern::{Captured, captured, plain_number};
use super::removals::REMOVALS;
use super::sweep_rows::{Row, SWEEPS, WITH_DATA};

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
    /// Whether it takes data of its own, such as words or the activations of another run, so that its name alone does not run
    /// it.
    pub needs_data: bool,
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
            needs_data: false,
        }
    }

    /// The entry of a name; none where it is not the row's.
    fn find(&self, name: &str) -> Option<SweepEntry> {
        let open = captured(self.name, name)?;
        // A range of distances that does not begin at 1, which `knock_back_N` is for.
        let is_range = || plain_number(open.second).is_some_and(|last| 1 < open.number && open.number <= last);
        (!self.name.contains("{n}_to_{m}") || is_range()).then(|| self.entry(open))
    }
}

/// The text of the open part of a row's name in a list of all rows.
fn open(row: &Row) -> Captured<'static> {
    match row.name.contains("{n}") {
        true => Captured { text: "b", number: 1, second: "k" },
        false => Captured { text: "HOOK", number: 0, second: "" },
    }
}

/// All sweeps; the open part of a name, such as `repeat_b` or `patch_HOOK_layers`, is a letter or word. Of those that are
/// limited to positions there are the deletion and the swap.
pub fn sweeps() -> Vec<SweepEntry> {
    let limited = |entry: SweepEntry| {
        let limits: &[Limit] = if matches!(&*entry.name, "delete" | "swap") { &Limit::USUAL } else { &[] };
        let limited: Vec<_> = limits.iter().map(|limit| limit.entry(&entry)).collect();
        std::iter::once(entry).chain(limited)
    };
    SWEEPS
        .iter()
        .map(|row| row.entry(open(row)))
        .flat_map(limited)
        .chain(block_words::entries())
        .chain(with_data(|row| Some(row.entry(open(row)))))
        .collect()
}

/// What is run with data of its own, and the differences of two sweeps; none of them can be limited to positions by its name.
fn with_data(entry: impl Fn(&Row) -> Option<SweepEntry>) -> impl Iterator<Item = SweepEntry> {
    let all = WITH_DATA.iter().chain(&REMOVALS).chain(&LENSES).chain(&NEURON_SETS).map(|row| (row, false));
    let differences = DIFFERENCES.iter().chain(&NEURON_SET_DIFFERENCES).map(|row| (row, true));
    all.chain(differences)
        .filter_map(move |(row, is_difference)| Some(SweepEntry { needs_data: true, is_difference, ..entry(row)? }))
}

/// The sweep of a name, which may end with the positions to which it is limited: `delete_after_first`, `mean_mlp_from_5`.
pub fn find_sweep(name: &str) -> Option<SweepEntry> {
    let of_all_positions = |name: &str| {
        SWEEPS.iter().find_map(|row| row.find(name)).or_else(|| block_words::find(name)).or_else(|| of_heads(name))
    };
    let limited = || {
        let limited = LimitedName::parse(name)?;
        let entry = of_all_positions(limited.sweep)?;
        let of_whole_windows = entry.name == "lens" || !block_words::can_be_limited(&entry);
        (!of_whole_windows && !entry.needs_data).then(|| Limit::of(limited).entry(&entry))
    };
    of_all_positions(name).or_else(limited).or_else(|| with_data(|row| row.find(name)).next())
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
        needs_data: done.starts_with("patch_"),
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

    #[test]
    fn lenses_run_over_residual_positions() {
        for name in ["affine_lens", "tuned_lens", "jacobian_lens", "fixed_scale_lens"] {
            assert_eq!(find(&format!("{name}_kl")).unwrap().axis, AxisKind::ResidualPositions, "{name}");
        }
        assert_eq!(find("affine_lens_kl").unwrap().title, "Affine lens: KL");
        assert_eq!(find("tuned_lens_guess_frequency").unwrap().quantity, "frequency in the corpus");
        assert!(find_sweep("affine_lens_after_first").is_none());
    }
}
