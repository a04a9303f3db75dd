//! The numbers of a cell of a lens's grid: [`LensMeasure`].

use stratigraph_profile::prompt::LensCell;

/// A number of what a lens reads, which colours a cell of its grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LensMeasure {
    /// The probability of the most likely token.
    #[default]
    Probability,
    /// The entropy, in bits.
    Entropy,
    /// The KL divergence from the output, in nats.
    Kl,
    /// The rank of the output's most likely token.
    OutputRank,
    /// The probability of the output's most likely token.
    OutputProbability,
}

impl LensMeasure {
    /// All of them.
    pub const ALL: [LensMeasure; 5] = [
        LensMeasure::Probability,
        LensMeasure::Entropy,
        LensMeasure::Kl,
        LensMeasure::OutputRank,
        LensMeasure::OutputProbability,
    ];

    /// What it is, in words.
    pub fn title(self) -> &'static str {
        match self {
            LensMeasure::Probability => "probability of the most likely token",
            LensMeasure::Entropy => "entropy (bits)",
            LensMeasure::Kl => "KL divergence from the output (nats)",
            LensMeasure::OutputRank => "rank of the output's token",
            LensMeasure::OutputProbability => "probability of the output's token",
        }
    }

    /// Its value in a cell.
    pub(crate) fn of(self, cell: &LensCell) -> f64 {
        match self {
            LensMeasure::Probability => cell.most_likely().map_or(f64::NAN, |token| token.probability),
            LensMeasure::Entropy => cell.entropy_bits,
            LensMeasure::Kl => cell.kl,
            LensMeasure::OutputRank => cell.output_rank as f64,
            LensMeasure::OutputProbability => cell.output_probability,
        }
    }

    /// Where its steps begin, from the step of the least certain or furthest cells to that of the most certain or nearest ones.
    pub(crate) fn limits(self) -> [f64; STEPS - 1] {
        match self {
            LensMeasure::Probability | LensMeasure::OutputProbability => [0.02, 0.1, 0.25, 0.5, 0.8],
            LensMeasure::Entropy => [9.0, 6.0, 4.0, 2.0, 1.0],
            LensMeasure::Kl => [8.0, 4.0, 2.0, 1.0, 0.25],
            LensMeasure::OutputRank => [1000.0, 100.0, 10.0, 3.0, 1.0],
        }
    }

    /// The step of a value: 0 for the least certain or furthest, `STEPS - 1` for the most certain or nearest.
    pub(crate) fn step(self, value: f64) -> usize {
        let rises = limits_rise(self);
        let reached = |limit: &&f64| if rises { value >= **limit } else { value <= **limit };
        self.limits().iter().filter(reached).count()
    }

    /// What each step holds, in words.
    pub(crate) fn steps(self) -> [String; STEPS] {
        let limits = self.limits().map(|limit| match self {
            LensMeasure::Probability | LensMeasure::OutputProbability => format!("{} %", 100.0 * limit),
            _ => limit.to_string(),
        });
        let rises = limits_rise(self);
        std::array::from_fn(|step| match (step.checked_sub(1).map(|at| &limits[at]), limits.get(step)) {
            (None, Some(next)) if rises => format!("< {next}"),
            (None, Some(next)) => format!("> {next}"),
            (Some(limit), _) if rises => format!("≥ {limit}"),
            (Some(limit), _) if self == LensMeasure::OutputRank && step == STEPS - 1 => limit.clone(),
            (Some(limit), _) => format!("≤ {limit}"),
            (None, None) => String::new(),
        })
    }

    /// A value in at most five characters.
    pub(crate) fn short(self, value: f64) -> String {
        match self {
            _ if !value.is_finite() => crate::text::NOTHING.to_owned(),
            LensMeasure::Probability | LensMeasure::OutputProbability => format!("{:.0}%", 100.0 * value),
            LensMeasure::OutputRank if value < 10_000.0 => format!("{value:.0}"),
            LensMeasure::OutputRank => format!("{:.0}k", value / 1000.0),
            _ if value < 9.995 => format!("{value:.2}"),
            _ => format!("{value:.1}"),
        }
    }
}

/// How many steps there are.
pub(crate) const STEPS: usize = 6;

fn limits_rise(measure: LensMeasure) -> bool {
    let [first, .., last] = measure.limits();
    first < last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_step_and_its_words() {
        let steps = |measure: LensMeasure, values: [f64; 3]| values.map(|value| measure.step(value));
        assert_eq!(steps(LensMeasure::Probability, [0.0, 0.3, 1.0]), [0, 3, 5]);
        assert_eq!(steps(LensMeasure::Entropy, [12.0, 3.0, 0.0]), [0, 3, 5]);
        assert_eq!(steps(LensMeasure::Kl, [20.0, 1.5, 0.0]), [0, 3, 5]);
        assert_eq!(steps(LensMeasure::OutputRank, [5000.0, 2.0, 1.0]), [0, 4, 5]);
        assert_eq!(LensMeasure::Probability.steps()[..2], ["< 2 %", "≥ 2 %"]);
        assert_eq!(LensMeasure::OutputRank.steps()[4..], ["≤ 3", "1"]);
        assert_eq!(LensMeasure::Kl.steps()[0], "> 8");
    }

    #[test]
    fn numbers_are_short() {
        let short = |measure: LensMeasure, value| measure.short(value);
        assert_eq!(short(LensMeasure::Probability, 0.314), "31%");
        assert_eq!(short(LensMeasure::Kl, 0.25), "0.25");
        assert_eq!(short(LensMeasure::Entropy, 12.345), "12.3");
        assert_eq!(short(LensMeasure::OutputRank, 49_152.0), "49k");
        assert!(LensMeasure::ALL.iter().all(|it| it.short(f64::NAN) == "–"));
    }
}
