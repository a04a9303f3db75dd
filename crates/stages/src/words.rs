//! Numbers and layers in words: [`number`], [`layers`].

use std::ops::Range;

/// `layer 3`, or `layers 3 to 7`.
pub(crate) fn layers(range: &Range<usize>) -> String {
    match range.len() {
        1 => format!("layer {}", range.start),
        _ => format!("layers {} to {}", range.start, range.end.saturating_sub(1)),
    }
}

/// A number in three significant digits; `unknown` where there is none.
pub(crate) fn number(x: f64) -> String {
    match x.abs() {
        size if !size.is_finite() => "unknown".to_owned(),
        size if size >= 100.0 => format!("{x:.0}"),
        size if size >= 10.0 => format!("{x:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{x:.2}"),
        size if size >= 0.001 => format!("{x:.4}"),
        _ => format!("{x:.1e}"),
    }
}
