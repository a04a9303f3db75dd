//! Layers whose deletion costs much because they make the attention sink, and for nothing else: [`sink_makers`].

use stratigraph_profile::{Axis, OutlierLayer, Profile};

use crate::Rule;
use crate::reading::Setting;
use crate::robust::{RobustScale, median, rounded};
use crate::words::number;

/// Layers that can be deleted like any other if the first position still passes through them: deleting them costs something at
/// all positions, and stands out against what they cost at all positions but the first. None where either was not measured.
pub(crate) fn sink_makers(profile: &Profile, setting: &Setting, rule: &Rule) -> Vec<OutlierLayer> {
    sinks(profile, setting, rule).unwrap_or_default()
}

fn sinks(profile: &Profile, setting: &Setting, rule: &Rule) -> Option<Vec<OutlierLayer>> {
    let axis = Axis::layers(setting.n_layers);
    let of = |name: &str| profile.curves.get(name).filter(|it| it.axis == axis && it.len() == setting.n_layers);
    let (all, kept) = (&of("delete_kl")?.mean, &of("delete_after_first_kl")?.mean);
    let ratios: Vec<f64> = all.iter().zip(kept).map(|(all, kept)| (all.max(1e-6) / kept.max(1e-6)).ln()).collect();
    let scale = RobustScale::new(&ratios, rule.outlier, rule.least_ratio.ln())?;
    let ordinary = median(kept)?;
    // What the sink costs has to be something: the floor, or without one, what the median layer costs.
    let floor = setting.floor.unwrap_or(ordinary);
    let logs: Vec<f64> = kept.iter().map(|kept| kept.max(1e-6).ln()).collect();
    let without = RobustScale::new(&logs, rule.outlier, rule.least_ratio.ln())?;
    let maker = |layer: usize| {
        let (z, cost) = (scale.z(ratios[layer]), all[layer] - kept[layer]);
        // With the first position kept it can be deleted like any other layer.
        let is_ordinary = without.z(logs[layer]) < rule.stands_out;
        let is_sink = z > rule.outlier && cost >= floor && is_ordinary;
        let reason = || {
            format!(
                "deleting it costs {} nats, and {} where the first position still passes through it ({} in the median layer)",
                number(all[layer]),
                number(kept[layer]),
                number(ordinary)
            )
        };
        is_sink.then(|| OutlierLayer::new(layer, "delete_kl", rounded(z), reason()).as_sink())
    };
    Some((0..setting.n_layers).filter_map(maker).collect())
}
