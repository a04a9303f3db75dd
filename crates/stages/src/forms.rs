//! The curves that a transition is compared with, and their least squares: [`forms`], [`Form`], [`Sums`].

use std::ops::Range;

/// A logistic curve goes from 10 to 90 % within this many of its scales: `2 ln 9`.
const TEN_TO_NINETY: f64 = 4.394_449_154_672_439;
/// The widths that are tried, from 10 to 90 % of the change, in layers; 0 is the step.
const WIDTHS: [f64; 13] = [0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0];
/// Degrees of freedom of predictions.
const FREEDOM: f64 = 4.0;
/// The places of a group: the common one, one before it and one after it.
pub(crate) const SHIFTS: f64 = 3.0;

/// A curve from 0 to 1.
pub(crate) struct Form {
    pub(crate) centre: f64,
    /// From 10 to 90 %.
    pub(crate) width: f64,
    /// By layer.
    pub(crate) x: Vec<f64>,
    sum: f64,
    square: f64,
    /// The forms of the same width before and after at which a group may lie: one layer off, or a quarter of the width.
    pub(crate) beside: [Option<usize>; 2],
}

/// Every step between two layers of a window, and every smooth curve whose centre lies at or between layers, at some layers.
pub(crate) fn forms(window: &Range<usize>, layers: &[usize]) -> Vec<Form> {
    let widest = 1.5 * window.len() as f64;
    let mut forms: Vec<Form> = Vec::new();
    for width in WIDTHS.into_iter().filter(|width| *width <= widest) {
        let is_step = width == 0.0;
        let (first, last) = (2 * window.start, 2 * window.end);
        let halves = if is_step { first + 2..last - 1 } else { first..last + 1 };
        // The groups of a wide change may lie a quarter of the width apart.
        let apart = (width / 4.0).round().max(1.0) as usize;
        let (each, layer, start) = if is_step { (2, 1, forms.len()) } else { (1, 2 * apart, forms.len()) };
        let n = halves.clone().step_by(each).count();
        for (index, half) in halves.step_by(each).enumerate() {
            let centre = half as f64 / 2.0;
            let x: Vec<f64> = layers.iter().map(|&layer| height(layer as f64 + 0.5 - centre, width)).collect();
            let (sum, square) = (x.iter().sum(), x.iter().map(|x| x * x).sum());
            let before = index.checked_sub(layer).map(|index| start + index);
            let behind = (index + layer < n).then_some(start + index + layer);
            forms.push(Form { centre, width, x, sum, square, beside: [before, behind] });
        }
    }
    forms
}

/// The height of a curve at a distance from its centre.
pub(crate) fn height(from_centre: f64, width: f64) -> f64 {
    if width == 0.0 {
        return f64::from(u8::from(from_centre > 0.0));
    }
    1.0 / (1.0 + (-TEN_TO_NINETY * from_centre / width).exp())
}

/// Sums over layers, from which levels and noise of one group follow.
#[derive(Clone, Copy)]
pub(crate) struct Sums {
    n: f64,
    x: f64,
    xx: f64,
    y: f64,
    yy: f64,
    xy: f64,
}

/// Of a form and the values of a group.
pub(crate) fn sums(form: &Form, y: &[f64]) -> Sums {
    let (mut sy, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in form.x.iter().zip(y) {
        sy += y;
        yy += y * y;
        xy += x * y;
    }
    Sums { n: y.len() as f64, x: form.sum, xx: form.square, y: sy, yy, xy }
}

impl Sums {
    /// Without one layer.
    pub(crate) fn without(self, x: f64, y: f64) -> Self {
        let Self { n, x: sx, xx, y: sy, yy, xy } = self;
        Self { n: n - 1.0, x: sx - x, xx: xx - x * x, y: sy - y, yy: yy - y * y, xy: xy - x * y }
    }

    /// Slope, level at 0 and the sum of squares that is left; no slope where the curve would fall.
    pub(crate) fn solve(self) -> (f64, f64, f64) {
        let (mx, my) = (self.x / self.n, self.y / self.n);
        let (sxx, sxy) = (self.xx - self.n * mx * mx, self.xy - self.n * mx * my);
        let syy = (self.yy - self.n * my * my).max(0.0);
        if sxx <= 1e-9 || sxy <= 0.0 {
            return (0.0, my, syy);
        }
        let slope = sxy / sxx;
        (slope, my - slope * mx, (syy - slope * sxy).max(0.0))
    }

    /// Of the values, with the variance of the fit.
    pub(crate) fn log_likelihood(self) -> f64 {
        let (_, _, left) = self.solve();
        -(self.n + 1.0) / 2.0 * variance(left, self.n).ln()
    }

    /// The log density of another value, by Student's t: heavy tails, so that no single layer decides.
    pub(crate) fn predicted(self, x: f64, y: f64) -> f64 {
        let (slope, level, left) = self.solve();
        let variance = variance(left, self.n);
        let distance = (y - level - slope * x).powi(2) / variance;
        -0.5 * variance.ln() - (FREEDOM + 1.0) / 2.0 * (1.0 + distance / FREEDOM).ln()
    }
}

/// With a prior observation of one unit.
fn variance(left: f64, n: f64) -> f64 {
    (left + 1.0) / (n + 1.0)
}
