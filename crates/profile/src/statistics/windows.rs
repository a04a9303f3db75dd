//! Standard errors of means over the windows of a corpus: [`WindowErrors`], of [`WindowMean`]s.

use std::collections::BTreeMap;
use std::f64::consts::PI;

use super::{ErrorBasis, ErrorUnit, LEAST_DOCUMENTS, LEAST_WINDOWS, Resampling};

/// The mean of a window and how many numbers it is the mean of.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct WindowMean {
    /// The index of the window in the corpus.
    pub window: usize,
    /// How many numbers.
    pub count: f64,
    /// Their mean.
    pub mean: f64,
}

impl WindowMean {
    /// The mean of `count` numbers of a window.
    pub fn new(window: usize, count: f64, mean: f64) -> Self {
        Self { window, count, mean }
    }
}

/// How the standard errors of means over a corpus are computed: over its documents, or over its windows.
///
/// - Over documents, where there are [`LEAST_DOCUMENTS`]: `sqrt(K / (K - 1) * sum_k (sum_{w in k} n_w (m_w - m))^2) / sum_w n_w`,
///   with the mean `m_w` of the `n_w` numbers of window `w`, the mean `m` over all and `K` documents (the errors of a ratio of
///   totals of clusters: Cochran, *Sampling Techniques*, 1977, section 9A.2), and `K - 1` degrees of freedom.
/// - Over `n` windows otherwise, in their order: with `e_w = n_w (m_w - m)` and the cosine transform
///   `L_j = sqrt(2 / n) * sum_w e_w cos(pi j (w + 1/2) / n)`, the error is `sqrt(n / B * sum_{j=1}^{B} L_j^2) / sum_w n_w`, with
///   `B` degrees of freedom. `B = 0.41 n^(2/3)`, rounded, keeps only the slow changes, which neighbouring windows share
///   (Lazarus, Lewis, Stock and Watson, *HAR Inference: Recommendations for Practice*, JBES 2018). With fewer than
///   [`LEAST_WINDOWS`], `B = n - 1`, which is the usual standard error of independent windows.
///
/// ```
/// use stratigraph_profile::statistics::{ErrorUnit, WindowErrors};
/// let few = WindowErrors::new(3, &[]);
/// assert!((few.sem(&[1.0, 3.0, 5.0]).unwrap() - 2.0 / 3f64.sqrt()).abs() < 1e-12);
/// let documents: Vec<usize> = (0..16).map(|window| window / 2).collect();
/// assert_eq!(WindowErrors::new(16, &documents).basis().unwrap().over, ErrorUnit::Documents);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct WindowErrors {
    n_windows: usize,
    /// The cluster of each window; none where errors are over windows.
    documents: Option<Vec<usize>>,
    /// What the clusters are.
    clusters: ErrorUnit,
}

impl WindowErrors {
    /// For a corpus of `n_windows` windows; `documents` has the document of each, or nothing where they are of one text.
    ///
    /// # Panics
    /// When `documents` has neither none nor one for each window.
    pub fn new(n_windows: usize, documents: &[usize]) -> Self {
        assert!(documents.is_empty() || documents.len() == n_windows, "{} documents of windows", documents.len());
        let enough = n_distinct(documents) >= LEAST_DOCUMENTS;
        Self { n_windows, documents: enough.then(|| documents.to_vec()), clusters: ErrorUnit::Documents }
    }

    /// For `n` items of a benchmark, which are independent of each other.
    ///
    /// ```
    /// use stratigraph_profile::statistics::{ErrorUnit, WindowErrors};
    /// let errors = WindowErrors::of_items(3);
    /// assert!((errors.sem(&[1.0, 3.0, 5.0]).unwrap() - 2.0 / 3f64.sqrt()).abs() < 1e-12);
    /// assert_eq!(errors.basis().map(|basis| (basis.over, basis.df)), Some((ErrorUnit::Items, 2)));
    /// ```
    pub fn of_items(n: usize) -> Self {
        Self { n_windows: n, documents: (n > 1).then(|| (0..n).collect()), clusters: ErrorUnit::Items }
    }

