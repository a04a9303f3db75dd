//! Layers that are needed only for the attention sink: [`sink_makers`].

use stratigraph_profile::{Axis, OutlierLayer, Profile};

use crate::Rule;
use crate::reading::Setting;
use crate::removal;
use crate::robust::{RobustScale, median, rounded};
use crate::words::number;

/// The layers that make the attention sink. Such a layer
///
/// - writes the massive activation at the first position: through it the norm there (`first_position_norm`) rises by at least
///   half of the largest norm that it has anywhere. A norm rises by no more than what is written, so without what the layer
///   writes most of the sink is not there;
/// - costs at least the floor more when it is deleted at all positions than when the first position still passes through it;
///   without a floor, at least what the median layer costs with the first position kept;
/// - has a ratio of the two costs that is an outlier among all layers ([`Rule::outlier`], on a log scale);
/// - is an ordinary layer with the first position kept: its cost lies less than [`Rule::stands_out`] spreads above the median.
///
/// A layer that fails the first test may be needed for the sink, but does not write most of it. A layer that fails the last test is
/// needed for something else too. Empty unless the profile has `delete_kl`, `delete_after_first_kl` and `first_position_norm`.
pub(crate) fn sink_makers(profile: &Profile, setting: &Setting, rule: &Rule) -> Vec<OutlierLayer> {
    sinks(profile, setting, rule).unwrap_or_default()
}

/// The part of the largest norm at the first position that a layer's rise must be: most of it.
const MOST: f64 = 0.5;

/// How much of the largest norm at the first position is added by each layer; none where the norm was not measured.
pub(crate) fn shares_of_norm(profile: &Profile, n_layers: usize) -> Option<Vec<f64>> {
    let axis = Axis::residual_positions(n_layers);
    let norms =
        &profile.curves.get("first_position_norm").filter(|it| it.axis == axis && it.len() == n_layers + 1)?.mean;
    let largest = norms.iter().copied().filter(|norm| norm.is_finite()).fold(0.0, f64::max);
    (largest > 0.0).then(|| norms.windows(2).map(|pair| (pair[1] - pair[0]) / largest).collect())
}

fn sinks(profile: &Profile, setting: &Setting, rule: &Rule) -> Option<Vec<OutlierLayer>> {
    let axis = Axis::layers(setting.n_layers);
    let of = |name: &str| profile.curves.get(name).filter(|it| it.axis == axis && it.len() == setting.n_layers);
    let [kept, all] = removal::KL;
    let (all, kept) = (&of(all)?.mean, &of(kept)?.mean);
    let shares = shares_of_norm(profile, setting.n_layers)?;
    let ratios: Vec<f64> = all.iter().zip(kept).map(|(all, kept)| (all.max(1e-6) / kept.max(1e-6)).ln()).collect();
    let scale = RobustScale::new(&ratios, rule.outlier, rule.least_ratio.ln())?;
    let ordinary = median(kept)?;
    let floor = setting.floor.unwrap_or(ordinary);
    let logs: Vec<f64> = kept.iter().map(|kept| kept.max(1e-6).ln()).collect();
    let without = RobustScale::new(&logs, rule.outlier, rule.least_ratio.ln())?;
    let maker = |layer: usize| {
        let (z, cost) = (scale.z(ratios[layer]), all[layer] - kept[layer]);
        let is_ordinary = without.z(logs[layer]) < rule.stands_out;
        let is_sink = shares[layer] >= MOST && z > rule.outlier && cost >= floor && is_ordinary;
        let reason = || {
            format!(
                "it adds {:.0} % of the largest norm at the first position; deleting it costs {} nats, and {} where the first \
                 position still passes through it ({} in the median layer)",
                100.0 * shares[layer],
                number(all[layer]),
                number(kept[layer]),
                number(ordinary)
            )
        };
        is_sink.then(|| OutlierLayer::new(layer, removal::KL[1], rounded(z), reason()).as_sink())
    };
    Some((0..setting.n_layers).filter_map(maker).collect())
}
