//! How the windows of a corpus were drawn: [`WindowSampling`].

/// How windows were drawn from documents, for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowSampling {
    /// In words, such as `first` or `random over documents`.
    pub windows: String,
    /// The seed.
    pub seed: u64,
}

impl WindowSampling {
    /// Windows drawn in this way.
    pub fn new(windows: impl Into<String>, seed: u64) -> Self {
        Self { windows: windows.into(), seed }
    }
}
