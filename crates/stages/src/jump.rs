//! Whether a step stands out among all changes from layer to layer: [`jump_p_value`].

use crate::columns::Columns;
use crate::robust::RobustScale;

/// One group moves the sum by at most this many standard deviations of its own noise, so that no group decides alone.
const MOST: f64 = 6.0;
/// The efficiency of a median absolute deviation: this fraction of the changes counts as degrees of freedom.
const EFFICIENCY: f64 = 0.37;

/// The chance that the largest of all changes from a layer to the next is as large as the one at layer `at` or next to it, if
/// all changes are of one kind, as in a random walk: the changes of the groups are summed, centred at their median and divided
/// by their median absolute deviation, and have Student's distribution. A trend moves the median and is no jump. The same is
/// done with each group's largest change within one layer, since groups may lie a layer apart; the smaller of the two chances
/// counts twice (Bonferroni).
pub(crate) fn jump_p_value(columns: &Columns, at: usize) -> f64 {
    let n = columns.values.first().map_or(0, Vec::len);
    if n < 4 {
        return 1.0;
    }
    let of = |column: &Vec<f64>, index: usize| (column[index] - column[index - 1]).clamp(-MOST, MOST);
    let near = |index: usize| index.max(2) - 1..=(index + 1).min(n - 1);
    let largest = |column: &Vec<f64>, index: usize| near(index).map(|index| of(column, index)).fold(-MOST, f64::max);
    let sums = |each: &dyn Fn(&Vec<f64>, usize) -> f64| -> Vec<f64> {
        (1..n).map(|index| columns.values.iter().map(|column| each(column, index)).sum()).collect()
    };
    // The first layer from `at` on that is not left out.
    let at = columns.layers.iter().position(|&layer| layer >= at).unwrap_or(n - 1).max(1);
    let together = largest_of(&sums(&of), near(at));
    let apart = largest_of(&sums(&largest), at..=at);
    (2.0 * together.min(apart)).min(1.0)
}

/// The chance of the largest change at some layers among all `changes`, of which the first is at layer 1.
fn largest_of(changes: &[f64], at: std::ops::RangeInclusive<usize>) -> f64 {
    let Some(RobustScale { centre, scale: spread }) = RobustScale::unclipped(changes, 0.0) else { return 1.0 };
    let largest = at.map(|index| changes[index - 1] - centre).fold(0.0, f64::max);
    if spread <= 0.0 {
        return if largest > 0.0 { 0.0 } else { 1.0 };
    }
    let one = student_tail(largest / spread, EFFICIENCY * changes.len() as f64);
    1.0 - (1.0 - one).powi(changes.len() as i32)
}

/// The probability that Student's t with these degrees of freedom is larger than `t`, by Simpson's rule over the angle
/// `tan(angle) = t / sqrt(freedom)`, whose density is proportional to `cos(angle)^(freedom - 1)`.
fn student_tail(t: f64, freedom: f64) -> f64 {
    const STEPS: usize = 400;
    let freedom = freedom.max(1.0);
    let density = |angle: f64| angle.cos().max(0.0).powf(freedom - 1.0);
    let integral = |from: f64, to: f64| {
        let h = (to - from) / STEPS as f64;
        let weight = |i: usize| if i == 0 || i == STEPS { 1.0 } else { [2.0, 4.0][i % 2] };
        (0..=STEPS).map(|i| weight(i) * density(from + i as f64 * h)).sum::<f64>() * h / 3.0
    };
    let (start, quarter) = ((t / freedom.sqrt()).atan(), std::f64::consts::FRAC_PI_2);
    (integral(start, quarter) / integral(-quarter, quarter)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn the_tail_is_that_of_the_tables() {
        // One-sided 5 % and 2.5 % points for 1, 4 and 30 degrees of freedom.
        for (t, freedom, p) in [(6.314, 1.0, 0.05), (2.132, 4.0, 0.05), (2.776, 4.0, 0.025), (1.697, 30.0, 0.05)] {
            assert!((student_tail(t, freedom) - p).abs() < 2e-4, "{t} {freedom}: {}", student_tail(t, freedom));
        }
    }

    #[test]
    fn random_walks_rarely_jump_and_steps_do() {
        let [mut walks, mut steps] = [0; 2];
        let of = |values: Vec<Vec<f64>>| Columns { values, layers: (0..24).collect() };
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let mut shared = 0.0;
            let walk: Vec<f64> = (0..24)
                .map(|_| {
                    shared += random.normal();
                    shared
                })
                .collect();
            let largest = (1..24).max_by(|&a, &b| (walk[a] - walk[a - 1]).total_cmp(&(walk[b] - walk[b - 1]))).unwrap();
            walks += usize::from(jump_p_value(&of(vec![walk.clone(), walk]), largest) <= 0.05);
            let step = |_| (0..24).map(|layer| 8.0 * f64::from(u8::from(layer >= 9)) + random.normal()).collect();
            steps += usize::from(jump_p_value(&of((0..3).map(step).collect()), 9) <= 0.05);
        }
        assert!(walks <= 14 && steps >= 190, "{walks} {steps}");
    }
}
