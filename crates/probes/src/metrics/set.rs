//! Metrics that are measured together: [`Metrics`].

use std::fmt;
use std::sync::Arc;

use super::{Metric, MetricInput, from_logits, from_statistics, output_token};
use crate::{ProbeError, Result};

/// An ordered set of metrics, each with a name of its own; cheap to clone.
///
/// By default it has `kl`, `top1_agreement`, `entropy_bits`, `nll` and `accuracy`, which one pass measures.
///
/// ```
/// use stratigraph_probes::metrics::{JensenShannon, Kl, Metrics, TopKOverlap};
///
/// let metrics = Metrics::default().with(JensenShannon)?.with(TopKOverlap::new(5))?;
/// let names: Vec<_> = metrics.names().collect();
/// assert_eq!(names, ["kl", "top1_agreement", "entropy_bits", "nll", "accuracy", "js", "top5_overlap"]);
/// assert!(metrics.with(Kl).is_err(), "a name can be in a set once");
/// # Ok::<(), stratigraph_probes::ProbeError>(())
/// ```
#[derive(Clone)]
pub struct Metrics {
    entries: Arc<[Entry]>,
    names: Arc<[String]>,
}

/// A metric, with those of its answers that every row needs.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) metric: Arc<dyn Metric>,
    pub(crate) input: MetricInput,
    pub(crate) needs_next_token: bool,
}

impl Metrics {
    /// An empty set.
    pub fn new() -> Self {
        Self { entries: Arc::new([]), names: Arc::new([]) }
    }

    /// With one more metric, after the others.
    ///
    /// # Errors
    /// When the set has a metric of that name, or the name is empty.
    pub fn with(self, metric: impl Metric + 'static) -> Result<Self> {
        self.with_shared(Arc::new(metric))
    }

    /// With one more metric, after the others, that is shared with other sets.
    ///
    /// # Errors
    /// As [`with`](Metrics::with).
    pub fn with_shared(self, metric: Arc<dyn Metric>) -> Result<Self> {
        let name = metric.name().to_owned();
        if name.is_empty() {
            return Err(ProbeError::MetricWithoutName);
        }
        if self.get(&name).is_some() {
            return Err(ProbeError::DuplicateMetric { name });
        }
        let entry = Entry { input: metric.input(), needs_next_token: metric.needs_next_token(), metric };
        let entries = self.entries.iter().cloned().chain([entry]).collect();
        Ok(Self { entries, names: self.names.iter().cloned().chain([name]).collect() })
    }

    /// Built-in metrics by their names, in this order. `logit_difference` is not among them, since its tokens are not in
    /// its name.
    ///
    /// # Errors
    /// When a name is not a built-in metric's, or is given twice.
    pub fn from_names<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Result<Self> {
        names.into_iter().try_fold(Self::new(), |metrics, name| metrics.with_shared(built_in(name.as_ref())?))
    }

    /// The metrics, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &dyn Metric> {
        self.entries.iter().map(|entry| &*entry.metric)
    }

    /// Their names, in their order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The metric of a name.
    pub fn get(&self, name: &str) -> Option<&dyn Metric> {
        let index = self.names.iter().position(|own| own == name)?;
        Some(&*self.entries[index].metric)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Checks that every metric is defined on a vocabulary of `d_vocab` tokens.
    ///
    /// # Errors
    /// Those of [`Metric::check`].
    pub fn check(&self, d_vocab: usize) -> Result<()> {
        self.iter().try_for_each(|metric| metric.check(d_vocab))
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The metrics that need both rows of logits.
    pub(crate) fn of_logits(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.input == MetricInput::Logits)
    }

    pub(crate) fn shared_names(&self) -> &Arc<[String]> {
        &self.names
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::from_names(["kl", "top1_agreement", "entropy_bits", "nll", "accuracy"]).expect("they differ in name")
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metrics").field(&self.names).finish()
    }
}

/// The built-in metric of a name.
fn built_in(name: &str) -> Result<Arc<dyn Metric>> {
    let of_logits = from_logits::built_in().into_iter().chain(output_token::built_in());
    let all: Vec<_> = from_statistics::built_in().into_iter().chain(of_logits).collect();
    let named = all.iter().find(|metric| metric.name() == name).cloned();
    named.or_else(|| from_logits::built_in_with_number(name)).ok_or_else(|| {
        let known: Vec<_> = all.iter().map(|metric| metric.name()).chain([from_logits::WITH_NUMBER]).collect();
        ProbeError::UnknownMetric { name: name.to_owned(), known: known.join(", ") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_metrics_are_read_back_from_their_names() {
        let names = [
            "js",
            "kl",
            "reverse_kl",
            "top1_agreement",
            "top12_overlap",
            "entropy_bits",
            "nll",
            "accuracy",
            "rank",
            "output_rank",
            "output_probability",
        ];
        assert!(Metrics::from_names(names).unwrap().names().eq(names));
        for unknown in ["logit_difference", "top_overlap", "top+5_overlap", "top05_overlap", "perplexity", ""] {
            let message = Metrics::from_names([unknown]).unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("unknown metric `{unknown}`; known: kl, top1_agreement, entropy_bits")),
                "{message}"
            );
        }
    }

    #[test]
    fn a_name_stands_in_a_set_once() {
        let twice = Metrics::from_names(["kl", "nll", "kl"]).unwrap_err();
        assert_eq!(twice, ProbeError::DuplicateMetric { name: "kl".to_owned() });
    }
}
