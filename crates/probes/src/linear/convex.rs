//! The function that a logistic probe minimises, and its minimum: [`Problem`].

use crate::neurons::dot;

/// A convex function of the weights and the intercept.
pub(crate) struct Problem<'a> {
    pub(crate) rows: &'a [f64],
    pub(crate) width: usize,
    pub(crate) answers: &'a [bool],
    pub(crate) l2: f64,
}

/// Past steps from which the curvature is estimated.
const MEMORY: usize = 12;
const MOST_STEPS: usize = 1000;

impl Problem<'_> {
    /// The value and the gradient.
    pub(crate) fn at(&self, weights: &[f64]) -> (f64, Vec<f64>) {
        let (intercept, w) = weights.split_last().expect("there is an intercept");
        let mut gradient: Vec<f64> = w.iter().map(|w| self.l2 * w).chain([0.0]).collect();
        let mut value = 0.5 * self.l2 * dot(w, w);
        for (row, &answer) in self.rows.chunks(self.width).zip(self.answers) {
            let y = if answer { 1.0 } else { -1.0 };
            let margin = y * (dot(row, w) + intercept);
            value += softplus(-margin);
            let slope = -y * sigmoid(-margin);
            gradient.iter_mut().zip(row).for_each(|(g, x)| *g += slope * x);
            gradient[self.width] += slope;
        }
        (value, gradient)
    }

    /// By L-BFGS (Nocedal and Wright, *Numerical Optimization*, 2006, algorithm 7.4) with steps that are halved until the
    /// value falls enough, from `weights` to a gradient a millionth of the number of examples.
    pub(crate) fn minimise(&self, mut weights: Vec<f64>) -> Vec<f64> {
        let (mut value, mut gradient) = self.at(&weights);
        let enough = 1e-6 * self.answers.len() as f64;
        let mut past: Vec<(Vec<f64>, Vec<f64>, f64)> = Vec::new();
        for _ in 0..MOST_STEPS {
            if dot(&gradient, &gradient).sqrt() < enough {
                break;
            }
            let direction = direction(&gradient, &past);
            let slope = dot(&direction, &gradient);
            let mut length = if past.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt() } else { 1.0 };
            let (next, next_value, next_gradient) = loop {
                let next: Vec<f64> = weights.iter().zip(&direction).map(|(w, d)| w + length * d).collect();
                let (next_value, next_gradient) = self.at(&next);
                if next_value <= value + 1e-4 * length * slope || length < 1e-12 {
                    break (next, next_value, next_gradient);
                }
                length *= 0.5;
            };
            let step: Vec<f64> = next.iter().zip(&weights).map(|(a, b)| a - b).collect();
            let change: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
            let curvature = dot(&step, &change);
            if curvature.is_nan() || curvature <= 0.0 {
                break; // rounding errors dominate, or there is no minimum
            }
            past.push((step, change, curvature));
            if past.len() > MEMORY {
                past.remove(0);
            }
            (weights, value, gradient) = (next, next_value, next_gradient);
        }
        weights
    }
}

/// Minus the gradient times the inverse Hessian, as estimated from past steps, changes of the gradient and their
/// products.
fn direction(gradient: &[f64], past: &[(Vec<f64>, Vec<f64>, f64)]) -> Vec<f64> {
    let mut q = gradient.to_vec();
    let mut shares = Vec::new();
    for (step, change, curvature) in past.iter().rev() {
        let share = dot(step, &q) / curvature;
        q.iter_mut().zip(change).for_each(|(q, change)| *q -= share * change);
        shares.push(share);
    }
    if let Some((_, change, curvature)) = past.last() {
        let scale = curvature / dot(change, change);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((step, change, curvature), share) in past.iter().zip(shares.into_iter().rev()) {
        let back = share - dot(change, &q) / curvature;
        q.iter_mut().zip(step).for_each(|(q, step)| *q += back * step);
    }
    q.iter_mut().for_each(|q| *q = -*q);
    q
}

pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `ln(1 + exp(x))`.
pub(crate) fn softplus(x: f64) -> f64 {
    (-x.abs()).exp().ln_1p() + x.max(0.0)
}