    /// What the errors are over; none where there is a single window.
    pub fn basis(&self) -> Option<ErrorBasis> {
        match &self.documents {
            Some(documents) => Some(ErrorBasis::new(self.clusters, n_distinct(documents))),
            None if self.n_windows < 2 => None,
            None => Some(ErrorBasis::new(ErrorUnit::Windows, self.n_windows).with_df(n_contrasts(self.n_windows))),
        }
    }

    /// How a bootstrap draws windows: the same unit as the errors are over.
    pub fn resampling(&self) -> Resampling {
        match &self.documents {
            Some(documents) => Resampling::of_clusters(documents),
            None => Resampling::of_windows(self.n_windows),
        }
    }

    /// The standard error of the mean of all windows, which are given in their order; none for a single one.
    ///
    /// # Panics
    /// When there is not one number for each window.
    pub fn sem(&self, windows: &[f64]) -> Option<f64> {
        assert_eq!(windows.len(), self.n_windows, "a number for each window");
        let windows = windows.iter().enumerate().map(|(window, &mean)| WindowMean::new(window, 1.0, mean));
        self.sem_of_ratio(&windows.collect::<Vec<_>>())
    }

    /// The standard error of the mean over all numbers where windows have different numbers of them, or only some windows have
    /// any; none for a single window or document.
    ///
    /// # Panics
    /// When there is no such window.
    pub fn sem_of_ratio(&self, windows: &[WindowMean]) -> Option<f64> {
        let total: f64 = windows.iter().map(|it| it.count).sum();
        let mean = windows.iter().map(|it| it.count * it.mean).sum::<f64>() / total;
        let deviations = windows.iter().map(|it| it.count * (it.mean - mean));
        let variance = match &self.documents {
            Some(documents) => clustered(windows.iter().map(|it| documents[it.window]).zip(deviations)),
            None => (windows.len() > 1).then(|| variance_of_sum(&deviations.collect::<Vec<_>>())),
        };
        variance.map(|variance| variance.sqrt() / total)
    }
}

/// The standard error of the mean of numbers that come in clusters, over the clusters; `clusters` has the cluster of each number.
/// None for a single cluster.
///
/// ```
/// use stratigraph_profile::statistics::cluster_sem;
/// let (alone, twice) = (cluster_sem(&[1.0, 2.0], &[0, 1]), cluster_sem(&[1.0, 1.0, 2.0, 2.0], &[0, 0, 1, 1]));
/// assert_eq!((alone, twice), (Some(0.5), Some(0.5)));
/// ```
///
/// # Panics
/// When there is not a cluster for each number.
pub fn cluster_sem(values: &[f64], clusters: &[usize]) -> Option<f64> {
    assert_eq!(values.len(), clusters.len(), "a cluster for each number");
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = clustered(clusters.iter().copied().zip(values.iter().map(|value| value - mean)));
    variance.map(|variance| variance.sqrt() / n)
}

/// The variance of the sum of deviations from their mean, each given with its cluster.
fn clustered(deviations: impl Iterator<Item = (usize, f64)>) -> Option<f64> {
    let mut clusters = BTreeMap::<usize, f64>::new();
    deviations.for_each(|(cluster, deviation)| *clusters.entry(cluster).or_default() += deviation);
    let n = clusters.len() as f64;
    (n > 1.0).then(|| n / (n - 1.0) * clusters.values().map(|sum| sum * sum).sum::<f64>())
}

/// The contrasts that the error of `n` windows is computed from, which are its degrees of freedom.
fn n_contrasts(n: usize) -> usize {
    match n < LEAST_WINDOWS {
        true => n.saturating_sub(1),
        false => (0.41 * (n as f64).powf(2.0 / 3.0)).round() as usize,
    }
}

