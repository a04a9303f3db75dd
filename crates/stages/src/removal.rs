//! Which of the curves of removal is read where a profile has several: [`KL`], [`TOP1_AGREEMENT`], [`preferred`].

/// The divergence after deleting a layer at all positions but the first, which leaves the attention sink alone; without it, at
/// all positions.
pub(crate) const KL: [&str; 2] = ["delete_after_first_kl", "delete_kl"];
/// The agreement of the most likely tokens, in the same order.
pub(crate) const TOP1_AGREEMENT: [&str; 2] = ["delete_after_first_top1_agreement", "delete_top1_agreement"];

/// The curve of divergences that is read, with what `of` finds under its name.
pub(crate) fn preferred<T>(of: impl Fn(&'static str) -> Option<T>) -> Option<(&'static str, T)> {
    KL.into_iter().find_map(|name| Some((name, of(name)?)))
}

/// Whether a curve of removals leaves the first position alone.
pub(crate) fn keeps_first(name: &str) -> bool {
    [KL, TOP1_AGREEMENT].iter().any(|[kept, _]| *kept == name)
}
