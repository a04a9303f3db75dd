//! The numbers of a search's candidates, computed by several processes together: [`SharedObjective`].

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use stratigraph_profile::statistics::ErrorUnit;
use stratigraph_surgery::Intervention;
use stratigraph_surgery::search::{Goal, Objective};

use super::SearchSetup;
use crate::job::files::write_new;
use crate::job::{Shard, hash_bytes};
use crate::{Result, StudyError};

/// The directory of the numbers, in that of a search.
pub(super) const SCORES: &str = "scores";

/// The number of parts into which a call is divided if it has that many windows.
const MOST_PARTS: usize = 64;
/// The number of parts into which a call of few windows is divided by its candidates.
const FEW_WINDOWS: usize = 16;
/// Candidates that are kept together, since they share their first layers.
const LEAST_CANDIDATES: usize = 8;
/// How often a process looks for the parts of others.
const POLL: Duration = Duration::from_millis(20);
/// A process takes over the parts of others when none has arrived for this long, and for a few times as long as one of its own
/// takes.
const PATIENCE: Duration = Duration::from_secs(3);
const TIMES: u32 = 4;

/// An objective of which each process computes some parts; it reads the others from a directory that all processes see.
///
/// A part is the same work whichever process does it, and all processes read its numbers from one file, so all do the same
/// search. A part that is missing for long is computed by a process that waits for it, so a killed process delays the others only
/// for a while.
pub(super) struct SharedObjective<'a, O: ?Sized> {
    objective: &'a mut O,
    shard: Shard,
    directory: PathBuf,
    /// What the numbers are of, beside plans and windows.
    of: String,
    /// Whether it has taken over parts, and none of another process has come since.
    is_alone: bool,
}

/// Candidates on some windows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    candidates: Range<usize>,
    windows: Range<usize>,
}

impl Part {
    /// The parts of a call, whatever the number of shards: windows alone where there are many, candidates too otherwise.
    fn all(n_candidates: usize, n_windows: usize) -> Vec<Part> {
        let at_once = n_windows.div_ceil(MOST_PARTS).max(1);
        let in_windows = n_windows.div_ceil(at_once);
        let in_candidates = (FEW_WINDOWS / in_windows.max(1)).clamp(1, n_candidates.div_ceil(LEAST_CANDIDATES).max(1));
        let cut = |n: usize, parts: usize| (0..parts).map(move |part| n * part / parts..n * (part + 1) / parts);
        let of_windows = |windows: Range<usize>| {
            cut(n_candidates, in_candidates).map(move |candidates| Part { candidates, windows: windows.clone() })
        };
        cut(n_windows, in_windows).flat_map(of_windows).collect()
    }
}

impl<'a, O: Objective<Error = StudyError> + ?Sized> SharedObjective<'a, O> {
    /// A shard of the numbers of a search, in the directory of the search.
    pub(super) fn new(objective: &'a mut O, shard: Shard, directory: &Path, setup: &SearchSetup) -> Result<Self> {
        let directory = directory.join(SCORES);
        fs::create_dir_all(&directory).map_err(|reason| StudyError::io(&directory, reason))?;
        let of = serde_json::to_string(setup).expect("it is plain data");
        Ok(Self { objective, shard, directory, of, is_alone: false })
    }

    /// The file of a part.
    fn file(&self, interventions: &[Intervention], windows: &[usize]) -> PathBuf {
        let texts: Vec<_> = interventions.iter().map(Intervention::to_string).collect();
        let sum = hash_bytes(format!("{}\n{texts:?}\n{windows:?}", self.of).as_bytes());
        self.directory.join(format!("{}.json", &sum[..32]))
    }

    /// The numbers of a part, if some process has computed them.
    fn read(path: &Path, part: &Part) -> Result<Option<Vec<Vec<f64>>>> {
        if !path.try_exists().map_err(|reason| StudyError::io(path, reason))? {
            return Ok(None);
        }
        let text = fs::read_to_string(path).map_err(|reason| StudyError::io(path, reason))?;
        let damaged = |reason: String| StudyError::JobDamaged { path: path.to_owned(), reason };
        let scores: Vec<Vec<f64>> = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if scores.len() != part.candidates.len() || scores.iter().any(|scores| scores.len() != part.windows.len()) {
            return Err(damaged("it does not have a number of each candidate on each window".to_owned()));
        }
        Ok(Some(scores))
    }

