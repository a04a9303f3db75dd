//! A step or a gradient: [`fit`] of one centre and one width to all groups of signals of a boundary.
//!
//! In each group the curve goes from one level to a higher one along a logistic curve. Levels and noise are the group's own, the
//! width is common, and so is the centre, or each group has it at the common place or a layer (a quarter of the width, if that is
//! more) before or after it, with equal probability. The noise is normal, with a prior observation of one unit for its variance.

use std::ops::Range;

use crate::columns::Columns;
use crate::forms::{Form, SHIFTS, Sums, forms, sums};
use crate::robust::mean;

/// How far below the best log likelihood a place lies that a 95 % set still holds: the likelihood ratio of a change point has
/// the distribution `(1 - exp(-x))^2` (Siegmund, *International Statistical Review* 56, 1988), so `-ln(1 - sqrt(0.95))`. For the
/// centre of a gradient, a regular parameter, it is more than enough.
const PLACE: f64 = 3.676;
/// The same for a width: half the 95 % point of chi squared with one degree of freedom.
const WIDTH: f64 = 1.921;
/// The fewest layers of two stages in which a transition is fitted.
const FEWEST: usize = 4;
/// Forms that are less likely than the best one by more nats than this have no weight.
const NEGLIGIBLE: f64 = 12.0;

/// A fitted transition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fit {
    /// The middle of the change; 3 is between layers 2 and 3.
    pub(crate) centre: f64,
    /// Its 95 % set.
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// From 10 to 90 % of the change, with its 95 % set.
    pub(crate) width: f64,
    pub(crate) width_low: f64,
    pub(crate) width_high: f64,
    /// The first layer after the best step.
    pub(crate) step: usize,
    /// The log predictive score of the best smooth curves minus that of the best steps, over left-out layers.
    pub(crate) step_loss: f64,
}

/// The transition in a window of layers; none where it has too few layers or no group changes there.
pub(crate) fn fit(columns: &Columns, window: Range<usize>, smooth: f64) -> Option<Fit> {
    let inside: Vec<usize> = (0..columns.layers.len()).filter(|&at| window.contains(&columns.layers[at])).collect();
    if inside.len() < FEWEST || columns.values.is_empty() {
        return None;
    }
    let ys: Vec<Vec<f64>> = columns.values.iter().map(|column| inside.iter().map(|&at| column[at]).collect()).collect();
    let layers: Vec<usize> = inside.iter().map(|&at| columns.layers[at]).collect();
    let forms = forms(&window, &layers);
    let sums: Vec<Vec<Sums>> = forms.iter().map(|form| ys.iter().map(|y| sums(form, y)).collect()).collect();
    let table: Vec<Vec<f64>> = sums.iter().map(|of| of.iter().map(|it| it.log_likelihood()).collect()).collect();
    let all: Vec<f64> = (0..forms.len()).map(|index| together(&forms[index], index, &table)).collect();
    let best = top(&all, |_| true)?;
    let step = top(&all, |index| forms[index].width == 0.0)?;
    let effective = effective(&ys, &forms[best], &sums[best]);
    let extent = |most: f64, of: fn(&Form) -> f64| {
        let kept = (0..forms.len()).filter(|&index| effective * (all[best] - all[index]) <= most);
        let kept = kept.map(|index| of(&forms[index]));
        kept.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
    };
    let ((low, high), (width_low, width_high)) = (extent(PLACE, |it| it.centre), extent(WIDTH, |it| it.width));
    let step_loss = left_out(&ys, &forms, &sums, smooth);
    let (centre, width) = (forms[best].centre, forms[best].width);
    Some(Fit { centre, low, high, width, width_low, width_high, step: forms[step].centre as usize, step_loss })
}

/// The log likelihood of a form: with one place for all groups, or with each group there or a layer before or after.
fn together(form: &Form, index: usize, table: &[Vec<f64>]) -> f64 {
    let groups = 0..table[index].len();
    let same: f64 = table[index].iter().sum();
    let apart: f64 = groups.map(|group| shifted(form, index, |at| table[at][group])).sum();
    same.max(apart)
}

/// The logarithm of the mean, over the places of one group, of something whose logarithm is `of` a form.
fn shifted(form: &Form, index: usize, of: impl Fn(usize) -> f64) -> f64 {
    let places = || std::iter::once(index).chain(form.beside.into_iter().flatten());
    log_sum(places().map(&of)) - SHIFTS.ln()
}

/// The form with the highest log likelihood.
fn top(of: &[f64], among: impl Fn(usize) -> bool) -> Option<usize> {
    (0..of.len()).filter(|&index| among(index)).reduce(|best, index| if of[index] > of[best] { index } else { best })
}

/// What part of the log likelihood counts: groups whose residuals go together, and layers whose residuals are like their
/// neighbours', are fewer than they seem.
fn effective(ys: &[Vec<f64>], form: &Form, sums: &[Sums]) -> f64 {
    let residual = |(y, sums): (&Vec<f64>, &Sums)| {
        let (slope, level, left) = sums.solve();
        let size = left.sqrt().max(1e-9);
        y.iter().zip(&form.x).map(|(y, x)| (y - level - slope * x) / size).collect::<Vec<f64>>()
    };
    let residuals: Vec<Vec<f64>> = ys.iter().zip(sums).map(residual).collect();
    let groups = residuals.len();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let pairs = (0..groups).flat_map(|a| (0..a).map(move |b| (a, b)));
    let together = mean(pairs.map(|(a, b)| dot(&residuals[a], &residuals[b]))).unwrap_or(0.0).max(0.0);
    let neighbours = mean(residuals.iter().map(|it| dot(&it[1..], &it[..it.len() - 1]))).unwrap_or(0.0);
    let neighbours = neighbours.clamp(0.0, 0.8);
    (1.0 - neighbours) / (1.0 + neighbours) / (1.0 + (groups as f64 - 1.0) * together)
}

