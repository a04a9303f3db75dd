//! What the catalogue says about one curve: [`CurveEntry`].

use super::pattern::Captured;
use super::{MetricEntry, SingleCurve, SweepEntry, find, split};
use crate::{Axis, Curve, Scale, Unit};

/// Which axis a curve has, in a model of any depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AxisKind {
    /// A value for each layer.
    Layers,
    /// A value for each residual position.
    ResidualPositions,
    /// A value for each layer and the next.
    AdjacentPairs,
    /// A value for each block of this many layers.
    BlockStarts(usize),
    /// A value for each block of neighbouring layers, of one layer to this many.
    Blocks(usize),
    /// A value for each number of layers removed, from none to all.
    LayersRemoved,
    /// A value for each of some labelled things, with the word for one of them; the catalogue does not know which they are.
    Labelled(&'static str),
    /// A value for each head of each layer; the catalogue does not know how many a layer has.
    AllHeads,
}

impl AxisKind {
    /// The axis in a model of `n_layers` layers; without a point where the catalogue does not know the labels.
    pub fn of(self, n_layers: usize) -> Axis {
        match self {
            AxisKind::Layers => Axis::layers(n_layers),
            AxisKind::ResidualPositions => Axis::residual_positions(n_layers),
            AxisKind::AdjacentPairs => Axis::adjacent_pairs(n_layers),
            AxisKind::BlockStarts(length) => Axis::block_starts(n_layers, length),
            AxisKind::Blocks(longest) => Axis::all_blocks(n_layers, longest),
            AxisKind::LayersRemoved => Axis::counting("layers removed", n_layers + 1),
            AxisKind::Labelled(name) => Axis::labelled(name, [""; 0]),
            AxisKind::AllHeads => Axis::all_heads(n_layers, 0),
        }
    }
}

/// A curve as reports show it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CurveEntry {
    /// The name under which it is kept.
    pub name: String,
    /// Its title.
    pub title: String,
    /// A few words for a legend or the head of a line.
    pub label: String,
    /// What is measured, for the side of a plot: `KL`, `attention`.
    pub quantity: String,
    /// What it is measured in.
    pub unit: Unit,
    /// How it is drawn.
    pub scale: Scale,
    /// What it runs over.
    pub axis: AxisKind,
    /// How it is computed.
    pub definition: String,
    /// The group of curves it belongs to, such as `Attention`.
    pub group: String,
    /// What a legend calls its sweep, where it belongs to one.
    pub sweep: Option<String>,
    /// Its metric, where it belongs to a sweep.
    pub metric: Option<MetricEntry>,
    /// Whether it is the difference of the curves of two sweeps.
    pub is_difference: bool,
}

impl CurveEntry {
    pub(super) fn of_sweep(name: &str, sweep: &SweepEntry, metric: &MetricEntry) -> Self {
        Self {
            name: name.to_owned(),
            title: format!("{}: {}", sweep.title, metric.label),
            label: format!("{}: {}", sweep.label, metric.label),
            quantity: metric.label.clone(),
            unit: metric.unit.clone(),
            scale: if sweep.is_difference { Scale::Fitted } else { metric.scale },
            axis: sweep.axis,
            definition: format!("{}. {}", sweep.definition, metric.definition),
            group: sweep.group.to_owned(),
            sweep: Some(sweep.label.clone()),
            metric: Some(metric.clone()),
            is_difference: sweep.is_difference,
        }
    }

    pub(super) fn of_single(single: &SingleCurve, open: Captured) -> Self {
        Self {
            name: open.fill(single.name),
            title: open.fill(single.title),
            label: open.fill(single.label),
            quantity: single.quantity.to_owned(),
            unit: single.unit.clone(),
            scale: single.scale,
            axis: single.axis,
            definition: open.fill(single.definition),
            group: single.group.to_owned(),
            sweep: None,
            metric: None,
            is_difference: false,
        }
    }

    /// The label of an axis: what is measured, and its unit where that adds something.
    pub fn axis_label(&self) -> String {
        let unit = self.unit.to_string();
        let adds = !matches!(self.unit, Unit::Count | Unit::Dimensionless) && !self.quantity.contains(&unit);
        if adds { format!("{}, {unit}", self.quantity) } else { self.quantity.clone() }
    }
}

/// What a report says about a curve of any name: the catalogue's words, or else the curve's own. Where a curve has neither,
/// its name is the title, and a metric at the end of the name gives the scale.
pub fn describe(name: &str, curve: &Curve) -> CurveEntry {
    let mut entry = find(name).unwrap_or_else(|| unknown(name, curve));
    entry.unit = curve.unit.clone();
    if let Some(title) = &curve.title {
        entry.title.clone_from(title);
    }
    if let Some(definition) = &curve.definition {
        entry.definition.clone_from(definition);
    }
    entry
}

/// The group of curves that the catalogue does not have.
const OTHER: &str = "Other curves";

fn unknown(name: &str, curve: &Curve) -> CurveEntry {
    let spoken = |name: &str| name.replace('_', " ");
    let mut entry = CurveEntry {
        name: name.to_owned(),
        title: spoken(name),
        label: spoken(name),
        quantity: "value".to_owned(),
        unit: curve.unit.clone(),
        scale: Scale::Fitted,
        axis: AxisKind::Layers,
        definition: String::new(),
        group: OTHER.to_owned(),
        sweep: None,
        metric: None,
        is_difference: false,
    };
    if let Some((sweep, metric)) = split(name) {
        entry.label = format!("{}: {}", spoken(sweep), metric.label);
        entry.title.clone_from(&entry.label);
        (entry.quantity, entry.scale) = (metric.label.clone(), metric.scale);
        (entry.sweep, entry.metric) = (Some(spoken(sweep)), Some(metric));
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_s_own_words_are_shown() {
        let own = Curve::new(Axis::layers(1), Unit::from("volts"), vec![1.0]).with_title("Tension");
        let entry = describe("my_tension", &own);
        assert_eq!((&entry.title[..], entry.axis_label()), ("Tension", "value, volts".to_owned()));
        let skipped = describe("skip_kl", &Curve::new(Axis::layers(1), Unit::Nats, vec![1.0]));
        assert_eq!(
            (&skipped.label[..], skipped.scale, skipped.axis_label()),
            ("skip: KL", Scale::Log, "KL, nats".into())
        );
        let known = describe("delete_kl", &Curve::new(Axis::layers(1), Unit::Nats, vec![1.0]));
        assert_eq!(Some(known), find("delete_kl"));
    }
}
