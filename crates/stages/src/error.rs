//! What can go wrong in choosing signals: [`StagesError`].

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, StagesError>;

/// An error of `stratigraph-stages`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StagesError {
    /// Two signals that read one curve.
    #[error("two signals read the curve {curve:?}; leave one of them out")]
    CurveReadTwice {
        /// The curve.
        curve: String,
    },
    /// Two signals of one kind of evidence that is defined differently in each.
    #[error("the kind of evidence {kind:?} is defined in two ways; give one of them another name")]
    KindDefinedTwice {
        /// The kind.
        kind: String,
    },
    /// A kind of evidence with a weight that cannot be used.
    #[error("the kind of evidence {kind:?} has the weight {weight}, which should be a number from 0 on")]
    Weight {
        /// The kind.
        kind: String,
        /// Its weight.
        weight: f64,
    },
    /// Settings of a rule that cannot be used.
    #[error("the rule cannot be used: {reason}")]
    BadRule {
        /// Which of them, and why not.
        reason: String,
    },
    /// Settings that are not those of a rule.
    #[error("the settings of the rule cannot be read: {0}")]
    Rule(#[from] serde_json::Error),
}
