//! A curve over layers as a line of blocks for a terminal: [`Depth`] and [`Blocks`].

use stratigraph_profile::Curve;

use crate::figure::range;
use crate::text::Number;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The most characters of a line.
pub(crate) const CHART: usize = 54;

/// A line of a chart, with the values that its lowest and its highest block stand for.
pub(crate) struct Blocks {
    pub(crate) line: String,
    low: f64,
    high: f64,
    pub(crate) log: bool,
}

/// How many characters a layer takes, or how many layers share a character.
#[derive(Clone, Copy)]
pub(crate) struct Depth {
    pub(crate) n_layers: usize,
    pub(crate) per_layer: usize,
    per_column: usize,
}

impl Depth {
    pub(crate) fn new(n_layers: usize) -> Self {
        let n_layers = n_layers.max(1);
        match n_layers.div_ceil(CHART) {
            1 => Depth { n_layers, per_layer: (CHART / n_layers).clamp(1, 4), per_column: 1 },
            per_column => Depth { n_layers, per_layer: 1, per_column },
        }
    }

    /// The character at which a layer begins; after the last one, where all end.
    pub(crate) fn column(self, layer: usize) -> usize {
        if layer >= self.n_layers { self.width() } else { layer * self.per_layer / self.per_column }
    }

    /// How many characters all layers have.
    pub(crate) fn width(self) -> usize {
        self.n_layers.div_ceil(self.per_column) * self.per_layer
    }

    /// A block for each layer; where several share a character, of the largest.
    pub(crate) fn blocks(self, curve: &Curve, log: bool) -> Option<Blocks> {
        let values: Vec<f64> = curve.mean.iter().copied().take(self.n_layers).collect();
        let positive = || values.iter().copied().filter(|value| *value > 0.0);
        let log = log && range(positive()).is_some_and(|(low, high)| high >= 10.0 * low);
        let (low, high) = if log { range(positive()) } else { range(values.iter().copied()) }?;
        let scaled = |value: f64| if log { value.ln() } else { value };
        let block = |value: f64| {
            let share = (scaled(value) - scaled(low)) / (scaled(high) - scaled(low));
            if value.is_finite() && share.is_finite() {
                BLOCKS[(share.clamp(0.0, 1.0) * 7.0).round() as usize]
            } else {
                BLOCKS[0]
            }
        };
        let shown = |layers: &[f64]| match range(layers.iter().copied()) {
            Some((_, largest)) => block(largest),
            None => ' ',
        };
        let line = values.chunks(self.per_column).map(|layers| shown(layers).to_string().repeat(self.per_layer));
        Some(Blocks { line: line.collect(), low, high, log })
    }
}

impl Blocks {
    /// The two values, in at most `room` characters: without the unit where there is no room for it, then in fewer digits.
    pub(crate) fn in_words(&self, unit: &str, room: usize) -> String {
        let Self { low, high, .. } = *self;
        let range = format!("{} to {}", Number(low), Number(high));
        let fits = |text: &str| text.chars().count() <= room;
        match [format!("{range}{unit}"), range].into_iter().find(|range| fits(range)) {
            Some(range) => range,
            None => format!("{low:.1e} to {high:.1e}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_never_cut() {
        let range = |low: f64, high: f64| Blocks { line: String::new(), low, high, log: false }.in_words(" nats", 22);
        assert_eq!(range(0.25, 8.0), "0.25 to 8 nats");
        assert_eq!(range(0.0001234, 0.0008765), "0.0001234 to 0.0008765");
        assert_eq!(range(-0.0001234, 0.0008765), "-1.2e-4 to 8.8e-4");
        assert_eq!(range(-1.234e-300, -1.234e-301), "-1.2e-300 to -1.2e-301");
    }
}
