//! Layers that are needed for the attention sink and for nothing else: [`sink_makers`].

use stratigraph_profile::{Axis, OutlierLayer, Profile};

use crate::Rule;
use crate::reading::Setting;
use crate::removal;
use crate::robust::{RobustScale, median, rounded};
use crate::words::number;

/// The layers that make the attention sink. Such a layer
///
/// - costs at least the floor more when it is deleted at all positions than when the first position still passes through it;
///   without a floor, at least what the median layer costs with the first position kept;
/// - has a ratio of the two costs that is an outlier among all layers ([`Rule::outlier`], on a log scale);
/// - is an ordinary layer with the first position kept: its cost lies less than [`Rule::stands_out`] spreads above the median.
///
/// A layer that fails the last test is needed for something else too. Empty unless the profile has both `delete_kl` and
/// `delete_after_first_kl`.
pub(crate) fn sink_makers(profile: &Profile, setting: &Setting, rule: &Rule) -> Vec<OutlierLayer> {
    sinks(profile, setting, rule).unwrap_or_default()
}

fn sinks(profile: &Profile, setting: &Setting, rule: &Rule) -> Option<Vec<OutlierLayer>> {
    let axis = Axis::layers(setting.n_layers);
    let of = |name: &str| profile.curves.get(name).filter(|it| it.axis == axis && it.len() == setting.n_layers);
    let [kept, all] = removal::KL;
    let (all, kept) = (&of(all)?.mean, &of(kept)?.mean);
    let ratios: Vec<f64> = all.iter().zip(kept).map(|(all, kept)| (all.max(1e-6) / kept.max(1e-6)).ln()).collect();
    let scale = RobustScale::new(&ratios, rule.outlier, rule.least_ratio.ln())?;
    let ordinary = median(kept)?;
    let floor = setting.floor.unwrap_or(ordinary);
    let logs: Vec<f64> = kept.iter().map(|kept| kept.max(1e-6).ln()).collect();
    let without = RobustScale::new(&logs, rule.outlier, rule.least_ratio.ln())?;
    let maker = |layer: usize| {
        let (z, cost) = (scale.z(ratios[layer]), all[layer] - kept[layer]);
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
        is_sink.then(|| OutlierLayer::new(layer, removal::KL[1], rounded(z), reason()).as_sink())
    };
    Some((0..setting.n_layers).filter_map(maker).collect())
}
