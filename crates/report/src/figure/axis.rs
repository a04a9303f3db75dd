//! From numbers to places on a line: [`Axis`] with round ticks.

use super::Scale;

/// A range of numbers, laid out from one coordinate to another.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    scale: Scale,
    ticks: Vec<f64>,
}

impl Axis {
    /// An axis that shows all `values`, of which those count that have a place on `scale`, between the coordinates
    /// `from` and `to`.
    pub(super) fn over(values: impl Iterator<Item = f64>, scale: Scale, from: f64, to: f64) -> Self {
        let shown = values.filter(|value| has_place(scale, *value));
        let (low, high) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if low > high { (1.0, 1.0) } else { (low, high) };
        let ticks = match scale {
            Scale::Linear => linear_ticks(low.min(0.0), high),
            Scale::Log => log_ticks(low, high),
        };
        let (low, high) = (ticks[0], ticks[ticks.len() - 1]);
        Self { low, high, from, to, scale, ticks }
    }

    /// An axis of layers, with a tick at most every fourteenth of it.
    pub(super) fn of_layers(last: usize, from: f64, to: f64) -> Self {
        let step = (last / 14 + 1).next_multiple_of(if last > 28 { 5 } else { 1 });
        let ticks = (0..=last).step_by(step).map(|layer| layer as f64).collect();
        Self { low: -0.5, high: last as f64 + 0.5, from, to, scale: Scale::Linear, ticks }
    }

    /// The numbers to write beside the axis.
    pub(super) fn ticks(&self) -> &[f64] {
        &self.ticks
    }

    /// Where `value` lies; `None` when it has no place. What lies beyond an end is put on it.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        if !has_place(self.scale, value) {
            return None;
        }
        let along = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        Some(self.from + along.clamp(0.0, 1.0) * (self.to - self.from))
    }

    /// Where the lower end lies.
    pub(super) fn start(&self) -> f64 {
        self.from
    }
}

fn has_place(scale: Scale, value: f64) -> bool {
    value.is_finite() && (scale == Scale::Linear || value > 0.0)
}

/// Multiples of 1, 2 or 5 times a power of ten, four to nine of them, that enclose both numbers.
fn linear_ticks(low: f64, high: f64) -> Vec<f64> {
    let span = if high > low { high - low } else { 1.0 };
    let power = 10f64.powf((span / 4.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| span / step <= 6.0).unwrap_or(power);
    let (first, last) = ((low / step).floor() as i64, ((low + span) / step).ceil() as i64);
    (first..=last).map(|i| i as f64 * step).collect()
}

/// Powers of ten that enclose both numbers, and when they are few, their doubles and fivefolds between.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let last = last.max(first + 1);
    let multiples: &[f64] = if last - first > 2 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let decades = (first..last).flat_map(|power| multiples.iter().map(move |m| m * 10f64.powi(power)));
    let all: Vec<f64> = decades.chain([10f64.powi(last)]).collect();
    let begin = all.iter().rposition(|tick| *tick <= low).unwrap_or(0);
    let end = all.iter().position(|tick| *tick >= high).unwrap_or(all.len() - 1).max(begin + 1);
    all[begin..=end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_what_is_shown() {
        assert_eq!(linear_ticks(0.0, 1.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(linear_ticks(0.0, 7.3), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(linear_ticks(0.0, 0.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(log_ticks(0.03, 8.0), [0.01, 0.1, 1.0, 10.0]);
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
    fn layers_have_ticks_at_round_places() {
        assert_eq!(Axis::of_layers(11, 0.0, 1.0).ticks().len(), 12);
        assert_eq!(Axis::of_layers(30, 0.0, 1.0).ticks(), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert_eq!(Axis::of_layers(0, 0.0, 1.0).ticks(), [0.0]);
    }
}