    /// Computes a part and writes it, unless another process has; returns how long that took.
    fn compute(&mut self, path: &Path, interventions: &[Intervention], windows: &[usize]) -> Result<Duration> {
        let start = Instant::now();
        if !path.exists() {
            let scores = self.objective.score(interventions, windows)?;
            write_new(path, serde_json::to_string(&scores).expect("it is plain data").as_bytes())?;
        }
        Ok(start.elapsed())
    }
}

impl<O: Objective<Error = StudyError> + ?Sized> Objective for SharedObjective<'_, O> {
    type Error = StudyError;

    fn goal(&self) -> Goal {
        self.objective.goal()
    }

    fn unit(&self) -> ErrorUnit {
        self.objective.unit()
    }

    fn n_windows(&self) -> usize {
        self.objective.n_windows()
    }

    fn documents(&self) -> Option<&[usize]> {
        self.objective.documents()
    }

    fn check(&self, plan: &Intervention) -> Result<()> {
        self.objective.check(plan)
    }

    fn score(&mut self, interventions: &[Intervention], windows: &[usize]) -> Result<Vec<Vec<f64>>> {
        let parts = Part::all(interventions.len(), windows.len());
        let of = |part: &Part| (&interventions[part.candidates.clone()], &windows[part.windows.clone()]);
        let files: Vec<_> = parts.iter().map(|part| self.file(of(part).0, of(part).1)).collect();
        let (mut longest, mut is_own) = (Duration::ZERO, vec![false; parts.len()]);
        for index in self.shard.part_of(parts.len()) {
            let (interventions, windows) = of(&parts[index]);
            longest = longest.max(self.compute(&files[index], interventions, windows)?);
            is_own[index] = true;
        }
        let mut scores = vec![vec![f64::NAN; windows.len()]; interventions.len()];
        let mut missing: Vec<usize> = (0..parts.len()).collect();
        let mut since = Instant::now();
        loop {
            let mut left = Vec::new();
            for index in missing {
                let Part { candidates, windows } = &parts[index];
                let Some(found) = Self::read(&files[index], &parts[index])? else {
                    left.push(index);
                    continue;
                };
                let rows = scores[candidates.clone()].iter_mut().zip(&found);
                rows.for_each(|(all, found)| all[windows.clone()].copy_from_slice(found));
                if !is_own[index] {
                    (self.is_alone, since) = (false, Instant::now());
                }
            }
            missing = left;
            let Some(&last) = missing.last() else { return Ok(scores) };
            if self.is_alone || since.elapsed() > PATIENCE.max(longest * TIMES) {
                let (interventions, windows) = of(&parts[last]);
                longest = longest.max(self.compute(&files[last], interventions, windows)?);
                (self.is_alone, is_own[last]) = (true, true);
            } else {
                sleep(POLL);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_each_number_once() {
        for (n_candidates, n_windows) in [(1, 1), (30, 2), (30, 16), (7, 2), (3, 1000), (400, 1), (40, 65)] {
            let parts = Part::all(n_candidates, n_windows);
            let mut seen = vec![0; n_candidates * n_windows];
            for Part { candidates, windows } in &parts {
                for candidate in candidates.clone() {
                    windows.clone().for_each(|window| seen[candidate * n_windows + window] += 1);
                }
            }
            assert!(seen.iter().all(|n| *n == 1), "{n_candidates} on {n_windows}: {parts:?}");
            assert!(parts.len() <= MOST_PARTS, "{parts:?}");
        }
        assert_eq!(Part::all(30, 2).len(), 8, "few windows are cut by candidates too");
        assert!(Part::all(30, 40).iter().all(|part| part.candidates == (0..30)), "many are not");
    }
}
