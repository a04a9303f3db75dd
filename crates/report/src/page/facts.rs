//! What the head of a page says: how windows were [`drawn`], what [`errors`] are over, and the [`versions`] of programs.

use std::collections::BTreeMap;

use stratigraph_profile::statistics::ErrorUnit;
use stratigraph_profile::{CorpusRecord, Profile};

/// How windows were drawn, and which of their positions count; none where the record does not say.
pub(super) fn drawn(corpus: &CorpusRecord) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(sampling) = &corpus.sampling {
        let seed = if sampling.windows == "first" { String::new() } else { format!(" by seed {}", sampling.seed) };
        parts.push(format!("{}{seed}", sampling.windows));
    }
    if !corpus.documents.is_empty() {
        parts.push(format!("of {} documents", corpus.n_documents()));
    }
    if let Some(bos) = corpus.bos {
        parts.push(format!("each begins with BOS (token {bos})"));
    }
    if corpus.skip_first > 0 {
        parts.push(format!("the first {} positions do not count", corpus.skip_first));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The versions of programs, separated by commas.
pub(crate) fn versions(versions: &BTreeMap<String, String>) -> String {
    versions.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>().join(", ")
}

/// What standard errors over the corpus are over, where the profile says so.
pub(super) fn errors(profile: &Profile) -> Option<String> {
    let basis = profile.error_basis()?;
    let corrected = basis.over == ErrorUnit::Windows && basis.df + 1 < basis.n;
    let corrected = if corrected { ", corrected for autocorrelation" } else { "" };
    Some(format!("over {} {}{corrected}; {} degrees of freedom", basis.n, basis.over.title(), basis.df))
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::SamplingRecord;

    use super::*;

    #[test]
    fn the_record_is_told_in_words() {
        let plain = CorpusRecord::new("text", 32, 128);
        assert_eq!(drawn(&plain), None);
        let errors = |corpus: &CorpusRecord, is_known: bool| {
            let mut profile = crate::testing::profile(2, &[("delete_kl", &[1.0, 2.0])]);
            profile.corpus = corpus.clone();
            let basis = corpus.window_errors().basis().filter(|_| is_known);
            profile.curves.values_mut().for_each(|curve| curve.errors = basis);
            super::errors(&profile)
        };
        let over = errors(&plain, true).unwrap();
        assert_eq!(over, "over 32 windows, corrected for autocorrelation; 4 degrees of freedom");
        assert_eq!(errors(&CorpusRecord::new("text", 1, 128), true), None);
        assert_eq!(errors(&plain, false), None, "earlier versions do not say what errors are over");
        let documents = plain
            .with_documents((0..32).map(|window| window / 2).collect())
            .with_sampling(SamplingRecord::new("random over documents", 3))
            .with_bos(2)
            .with_skip_first(1);
        let expected = "random over documents by seed 3, of 16 documents, each begins with BOS (token 2), the first 1 \
                        positions do not count";
        assert_eq!(drawn(&documents).unwrap(), expected);
        assert_eq!(errors(&documents, true).unwrap(), "over 16 documents; 15 degrees of freedom");
    }
}
