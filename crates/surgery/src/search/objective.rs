//! What a search optimises: [`Objective`], on windows that it splits ([`SearchWindows`]).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use stratigraph_core::SplitMix64;
use stratigraph_profile::statistics::ErrorUnit;

use crate::{Intervention, Result, SurgeryError};

/// Which numbers are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Low ones, as of a loss.
    Lowest,
    /// High ones, as of an accuracy.
    Highest,
}

impl Goal {
    /// A number of which lower is better.
    pub(super) fn cost(self, value: f64) -> f64 {
        match self {
            Goal::Lowest => value,
            Goal::Highest => -value,
        }
    }
}

/// A number of each intervention on each window, or on each item of a benchmark.
pub trait Objective {
    /// The error of the objective, into which errors of the search itself are converted.
    type Error: From<SurgeryError>;

    /// Which numbers are better; low ones by default.
    fn goal(&self) -> Goal {
        Goal::Lowest
    }

    /// What it has numbers of: windows of a corpus by default. Items of a benchmark ([`ErrorUnit::Items`]) are independent of each
    /// other, so that half of them, drawn at random, are held out.
    fn unit(&self) -> ErrorUnit {
        ErrorUnit::Windows
    }

    /// How many windows there are.
    fn n_windows(&self) -> usize;

    /// The document of each window, where they are known: the windows of a document are correlated, so a document is held out
    /// as a whole.
    fn documents(&self) -> Option<&[usize]> {
        None
    }

    /// Refuses a plan that cannot be scored, before anything is. By default none is.
    ///
    /// # Errors
    /// When it cannot be scored.
    fn check(&self, _: &Intervention) -> Result<(), Self::Error> {
        Ok(())
    }

    /// The numbers of each intervention on these windows, `[intervention][window]`, in the given orders. Each must
    /// depend only on the intervention and the window.
    ///
    /// # Errors
    /// An error ends the search.
    fn score(&mut self, interventions: &[Intervention], windows: &[usize]) -> Result<Vec<Vec<f64>>, Self::Error>;
}

/// The windows of a search: those that it uses, in a random order, and those that are held out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchWindows {
    /// On these it compares candidates, beginning with the first.
    pub search: Vec<usize>,
    /// On these the best plan is measured again, in the order of the corpus.
    pub held_out: Vec<usize>,
}

impl SearchWindows {
    /// The windows or items of an objective, split by [`split`](SearchWindows::split).
    ///
    /// # Errors
    /// As [`split`](SearchWindows::split).
    pub fn of<O: Objective + ?Sized>(objective: &O, seed: u64) -> Result<Self> {
        let n = objective.n_windows();
        match objective.unit() {
            ErrorUnit::Items => Self::split_of(ErrorUnit::Items, n, Some(&(0..n).collect::<Vec<_>>()), seed),
            _ => Self::split(n, objective.documents(), seed),
        }
    }

    /// Holds out half of the windows: whole documents drawn at random where there are several, and the end of a single text.
    ///
    /// # Errors
    /// When fewer than two windows would be held out, or none left to search on.
    pub fn split(n_windows: usize, documents: Option<&[usize]>, seed: u64) -> Result<Self> {
        Self::split_of(ErrorUnit::Windows, n_windows, documents, seed)
    }

    fn split_of(unit: ErrorUnit, n_windows: usize, documents: Option<&[usize]>, seed: u64) -> Result<Self> {
        let mut random = SplitMix64::new(seed);
        let held_out = match documents {
            Some(documents) if documents.iter().any(|it| *it != documents[0]) => {
                held_out_documents(documents, &mut random)
            }
            _ => (n_windows.div_ceil(2)..n_windows).collect(),
        };
        let is_held_out: BTreeSet<_> = held_out.iter().copied().collect();
        let mut search: Vec<_> = (0..n_windows).filter(|window| !is_held_out.contains(window)).collect();
        random.shuffle(&mut search);
        if held_out.len() < 2 || search.is_empty() {
            let (unit, search, held_out) = (unit.title(), search.len(), held_out.len());
            let reason = format!(
                "{n_windows} {unit} leave {search} to search on and {held_out} to validate on, and it takes 1 and 2: give more {unit}"
            );
            return Err(SurgeryError::BadSearch { reason });
        }
        Ok(Self { search, held_out })
    }
}

/// The windows of documents drawn at random until they are half of all; at least one document is left.
fn held_out_documents(documents: &[usize], random: &mut SplitMix64) -> Vec<usize> {
    let mut windows_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    documents.iter().enumerate().for_each(|(window, document)| windows_of.entry(*document).or_default().push(window));
    let mut drawn: Vec<Vec<usize>> = windows_of.into_values().collect();
    random.shuffle(&mut drawn);
    let mut held_out: Vec<usize> = Vec::new();
    for windows in &drawn[1..] {
        if 2 * held_out.len() >= documents.len() {
            break;
        }
        held_out.extend(windows);
    }
    held_out.sort_unstable();
    held_out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_documents_are_held_out() {
        let documents: Vec<usize> = (0..40).map(|window| window / 4).collect();
        let split = SearchWindows::split(40, Some(&documents), 3).unwrap();
        assert_eq!((split.search.len(), split.held_out.len()), (20, 20));
        let of = |windows: &[usize]| windows.iter().map(|&window| documents[window]).collect::<BTreeSet<_>>();
        assert!(of(&split.search).is_disjoint(&of(&split.held_out)));
        assert!(split.held_out.is_sorted() && !split.search.is_sorted());
        assert_ne!(split, SearchWindows::split(40, Some(&documents), 4).unwrap());
    }

    #[test]
    fn many_items_are_split_at_once() {
        let n = 400_000; // where each document is looked for among all windows, this takes hours
        let split = SearchWindows::of(&Items(n), 1).unwrap();
        assert_eq!((split.search.len(), split.held_out.len()), (n / 2, n / 2));
    }

    /// An objective over some items.
    struct Items(usize);

    impl Objective for Items {
        type Error = SurgeryError;

        fn unit(&self) -> ErrorUnit {
            ErrorUnit::Items
        }

        fn n_windows(&self) -> usize {
            self.0
        }

        fn score(&mut self, plans: &[Intervention], _: &[usize]) -> Result<Vec<Vec<f64>>> {
            Ok(vec![Vec::new(); plans.len()])
        }
    }

    #[test]
    fn items_are_held_out_at_random() {
        let split = SearchWindows::of(&Items(40), 3).unwrap();
        assert_eq!((split.search.len(), split.held_out.len()), (20, 20));
        assert_ne!(split.held_out, (20..40).collect::<Vec<_>>());
        let refused = SearchWindows::of(&Items(1), 0).unwrap_err().to_string();
        assert!(refused.contains("1 items leave 1 to search on and 0 to validate on"), "{refused}");
    }

    #[test]
    fn the_end_of_one_text_is_held_out() {
        for documents in [None, Some(&[7; 5][..])] {
            let split = SearchWindows::split(5, documents, 0).unwrap();
            assert_eq!((split.search.len(), &split.held_out[..]), (3, &[3, 4][..]));
        }
        let refused = SearchWindows::split(3, None, 0).unwrap_err().to_string();
        assert!(refused.contains("2 to search on and 1 to validate on"), "{refused}");
    }
}
