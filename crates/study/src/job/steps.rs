//! How the work of a job is divided into steps: [`StepWork`].

use std::ops::Range;

use super::{Job, JobPart};

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StepWork {
    /// Scores a group of interventions on some windows.
    Scores {
        windows: Range<usize>,
        /// Which group of interventions.
        group: usize,
    },
    /// Measures a part of a measurement on some windows.
    Windows {
        windows: Range<usize>,
        /// Which of the plan's parts.
        part: usize,
    },
    /// Measures a part of a measurement that does not depend on the corpus.
    Once {
        /// Which of the plan's parts.
        part: usize,
    },
}

impl StepWork {
    /// The windows that it is about; none where it does not depend on the corpus.
    pub(super) fn windows(&self) -> Range<usize> {
        match self {
            StepWork::Scores { windows, .. } | StepWork::Windows { windows, .. } => windows.clone(),
            StepWork::Once { .. } => 0..0,
        }
    }
}

impl Job {
    /// How many steps there are: for some windows after others, those of all groups of interventions and of what is measured
    /// window by window; then those of what is done once.
    pub fn n_steps(&self) -> usize {
        self.n_chunks() * self.n_in_chunk() + self.parts_of(false).count()
    }

    /// What a step does. All steps of the same windows are neighbours.
    pub(super) fn step(&self, step: usize) -> StepWork {
        let n_in_chunk = self.n_in_chunk();
        if step >= self.n_chunks() * n_in_chunk {
            let nth = step - self.n_chunks() * n_in_chunk;
            return StepWork::Once { part: self.parts_of(false).nth(nth).expect("a step has a part") };
        }
        let (n, size) = (self.windows().n_sequences(), self.plan().step.windows);
        let start = step / n_in_chunk * size;
        let windows = start..start.saturating_add(size).min(n);
        match (step % n_in_chunk).checked_sub(self.n_groups()) {
            None => StepWork::Scores { windows, group: step % n_in_chunk },
            Some(nth) => {
                let part = self.parts_of(true).nth(nth).expect("a step has a part");
                StepWork::Windows { windows, part }
            }
        }
    }

    /// The part of a measurement with an index.
    pub(super) fn part(&self, part: usize) -> &JobPart {
        &self.plan().parts[part]
    }

    /// The indices of the parts that are measured window by window, or once.
    pub(super) fn parts_of(&self, by_window: bool) -> impl Iterator<Item = usize> {
        let parts = self.plan().parts.iter().enumerate();
        parts.filter(move |(_, part)| part.is_by_window() == by_window).map(|(index, _)| index)
    }

    /// How often some windows follow others.
    fn n_chunks(&self) -> usize {
        self.windows().n_sequences().div_ceil(self.plan().step.windows)
    }

    /// Steps of the same windows.
    fn n_in_chunk(&self) -> usize {
        self.n_groups() + self.parts_of(true).count()
    }
}
