//! Which positions of a corpus a sampler keeps: [`SamplePositions`], each a [`SampledPosition`].

use std::collections::BTreeSet;

use crate::{CoreError, Result, SplitMix64, TokenWindows};

/// Which positions of which windows of a corpus a sampler keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SamplePositions(Choice);

/// A position that a sampler keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampledPosition {
    /// The window of the corpus.
    pub window: usize,
    /// The position in the window.
    pub position: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice {
    /// One in `stride` of all positions but the first `skip_first` of each window.
    Spaced { skip_first: usize, seq_len: usize, stride: usize },
    /// The last position of one in `stride` windows.
    Last { stride: usize },
    /// By window.
    Listed(Vec<Vec<usize>>),
}

impl SamplePositions {
    /// At most `at_most` positions, evenly spaced over all windows, without the first `skip_first` of each window.
    ///
    /// # Errors
    /// [`CoreError::EmptySample`] when no position is left, or `at_most` is 0.
    pub fn spaced(windows: &TokenWindows, skip_first: usize, at_most: usize) -> Result<Self> {
        let seq_len = windows.seq_len();
        if skip_first >= seq_len {
            let reason = format!("windows of {seq_len} tokens have no position after the first {skip_first}");
            return Err(CoreError::EmptySample { reason });
        }
        let positions = windows.n_sequences() * (seq_len - skip_first);
        Ok(Self(Choice::Spaced { skip_first, seq_len, stride: stride(positions, at_most)? }))
    }

    /// At most `at_most` positions, drawn at random by `seed` from those of all windows but the first `skip_first` of each. A
    /// regular choice could fall on the same position of every window.
    ///
    /// ```
    /// # use stratigraph_core::{SamplePositions, TokenWindows};
    /// let windows = TokenWindows::new(&[0; 1000], 10)?;
    /// let sample = SamplePositions::random(&windows, 1, 50, 7)?;
    /// let positions: Vec<_> = sample.each(&windows).collect();
    /// assert_eq!(positions.len(), 50);
    /// assert!(positions.iter().all(|it| it.position >= 1) && positions.iter().any(|it| it.position == 5));
    /// # Ok::<(), stratigraph_core::CoreError>(())
    /// ```
    ///
    /// # Errors
    /// [`CoreError::EmptySample`] when no position is left, or `at_most` is 0.
    pub fn random(windows: &TokenWindows, skip_first: usize, at_most: usize, seed: u64) -> Result<Self> {
        let all = Self::spaced(windows, skip_first, at_most)?;
        let counted = windows.seq_len() - skip_first;
        let n = windows.n_sequences() * counted;
        if n <= at_most {
            return Ok(all);
        }
        // Floyd's way: each set of `at_most` positions is as likely as any other.
        let (mut random, mut chosen) = (SplitMix64::new(seed), BTreeSet::new());
        for last in n - at_most..n {
            let drawn = random.below(last + 1);
            if !chosen.insert(drawn) {
                chosen.insert(last);
            }
        }
        let mut positions = vec![Vec::new(); windows.n_sequences()];
        chosen.into_iter().for_each(|index| positions[index / counted].push(skip_first + index % counted));
        Ok(Self::of_windows(positions))
    }

    /// Each position of the windows that is kept, in the order of the rows.
    pub fn each(&self, windows: &TokenWindows) -> impl Iterator<Item = SampledPosition> {
        let seq_len = windows.seq_len();
        (0..windows.n_sequences()).flat_map(move |window| {
            self.of_window(window, seq_len).into_iter().map(move |position| SampledPosition { window, position })
        })
    }

    /// The last position of at most `at_most` windows, evenly spaced over all.
    ///
    /// # Errors
    /// [`CoreError::EmptySample`] when `at_most` is 0.
    pub fn last(windows: &TokenWindows, at_most: usize) -> Result<Self> {
        Ok(Self(Choice::Last { stride: stride(windows.n_sequences(), at_most)? }))
    }

    /// These positions of each window; a window without a list has none.
    pub fn of_windows(positions: Vec<Vec<usize>>) -> Self {
        Self(Choice::Listed(positions))
    }

    /// The positions of a window of `seq_len` tokens.
    pub(crate) fn of_window(&self, window: usize, seq_len: usize) -> Vec<usize> {
        match &self.0 {
            Choice::Spaced { skip_first, seq_len, stride } => {
                let counted = seq_len - skip_first;
                (0..counted)
                    .filter(|at| (window * counted + at).is_multiple_of(*stride))
                    .map(|at| at + skip_first)
                    .collect()
            }
            Choice::Last { stride } if window.is_multiple_of(*stride) => vec![seq_len - 1],
            Choice::Last { .. } => Vec::new(),
            Choice::Listed(positions) => positions.get(window).cloned().unwrap_or_default(),
        }
    }
}

fn stride(n: usize, at_most: usize) -> Result<usize> {
    match at_most {
        0 => Err(CoreError::EmptySample { reason: "at most 0 positions were asked for".to_owned() }),
        _ => Ok(n.div_ceil(at_most).max(1)),
    }
}
