//! What runs from left to right: [`Horizontal`], an axis over depth or of things in order.

use stratigraph_profile::Axis;

use crate::text::shortened;

/// The horizontal axis of a panel. Layer `l` is at `l`, the residual position before it at `l - 0.5`, so that curves of both
/// share one axis.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Horizontal {
    /// What it counts.
    pub label: String,
    /// The ends.
    pub(crate) ends: (f64, f64),
    /// The positions of its ticks, and their labels.
    pub(crate) ticks: Vec<(f64, String)>,
    /// Whether it runs over the depth of one model, where stages can be shaded.
    pub is_depth: bool,
    /// The number of columns, each of which shows its numbers under the mouse.
    pub columns: usize,
}

/// A longer name of a thing is shortened.
pub(super) const LONGEST: usize = 16;
/// How many characters have room beside an axis.
const ROOM: usize = 44;

impl Horizontal {
    /// An axis of layers.
    pub fn layers(n_layers: usize) -> Self {
        let ticks = spread(n_layers).map(|layer| (layer as f64, layer.to_string())).collect();
        Self { label: "layer".into(), ends: ends(n_layers), ticks, is_depth: true, columns: n_layers.max(1) }
    }

    /// The same axis with the residual positions marked on it: before each layer, and after the last one.
    pub fn residual_positions(n_layers: usize) -> Self {
        let ticks = spread(n_layers + 1).map(|at| (at as f64 - 0.5, at.to_string())).collect();
        let label = "residual position (before layer)".into();
        Self { label, ends: ends(n_layers), ticks, is_depth: true, columns: n_layers.max(1) }
    }

    /// The axis of a curve.
    pub fn from_axis(axis: &Axis) -> Self {
        match (axis, axis.n_layers()) {
            (Axis::ResidualPositions { .. }, Some(n_layers)) => Self::residual_positions(n_layers),
            (Axis::BlockStarts { .. }, Some(n_layers)) => {
                Self { label: "first layer of the block".into(), ..Self::layers(n_layers) }
            }
            (_, Some(n_layers)) => Self::layers(n_layers),
            (_, None) => {
                let names: Vec<_> = (0..axis.len()).map(|index| axis.tick(index)).collect();
                Self::categories(&axis.name(), &names)
            }
        }
    }

    /// Things in order, with a name each.
    pub fn categories(label: &str, names: &[String]) -> Self {
        let short: Vec<_> = names.iter().map(|name| shortened(name, LONGEST)).collect();
        let widest = short.iter().map(|name| name.chars().count() + 1).max().unwrap_or(1);
        let step = round_step(names.len() * widest / ROOM + 1);
        let tick = |(index, name): (usize, String)| (index as f64, name);
        let ticks = short.into_iter().enumerate().step_by(step).map(tick).collect();
        Self { label: label.to_owned(), ends: ends(names.len()), ticks, is_depth: false, columns: names.len().max(1) }
    }

    /// From the first layer of a model to its last.
    pub fn relative_depth() -> Self {
        let ticks = (0..=4).map(|quarter| f64::from(quarter) / 4.0).map(|at| (at, format!("{at}"))).collect();
        Self { label: "relative depth".into(), ends: (0.0, 1.0), ticks, is_depth: false, columns: 32 }
    }

    /// Where `x` lies between the coordinates `from` and `to`.
    pub(super) fn place(&self, x: f64, (from, to): (f64, f64)) -> f64 {
        let (first, last) = self.ends;
        from + ((x - first) / (last - first)).clamp(0.0, 1.0) * (to - from)
    }

    /// The column that `x` lies in; of two that meet there, the right one, by a small offset.
    pub(super) fn column_of(&self, x: f64) -> usize {
        let (first, last) = self.ends;
        let along = (x - first) / (last - first) * self.columns as f64 + 1e-9;
        (along.max(0.0) as usize).min(self.columns - 1)
    }
}

fn ends(n: usize) -> (f64, f64) {
    (-0.5, n.max(1) as f64 - 0.5)
}

/// Of `n` numbers from 0, those to write: at most fifteen, with a round step.
fn spread(n: usize) -> impl Iterator<Item = usize> {
    (0..n).step_by(round_step(n.saturating_sub(1) / 14 + 1))
}

/// The next of 1, 2, 5, 10, 20, 50 ...
pub(super) fn round_step(least: usize) -> usize {
    let steps = (0..).flat_map(|power: u32| [1, 2, 5].map(|m| m * 10usize.pow(power)));
    steps.into_iter().find(|step| *step >= least).unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_have_ticks_at_round_numbers() {
        let at = |axis: Horizontal| axis.ticks.into_iter().map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!(at(Horizontal::layers(12)).len(), 12);
        assert_eq!(at(Horizontal::layers(31)), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert_eq!(at(Horizontal::layers(96)).len(), 10);
        assert_eq!(at(Horizontal::layers(1)), [0.0]);
        assert_eq!(at(Horizontal::residual_positions(2)), [-0.5, 0.5, 1.5]);
        assert_eq!(Horizontal::layers(0).ends, (-0.5, 0.5));
    }

    #[test]
    fn a_layer_and_the_residual_position_before_it_share_a_column() {
        for n in 1..=96 {
            let axis = Horizontal::layers(n);
            for layer in 0..n {
                let columns = [layer as f64 - 0.5, layer as f64].map(|x| axis.column_of(x));
                assert_eq!(columns, [layer; 2], "{n} layers");
            }
            assert_eq!(axis.column_of(n as f64 - 0.5), n - 1);
        }
    }

    #[test]
    fn names_that_are_long_are_not_all_written() {
        let names: Vec<_> = (0..32).map(|k| format!("{k} neurons")).collect();
        assert_eq!(Horizontal::categories("k", &names).ticks.len(), 4);
        assert_eq!(Horizontal::categories("k", &names[..2]).ticks.len(), 2);
    }
}
