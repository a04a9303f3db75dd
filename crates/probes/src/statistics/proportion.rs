//! A share of a number of trials: [`Proportion`], with its confidence [`Interval`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// A count out of a total, such as right answers out of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Proportion {
    /// How many.
    pub some: usize,
    /// Of how many.
    pub of: usize,
}

/// A confidence interval, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Proportion {
    /// The share, from 0 to 1; NaN if the total is 0.
    pub fn share(self) -> f64 {
        self.some as f64 / self.of as f64
    }

    /// Its standard error, `sqrt(p (1 - p) / (n - 1))`; none for fewer than two.
    pub fn sem(self) -> Option<f64> {
        (self.of > 1).then(|| (self.share() * (1.0 - self.share()) / (self.of - 1) as f64).sqrt())
    }

    /// The 95 % confidence interval (Wilson, *Probable Inference, the Law of Succession, and Statistical Inference*, 1927).
    ///
    /// ```
    /// let interval = stratigraph_probes::statistics::Proportion { some: 0, of: 10 }.interval();
    /// assert!(interval.low == 0.0 && (interval.high - 0.2775).abs() < 1e-4);
    /// ```
    pub fn interval(self) -> Interval {
        const Z: f64 = 1.959_963_984_540_054;
        let (p, n) = (self.share(), self.of as f64);
        let scale = 1.0 + Z * Z / n;
        let centre = (p + Z * Z / (2.0 * n)) / scale;
        let half = Z / scale * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
    }
}

impl FromIterator<bool> for Proportion {
    fn from_iter<I: IntoIterator<Item = bool>>(items: I) -> Self {
        items
            .into_iter()
            .fold(Self::default(), |Self { some, of }, yes| Self { some: some + usize::from(yes), of: of + 1 })
    }
}

impl fmt::Display for Proportion {
    /// The share and its interval, with three decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Interval { low, high } = self.interval();
        write!(f, "{:.3} ({low:.3} to {high:.3})", self.share())
    }
}
