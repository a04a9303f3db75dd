//! Colours of cells as classes of the page's style sheet: [`sequential`], [`diverging`] and those of a lens's steps.

use crate::figure::{of_share, of_share_on_dark};
use crate::prompt::measure::STEPS;

/// Shades of numbers from nothing to the largest.
const SEQUENTIAL: usize = 10;
/// Shades on each side of nothing.
const SIDE: usize = 5;

/// The class of a share between 0 and 1; `none` for what is no number.
pub(super) fn sequential(share: f64) -> String {
    match share.is_finite() {
        true => format!("q{}", (share.clamp(0.0, 1.0) * (SEQUENTIAL - 1) as f64).round()),
        false => "none".to_owned(),
    }
}

/// The class of a number between `-most` and `most`.
pub(super) fn diverging(value: f64, most: f64) -> String {
    let share = if most > 0.0 { (value / most).clamp(-1.0, 1.0) } else { 0.0 };
    match value.is_finite() {
        true => format!("v{}", (share * SIDE as f64).round() + SIDE as f64),
        false => "none".to_owned(),
    }
}

/// The colours of the sequential classes, with commas between.
pub(super) fn colours() -> String {
    (0..SEQUENTIAL).map(|shade| of_share(along(shade, SEQUENTIAL), false)).collect::<Vec<_>>().join(",")
}

/// The rules of all classes: `q0` to `q9`, `v0` to `v10`, which differ on a dark page, and `s0` to `s5` of a lens's steps.
pub(super) fn style() -> String {
    let rules = |name: &'static str, n: usize, colour: fn(f64) -> String| {
        (0..n).map(move |shade| {
            let colour = colour(along(shade, n));
            format!(".{name}{shade}{{background:{colour};color:{}}}", letters_on(&colour))
        })
    };
    let unsigned = |share| of_share(share, false);
    let signed = 2 * SIDE + 1;
    let light = rules("q", SEQUENTIAL, unsigned).chain(rules("v", signed, |share| of_share(share, true)));
    let light: String = light.chain(rules("s", STEPS, unsigned)).collect();
    let dark: String = rules("v", signed, of_share_on_dark).collect();
    format!("{light}@media screen and (prefers-color-scheme:dark){{{dark}}}")
}

fn along(shade: usize, n: usize) -> f64 {
    shade as f64 / (n - 1) as f64
}

/// Black or white, whichever contrasts more with a colour `#rrggbb`, by the luminance of WCAG 2.
fn letters_on(colour: &str) -> &'static str {
    let luminance = luminance(colour);
    if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 { "#fff" } else { "#000" }
}

fn luminance(colour: &str) -> f64 {
    let channel = |at: usize| {
        let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap_or(0)) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_class_with_readable_letters() {
        assert_eq!([0.0, 1.0, 7.0, f64::NAN].map(sequential), ["q0", "q9", "q9", "none"]);
        assert_eq!([-2.0, -1.0, 0.0, 1.0].map(|value| diverging(value, 1.0)), ["v0", "v0", "v5", "v10"]);
        assert_eq!(diverging(0.0, 0.0), "v5");
        for rule in style().split('}').filter(|rule| !rule.is_empty()) {
            let colour = &rule[rule.find('#').unwrap()..][..7];
            let letters = if rule.ends_with("#fff") { 1.0 } else { 0.0 };
            let (light, dark) = (luminance(colour).max(letters) + 0.05, luminance(colour).min(letters) + 0.05);
            assert!(light / dark >= 4.5, "{rule}: {}", light / dark);
        }
    }
}
