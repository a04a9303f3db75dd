//! Comparisons of lists of numbers, [`assert_close`] and [`assert_each_close`], of what [`host`] reads from a device.

use approx::abs_diff_eq;
use burn::tensor::Tensor;

/// The values of a tensor in order of its axes.
///
/// # Panics
/// When the device is lost.
pub fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().expect("a float tensor")
}

/// Checks that two lists differ by no more than `tolerance` of the expected one's largest value; returns the difference in
/// parts of that value.
///
/// # Panics
/// When they differ by more, are empty or of different lengths, or a value found is not finite.
#[track_caller]
pub fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) -> f32 {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    assert!(!expected.is_empty(), "{what}: nothing to compare");
    assert!(found.iter().all(|x| x.is_finite()), "{what}: not finite");
    let scale = expected.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / scale;
    assert!(abs_diff_eq!(found, expected, epsilon = tolerance * scale), "{what}: differs by {worst:e} of its scale");
    worst
}

/// Checks that two lists differ nowhere by more than `tolerance` of the expected value, or of 1 where that is smaller.
///
/// # Panics
/// When they do, or are of different lengths.
#[track_caller]
pub fn assert_each_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let epsilon = tolerance * expected.abs().max(1.0);
        let is_close = found == expected || abs_diff_eq!(found, expected, epsilon = epsilon); // infinities are equal
        assert!(is_close, "{what} at {index}: {found}, expected {expected}");
    }
}
