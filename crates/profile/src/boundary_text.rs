//! Boundaries in words: their bands, their shape, their verdict.

use std::fmt;

use crate::{Boundary, BoundaryInterval, BoundaryVerdict, EdgeEffect, RuleBand, Shape, Transition};

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Shape::Sharp => "sharp",
            Shape::Gradual => "gradual",
            Shape::Unresolved => "neither clearly sharp nor clearly gradual",
        })
    }
}

impl fmt::Display for BoundaryVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            BoundaryVerdict::Supported => "supported",
            BoundaryVerdict::Weak => "weak",
            BoundaryVerdict::Absent => "absent",
        })
    }
}

impl Transition {
    /// Where the curves have made 10 and 90 % of the change, on the scale of layers: layer 3 lies from 2.5 to 3.5.
    pub fn span(&self) -> [f64; 2] {
        [-0.5, 0.5].map(|side| self.centre - 0.5 + side * self.width)
    }

    /// Its width in words.
    pub fn in_words(&self) -> String {
        let rounded = |x: f64| (x * 10.0).round() / 10.0;
        let (width, low, high) = (rounded(self.width), rounded(self.width_low), rounded(self.width_high));
        let wide = if width == 0.0 { "between two layers".to_owned() } else { format!("{width} layers wide") };
        let shape = self.shape;
        format!("{shape}, {wide} (from 10 to 90 % of the change; 95 % interval: {low} to {high} layers)")
    }
}

impl RuleBand {
    /// The band in words, in a model of `n_layers` layers.
    pub fn in_words(&self, n_layers: usize) -> String {
        let percent = (100.0 * self.frequency).round();
        format!("{percent} % of {} rules have it, at {}", self.n_rules, layers(self.low, self.high, n_layers))
    }
}

impl BoundaryInterval {
    /// The interval in words, for a stage that begins at layer `at` of a model of `n_layers` layers.
    pub fn in_words(&self, at: usize, n_layers: usize) -> String {
        let (interval, percent) = (layers(self.low, self.high, n_layers), (100.0 * self.frequency).round());
        format!("begins at layer {at} (95 % interval: {interval}; {percent} % of the resamples have this boundary)")
    }
}

/// First layers of the later stage, from `low` to `high`: at 0 the earlier stage has no layer, at `n_layers` the later one.
fn layers(low: usize, high: usize, n_layers: usize) -> String {
    let without = match (low == 0, high >= n_layers) {
        (false, false) => "",
        (true, false) => ", or the earlier stage has no layer",
        (false, true) => ", or the later stage has no layer",
        (true, true) => ", or one of the two stages has no layer",
    };
    let (first, last) = (low.max(1), high.min(n_layers.saturating_sub(1)));
    let alone = if without.is_empty() { " alone" } else { "" };
    let layers = if first < last { format!("layers {first} to {last}") } else { format!("layer {first}{alone}") };
    layers + without
}

impl Boundary {
    /// What is known about it, in one line: where it is in a model of `n_layers` layers, its verdict, its shape, its test and its
    /// bands.
    pub fn in_words(&self, n_layers: usize) -> String {
        let mut parts: Vec<String> = Vec::new();
        parts.extend(self.verdict.map(|verdict| verdict.to_string()));
        parts.extend(self.transition.map(|it| it.in_words()));
        parts.extend(self.test.map(|test| format!("p = {:.4}, {:.4} by Holm", test.p_value, test.adjusted)));
        parts.extend(self.interval.map(|it| it.in_words(self.at, n_layers)));
        parts.extend(self.rules.map(|it| it.in_words(n_layers)));
        let (before, after, at) = (self.before, self.after, self.at);
        let known = if parts.is_empty() { String::new() } else { format!(": {}", parts.join("; ")) };
        format!("{before} to {after} at layer {at}{known}")
    }
}

impl EdgeEffect {
    /// It in words.
    pub fn in_words(&self) -> String {
        format!("layer {} is special, which is no {}: {}", self.layer, self.stage, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BoundaryTest, Stage};

    #[test]
    fn a_boundary_is_told_in_full() {
        let mut boundary = Boundary::new(Stage::Detokenization, Stage::FeatureEngineering, 3);
        assert_eq!(boundary.in_words(6), "detokenization to feature engineering at layer 3");
        let transition = Transition {
            shape: Shape::Gradual,
            centre: 3.0,
            width: 4.0,
            width_low: 2.04,
            width_high: 6.0,
            step_loss: 2.0,
            jump_p_value: 0.4,
        };
        boundary = boundary
            .with_interval(Some(BoundaryInterval { low: 2, high: 4, frequency: 0.97, within_one: 0.9 }))
            .with_rules(Some(RuleBand { low: 3, high: 3, frequency: 0.5, n_rules: 81 }))
            .with_transition(Some(transition));
        boundary.test = Some(BoundaryTest { p_value: 0.001, adjusted: 0.003 });
        boundary.verdict = Some(BoundaryVerdict::Supported);
        assert_eq!(
            boundary.in_words(6),
            "detokenization to feature engineering at layer 3: supported; gradual, 4 layers wide (from 10 to 90 % of \
             the change; 95 % interval: 2 to 6 layers); p = 0.0010, 0.0030 by Holm; begins at layer 3 (95 % interval: layers 2 to 4; \
             97 % of the resamples have this boundary); 50 % of 81 rules have it, at layer 3 alone"
        );
        assert_eq!(transition.span(), [0.5, 4.5]);
        assert!(boundary.is_supported() && !boundary.is_sharp());
    }

    #[test]
    fn a_band_names_no_layer_that_does_not_exist() {
        let said = [(2, 4), (3, 3), (0, 4), (0, 1), (4, 6), (5, 6), (0, 6)].map(|(low, high)| layers(low, high, 6));
        let expected = [
            "layers 2 to 4",
            "layer 3 alone",
            "layers 1 to 4, or the earlier stage has no layer",
            "layer 1, or the earlier stage has no layer",
            "layers 4 to 5, or the later stage has no layer",
            "layer 5, or the later stage has no layer",
            "layers 1 to 5, or one of the two stages has no layer",
        ];
        assert_eq!(said, expected);
    }
}
