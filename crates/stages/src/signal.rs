//! How a curve is read: [`Signal`], its [`Reading`] and its [`ComparisonScale`].

use crate::{EvidenceKind, Result, Rule, StagesError};

/// The scale on which the values of a curve are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum ComparisonScale {
    /// The logarithm: a ratio counts, not a difference.
    Log,
    /// The logarithm of one minus the value, for agreements and similarities.
    LogComplement,
    /// The square root of a count, whose sampling error is one half whatever the count (Poisson).
    SquareRoot,
    /// The value itself.
    #[non_exhaustive]
    Linear {
        /// The smallest spread that layers are given: values closer than this are of one kind.
        least_spread: f64,
    },
}

/// Agreements and similarities above 0.99 do not differ in kind.
const LEAST_COMPLEMENT: f64 = 0.01;

impl ComparisonScale {
    /// The value itself; values closer than `least_spread` are of one kind.
    pub fn linear(least_spread: f64) -> Self {
        ComparisonScale::Linear { least_spread }
    }

    /// The value on this scale; NaN for one that is not finite, which is ignored.
    pub(crate) fn forward(self, value: f64) -> f64 {
        match self {
            _ if !value.is_finite() => f64::NAN,
            // f32 logits cannot distinguish a millionth from zero.
            ComparisonScale::Log => value.max(1e-6).ln(),
            ComparisonScale::LogComplement => (1.0 - value).max(LEAST_COMPLEMENT).ln(),
            ComparisonScale::SquareRoot => value.max(0.0).sqrt(),
            ComparisonScale::Linear { .. } => value,
        }
    }

    /// The smallest spread that layers are given on it.
    pub(crate) fn least_spread(self, rule: &Rule) -> f64 {
        match self {
            ComparisonScale::Log | ComparisonScale::LogComplement => rule.least_ratio.ln(),
            ComparisonScale::SquareRoot => 0.5,
            ComparisonScale::Linear { least_spread } => least_spread,
        }
    }
}

/// How a curve becomes a number in [-1, 1] for each layer: 1 where the layer clearly shows the thing, -1 where it clearly does
/// not.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Reading {
    /// It lies above the value of most layers: 0 at a robust score of [`Rule::stands_out`], 1 at [`Rule::outlier`], -1 as far
    /// below.
    High(ComparisonScale),
    /// It lies below the value of most layers.
    Low(ComparisonScale),
    /// The fraction of the way to the curve's last value that the layer covers, compared with an even pace: `2 f - 1`. The
    /// curve has to run over residual positions.
    Approach,
    /// Its value compared with the largest of any layer, `2 x / max - 1`, on the square-root scale of counts, and no more than it
    /// lies above most layers.
    NearPeak,
}

/// A curve that the rule reads, and what it is evidence of.
///
/// ```
/// use stratigraph_profile::Stage;
/// use stratigraph_stages::{ComparisonScale, EvidenceKind, Expected, Reading, Rule, Segmenter, Signal};
/// use Expected::{Often, Rarely};
///
/// // Induction scores that are high in some layers of feature engineering.
/// let kind = EvidenceKind::new("induction", [Rarely, Often, Rarely, Rarely]).characteristic_of([Stage::FeatureEngineering]);
/// let mut signals = Signal::standard(&Rule::default());
/// signals.push(Signal::new("induction_score", kind, Reading::High(ComparisonScale::Log)));
/// let segmenter = Segmenter::new(Rule::default()).with_signals(signals)?;
/// assert!(segmenter.signals().iter().any(|signal| signal.curve() == "induction_score"));
/// # Ok::<(), stratigraph_stages::StagesError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    pub(crate) curve: String,
    pub(crate) kind: EvidenceKind,
    pub(crate) reading: Reading,
    /// None where the kind of evidence is a group of its own.
    group: Option<&'static str>,
    pub(crate) in_place_of: Vec<String>,
}

impl Signal {
    /// A reading of the curve of a name.
    pub fn new(curve: impl Into<String>, kind: EvidenceKind, reading: Reading) -> Self {
        Self { curve: curve.into(), kind, reading, group: None, in_place_of: Vec::new() }
    }

    /// Sets the group of signals that share with it what they are measured by, such as the unembedding. A boundary that rests
    /// on one group is not drawn. By default each kind of evidence is a group.
    pub fn with_group(mut self, group: &'static str) -> Self {
        self.group = Some(group);
        self
    }

