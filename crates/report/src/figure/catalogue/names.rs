//! Names of curves that differ only in the metric: `lenses!` and `removals!`.

/// A metric of every lens.
macro_rules! lenses {
    ($metric:literal) => {
        &[
            concat!("lens_", $metric),
            concat!("affine_lens_", $metric),
            concat!("tuned_lens_", $metric),
            concat!("jacobian_lens_", $metric),
            concat!("fixed_scale_lens_", $metric),
        ]
    };
}
pub(super) use lenses;

/// A metric of removals by every criterion.
macro_rules! removals {
    ($metric:literal) => {
        &[
            concat!("remove_by_block_influence_", $metric),
            concat!("remove_by_angular_distance_", $metric),
            concat!("remove_by_loss_", $metric),
            concat!("remove_by_taylor_", $metric),
        ]
    };
}
pub(super) use removals;