/// The variance of the sum of deviations from their mean, in the order of the text.
fn variance_of_sum(deviations: &[f64]) -> f64 {
    let n = deviations.len();
    let n_contrasts = n_contrasts(n);
    if n_contrasts == n - 1 {
        // All contrasts together are the sum of squares.
        return n as f64 / n_contrasts as f64 * deviations.iter().map(|x| x * x).sum::<f64>();
    }
    let contrast = |j: usize| -> f64 {
        let step = PI * j as f64 / n as f64;
        deviations.iter().enumerate().map(|(at, x)| x * (step * (at as f64 + 0.5)).cos()).sum()
    };
    2.0 / n_contrasts as f64 * (1..=n_contrasts).map(|j| contrast(j).powi(2)).sum::<f64>()
}

fn n_distinct(documents: &[usize]) -> usize {
    documents.iter().collect::<std::collections::BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_windows_have_the_usual_error() {
        let values = [1.0, 4.0, 2.0, 8.0];
        let mean = values.iter().sum::<f64>() / 4.0;
        let expected = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 3.0 / 4.0).sqrt();
        let errors = WindowErrors::new(4, &[0, 0, 1, 1]);
        assert!((errors.sem(&values).unwrap() - expected).abs() < 1e-12);
        assert_eq!(errors.basis(), Some(ErrorBasis::new(ErrorUnit::Windows, 4)));
        assert_eq!((WindowErrors::new(1, &[]).sem(&[2.0]), WindowErrors::new(1, &[]).basis()), (None, None));
    }

    #[test]
    fn all_contrasts_together_are_the_sum_of_squares() {
        // What `variance_of_sum` would give with `B = n - 1`, contrast by contrast.
        let deviations = [0.5, -1.5, 2.0, -1.0, 0.25, -0.25];
        let n = deviations.len() as f64;
        let contrast = |j: usize| -> f64 {
            let cosine = |at: usize| (PI * j as f64 * (at as f64 + 0.5) / n).cos();
            (2.0 / n).sqrt() * deviations.iter().enumerate().map(|(at, x)| x * cosine(at)).sum::<f64>()
        };
        let by_contrasts: f64 = (1..6).map(|j| contrast(j).powi(2)).sum();
        let squares: f64 = deviations.iter().map(|x| x * x).sum();
        assert!((by_contrasts - squares).abs() < 1e-12);
        assert!((variance_of_sum(&deviations) - n / (n - 1.0) * squares).abs() < 1e-12);
    }

    #[test]
    fn windows_that_drift_have_a_larger_error_than_the_same_in_another_order() {
        let drifting: Vec<f64> = (0..32).map(|at| f64::from(at / 8)).collect();
        let alternating: Vec<f64> = (0..32).map(|at| f64::from(at % 4)).collect();
        let errors = WindowErrors::new(32, &[]);
        assert!(errors.sem(&drifting).unwrap() > 3.0 * errors.sem(&alternating).unwrap());
        assert_eq!(errors.basis().unwrap().df, 4);
    }

    #[test]
    fn windows_of_one_document_count_together() {
        let documents: Vec<usize> = (0..24).map(|window| window / 3).collect();
        let errors = WindowErrors::new(24, &documents);
        let copies: Vec<f64> = documents.iter().map(|&document| (document * document) as f64).collect();
        let once: Vec<f64> = (0..8).map(|document| f64::from(document * document)).collect();
        let mean = once.iter().sum::<f64>() / 8.0;
        let expected = (once.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 7.0 / 8.0).sqrt();
        assert!((errors.sem(&copies).unwrap() - expected).abs() < 1e-12, "three copies are not three observations");
        assert_eq!(errors.basis(), Some(ErrorBasis::new(ErrorUnit::Documents, 8)));
    }

    #[test]
    fn windows_count_by_their_numbers_in_a_ratio() {
        let windows = [WindowMean::new(0, 3.0, 0.0), WindowMean::new(2, 1.0, 4.0)];
        // The mean is 1; the windows deviate from it by -3 and 3, summed over their numbers.
        let sem = WindowErrors::new(3, &[]).sem_of_ratio(&windows).unwrap();
        assert!((sem - (18.0f64 * 2.0).sqrt() / 4.0).abs() < 1e-12);
    }
}
