//! Which metrics figures and tables show by groups of positions: [`GroupMetrics`].

use stratigraph_profile::Profile;

/// The metrics that are shown by groups of positions: the KL divergence and the loss where either is measured, otherwise all. The
/// others are in `groups.csv`.
pub(crate) struct GroupMetrics {
    any: bool,
}

/// Those that are shown where they are measured.
const SHOWN: [&str; 2] = ["kl", "nll"];

impl GroupMetrics {
    /// Of a profile.
    pub(crate) fn of(profile: &Profile) -> Self {
        let is_measured = |metric: &&str| profile.interventions.iter().any(|run| run.metrics.contains_key(*metric));
        Self { any: SHOWN.iter().any(is_measured) }
    }

    /// Whether a metric is shown.
    pub(crate) fn shows(&self, metric: &str) -> bool {
        !self.any || SHOWN.contains(&metric)
    }
}
