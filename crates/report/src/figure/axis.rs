//! From numbers to heights: [`Axis`] with round ticks.

use stratigraph_profile::Scale;

/// A range of numbers, laid out from one coordinate to another.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
    ticks: Vec<f64>,
}

/// A logarithmic axis with more ticks shows those that are powers of ten.
const CROWDED: usize = 7;
/// The least lower end of a logarithmic axis, relative to the largest number.
const DEEPEST: f64 = 1e-6;

impl Axis {
    /// An axis that shows all `values`, leaving out those that `scale` cannot show, between the coordinates
    /// `from` and `to`.
    pub(super) fn over(values: impl Iterator<Item = f64> + Clone, scale: Scale, from: f64, to: f64) -> Self {
        let positive = range(values.clone().filter(|value| *value > 0.0));
        let log = scale == Scale::Log && positive.is_some_and(|(low, high)| high >= 10.0 * low);
        let (low, high) = if log { positive } else { range(values) }.unwrap_or((0.0, 1.0));
        let mut ticks = match scale {
            _ if log => log_ticks(low.max(high * DEEPEST), high),
            Scale::Fitted => linear_ticks(low, high),
            Scale::Share => linear_ticks(low.min(0.0), high.clamp(0.0, 1.0)),
            _ => linear_ticks(low.min(0.0), high.max(0.0)),
        };
        let (low, high) = (ticks[0], ticks[ticks.len() - 1]);
        if log && ticks.len() > CROWDED {
            ticks.retain(|tick| tick.log10().fract().abs() < 1e-9);
        }
        Self { low, high, from, to, log, ticks }
    }

    /// The numbers to write beside the axis.
    pub(super) fn ticks(&self) -> &[f64] {
        &self.ticks
    }

    /// Where `value` is; `None` where the scale cannot show it. A value beyond an end is put on the end.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        if !value.is_finite() || (self.log && value <= 0.0) {
            return None;
        }
        let along = match self.log {
            false => (value - self.low) / (self.high - self.low),
            true => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        Some(self.from + along.clamp(0.0, 1.0) * (self.to - self.from))
    }

    /// Where the lower end is.
    pub(super) fn start(&self) -> f64 {
        self.from
    }
}

/// The smallest and the largest of those that are finite.
pub(crate) fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.filter(|value| value.is_finite());
    finite.fold(None, |range, v| range.map_or(Some((v, v)), |(low, high): (f64, f64)| Some((low.min(v), high.max(v)))))
}

/// Multiples of 1, 2 or 5 times a power of ten, four to nine of them, that enclose both numbers.
fn linear_ticks(low: f64, high: f64) -> Vec<f64> {
    let span = if high > low { high - low } else { high.abs().max(1.0) };
    let span = span.max(low.abs().max(high.abs()) * 1e-9);
    let power = 10f64.powf((span / 4.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| span / step <= 6.0).unwrap_or(power);
    let (first, last) = ((low / step).floor() as i64, ((low + span) / step).ceil() as i64);
    (first..=last).map(|i| i as f64 * step).collect()
}

/// Powers of ten with their doubles and fivefolds, from the last below both numbers to the first above.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let last = last.max(first + 1);
    let decades = (first..last).flat_map(|power| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(power)));
    let all: Vec<f64> = decades.chain([10f64.powi(last)]).collect();
    let start = all.iter().rposition(|tick| *tick <= low).unwrap_or(0);
    let end = all.iter().position(|tick| *tick >= high).unwrap_or(all.len() - 1).max(start + 1);
    all[start..=end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_what_is_shown() {
        assert_eq!(linear_ticks(0.0, 1.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(linear_ticks(0.0, 7.3), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(linear_ticks(0.0, 0.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(log_ticks(0.03, 8.0), [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]);
        assert_eq!(Axis::over([0.03, 8.0].into_iter(), Scale::Log, 1.0, 0.0).ticks(), [0.1, 1.0, 10.0]);
        assert_eq!(log_ticks(0.3, 4.0), [0.2, 0.5, 1.0, 2.0, 5.0]);
        assert_eq!(log_ticks(1.0, 1.0), [1.0, 2.0]);
    }

    #[test]
    fn places_follow_the_scale() {
        let values = || [0.01, 0.1, 1.0, 0.0, f64::NAN].into_iter();
        let axis = Axis::over(values(), Scale::Log, 100.0, 0.0);
        let places = [0.01, 0.1, 1.0, 0.0, f64::NAN].map(|value| axis.place(value).map(f64::round));
        assert_eq!(places, [Some(100.0), Some(50.0), Some(0.0), None, None]);
        let axis = Axis::over(values(), Scale::Linear, 100.0, 0.0);
        assert_eq!([0.0, 0.5, 1.0, 2.0].map(|value| axis.place(value)), [100.0, 50.0, 0.0, 0.0].map(Some));
    }

    #[test]
    fn a_logarithm_needs_a_decade_and_ends_a_million_below_the_top() {
        let narrow = Axis::over([2.0, 3.0].into_iter(), Scale::Log, 100.0, 0.0);
        assert_eq!((narrow.ticks()[0], narrow.place(0.0)), (0.0, Some(100.0)));
        let deep = Axis::over([1e-12, 1.0].into_iter(), Scale::Log, 100.0, 0.0);
        assert_eq!((deep.ticks().len(), deep.place(1e-12)), (7, Some(100.0)));
    }

    #[test]
    fn a_fitted_axis_leaves_0_out_and_odd_numbers_have_axes_too() {
        assert_eq!(Axis::over([0.52, 0.64].into_iter(), Scale::Fitted, 1.0, 0.0).ticks()[0], 0.52);
        for odd in [-3.0, 0.0, 1e300, 1e-300, 1e15 + 1.0, f64::NAN] {
            for scale in [Scale::Linear, Scale::Share, Scale::Fitted, Scale::Log] {
                let axis = Axis::over([odd, odd].into_iter(), scale, 1.0, 0.0);
                let places: Vec<_> = axis.ticks().iter().filter_map(|tick| axis.place(*tick)).collect();
                assert!(places.len() < 12 && places.iter().all(|place| place.is_finite()), "{odd} {scale:?} {axis:?}");
            }
        }
    }
}