/// The log predictive score of smooth curves minus that of steps, summed over left-out layers. Either kind predicts a layer by
/// the average of its forms, each as likely as the other layers make it, so that a step on either side of the left-out layer
/// counts half.
fn left_out(ys: &[Vec<f64>], forms: &[Form], sums: &[Vec<Sums>], smooth: f64) -> f64 {
    let of = |is: &dyn Fn(f64) -> bool| (0..forms.len()).filter(|&index| is(forms[index].width)).collect();
    let kinds: [Vec<usize>; 2] = [of(&|width| width == 0.0), of(&|width| width >= smooth)];
    if kinds[1].is_empty() {
        return f64::NEG_INFINITY;
    }
    let loss = |layer: usize| {
        let without = |index: usize, group: usize| sums[index][group].without(forms[index].x[layer], ys[group][layer]);
        let fits_of = |index: usize| (0..ys.len()).map(|group| without(index, group).log_likelihood()).collect();
        let table: Vec<Vec<f64>> = (0..forms.len()).map(fits_of).collect();
        let density = |at: usize, group: usize| without(at, group).predicted(forms[at].x[layer], ys[group][layer]);
        let score = |kind: &[usize]| {
            let fits: Vec<f64> = kind.iter().map(|&index| apart(&forms[index], index, &table, |_, _| 0.0)).collect();
            let best = fits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let near = kind.iter().zip(&fits).filter(|(_, fit)| **fit > best - NEGLIGIBLE);
            let joint: Vec<f64> = near.map(|(&index, _)| apart(&forms[index], index, &table, density)).collect();
            log_sum(joint.iter().copied()) - log_sum(fits.iter().copied())
        };
        score(&kinds[1]) - score(&kinds[0])
    };
    (0..ys[0].len()).map(loss).sum()
}

/// The log likelihood of a form with groups in their own places or all in one, whichever the layers make more likely, times a
/// density of each group.
fn apart(form: &Form, index: usize, table: &[Vec<f64>], density: impl Fn(usize, usize) -> f64) -> f64 {
    let groups = 0..table[index].len();
    let same: f64 = groups.clone().map(|group| table[index][group] + density(index, group)).sum();
    let shifted: f64 = groups.map(|group| shifted(form, index, |at| table[at][group] + density(at, group))).sum();
    log_sum([same, shifted].into_iter()) - 2f64.ln()
}

/// The logarithm of a sum of exponentials.
fn log_sum(logs: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = logs.clone().fold(f64::NEG_INFINITY, f64::max);
    most + logs.map(|log| (log - most).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forms::height;
    use crate::random::Random;

    fn columns(n: usize, seed: u64, of: impl Fn(f64) -> f64) -> Columns {
        let mut random = Random::new(seed);
        let mut column = |_| (0..n).map(|layer| of(layer as f64 + 0.5) + random.normal()).collect();
        Columns { values: (0..3).map(&mut column).collect(), layers: (0..n).collect() }
    }

    #[test]
    fn a_step_is_told_from_a_gradient() {
        let (mut steps, mut gradients) = (0, 0);
        for seed in 0..40 {
            let fit_of = |width| fit(&columns(20, seed, |at| 10.0 * height(at - 8.0, width)), 0..20, 3.0).unwrap();
            let (step, gradient) = (fit_of(0.0), fit_of(6.0));
            steps += usize::from(step.step_loss <= 0.0 && step.step == 8 && step.width <= 1.0);
            gradients += usize::from(gradient.step_loss > 0.0 && gradient.low <= 8.0 && gradient.high >= 8.0);
        }
        assert!(steps >= 38 && gradients >= 38, "{steps} {gradients}");
    }

    #[test]
    fn groups_that_step_a_layer_apart_are_a_step_in_between() {
        for seed in 0..20 {
            let mut random = Random::new(seed);
            let mut column =
                |at: usize| (0..20).map(|layer| 10.0 * f64::from(u8::from(layer >= at)) + random.normal()).collect();
            let columns = Columns { values: [7, 8, 9, 8].map(&mut column).to_vec(), layers: (0..20).collect() };
            let fit = fit(&columns, 0..20, 3.0).unwrap();
            assert!(fit.low <= 8.0 && fit.high >= 8.0 && fit.width < 3.0 && fit.step_loss <= 0.0, "{fit:?}");
        }
    }

    #[test]
    fn a_width_of_ten_to_ninety_is_one() {
        assert!((height(2.0, 4.0) - 0.9).abs() < 1e-12 && (height(-2.0, 4.0) - 0.1).abs() < 1e-12);
        assert_eq!((height(0.5, 0.0), height(-0.5, 0.0)), (1.0, 0.0));
    }

    #[test]
    fn what_falls_or_is_too_short_has_no_transition() {
        assert!(fit(&columns(3, 1, |at| at), 0..3, 3.0).is_none());
        let falling = fit(&columns(12, 1, |at| -9.0 * height(at - 6.0, 0.0)), 0..12, 3.0).unwrap();
        assert!(falling.low <= 1.0 && falling.high >= 11.0, "{falling:?}");
    }
}