    /// Reads this curve in place of others, where a profile has it: they are then not read.
    pub fn in_place_of(mut self, curves: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.in_place_of = curves.into_iter().map(Into::into).collect();
        self
    }

    /// The group of signals that share with it what they are measured by.
    pub fn group(&self) -> &str {
        self.group.unwrap_or(&self.kind.name)
    }

    /// The name of its curve.
    pub fn curve(&self) -> &str {
        &self.curve
    }

    /// The kind of evidence that it is.
    pub fn kind(&self) -> &EvidenceKind {
        &self.kind
    }

    /// How its curve is read.
    pub fn reading(&self) -> Reading {
        self.reading
    }

    /// The smallest spread that layers are given on its scale.
    pub(crate) fn least_spread(&self, rule: &Rule) -> f64 {
        match self.reading {
            Reading::High(scale) | Reading::Low(scale) => scale.least_spread(rule),
            Reading::NearPeak => ComparisonScale::SquareRoot.least_spread(rule),
            Reading::Approach => 0.0,
        }
    }
}

/// Signals with their kinds of evidence, each kind once, in the order of the signals.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SignalSet {
    pub(crate) signals: Vec<Signal>,
    pub(crate) kinds: Vec<EvidenceKind>,
}

impl SignalSet {
    /// # Errors
    /// When two signals read one curve, or a kind of evidence is defined in two ways.
    pub(crate) fn new(signals: Vec<Signal>) -> Result<Self> {
        let mut kinds: Vec<EvidenceKind> = Vec::new();
        for (index, signal) in signals.iter().enumerate() {
            let kind = &signal.kind;
            if signals[..index].iter().any(|other| other.curve == signal.curve) {
                return Err(StagesError::CurveReadTwice { curve: signal.curve.clone() });
            }
            match kinds.iter().find(|known| known.name == kind.name) {
                None => kinds.push(kind.clone()),
                Some(known) if known == kind => {}
                Some(_) => return Err(StagesError::KindDefinedTwice { kind: kind.name.clone() }),
            }
        }
        Ok(Self { signals, kinds })
    }

    /// The signal that is read in place of one, if the curve of the one that replaces it is there.
    pub(crate) fn replacement(&self, signal: &Signal, is_there: impl Fn(&str) -> bool) -> Option<&Signal> {
        let replaces = |other: &&Signal| other.in_place_of.contains(&signal.curve) && is_there(&other.curve);
        self.signals.iter().find(replaces)
    }

    /// The groups of its signals, each once.
    pub(crate) fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = Vec::new();
        for signal in &self.signals {
            if !groups.contains(&signal.group()) {
                groups.push(signal.group());
            }
        }
        groups
    }

    /// # Errors
    /// When a kind of evidence has a weight that is not a number from 0 on.
    pub(crate) fn check_weights(&self) -> Result<()> {
        match self.kinds.iter().find(|kind| !kind.weight.is_finite() || kind.weight < 0.0) {
            Some(kind) => Err(StagesError::Weight { kind: kind.name.clone(), weight: kind.weight }),
            None => Ok(()),
        }
    }

    /// Which of the kinds a signal belongs to.
    pub(crate) fn kind_of(&self, signal: &Signal) -> usize {
        self.kinds.iter().position(|kind| kind.name == signal.kind.name).expect("every signal's kind is in the set")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Expected;

    #[test]
    fn signals_that_contradict_each_other_are_refused() {
        let kind = || EvidenceKind::new("mine", [Expected::Often; 4]);
        let signal = |curve: &str, kind| Signal::new(curve, kind, Reading::NearPeak);
        assert_eq!(SignalSet::new(vec![signal("a", kind()), signal("b", kind())]).unwrap().kinds, [kind()]);
        let error = |signals| SignalSet::new(signals).unwrap_err().to_string();
        assert!(error(vec![signal("a", kind()), signal("a", kind())]).contains("read the curve \"a\""));
        assert!(error(vec![signal("a", kind()), signal("b", kind().with_weight(2.0))]).contains("two ways"));
        let set = SignalSet::new(vec![signal("a", kind().with_weight(-1.0))]).unwrap();
        assert!(set.check_weights().unwrap_err().to_string().contains("weight -1"));
        let standard = SignalSet::new(Signal::standard(&Rule::default())).unwrap();
        assert_eq!((standard.signals.len(), standard.kinds.len(), standard.groups().len()), (23, 11, 9));
    }
}
