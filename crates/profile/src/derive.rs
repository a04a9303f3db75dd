//! Curves that are derived from others of a profile: [`Profile::curve_or_derived`].

use std::borrow::Cow;

use crate::statistics::ErrorBasis;
use crate::{Axis, Curve, Estimate, Matrix, Profile, Unit};

/// The matrices of damage by part of a word, the better one first.
const BY_WORD: [&str; 2] = ["delete_after_first_kl_by_word", "delete_kl_by_word"];
/// The parts of words that are compared.
const LAST: &str = "last token";
const SINGLE: &str = "single token";

impl Profile {
    /// A curve of the profile, or one derived from its curves and matrices; none if it cannot be computed:
    ///
    /// - `local_attention`: `prev5_attention_mass_after_first / (1 - first_token_attention)`; of files without the first of the two
    ///   `prev5_attention_mass / (1 - first_token_attention)`, which also counts what the first five queries behind the first token
    ///   attend to it: too much by about `5 f / (T (1 - f))`, with `f` the attention to the first token;
    /// - `mlp_write_ratio`, `attn_write_ratio`: `mlp_out_norm` and `attn_out_norm` over the `resid_norm` before the layer;
    /// - `lexical_damage`: `delete_kl_by_word` at the last tokens of words of several tokens over that at single tokens (of
    ///   `delete_after_first_kl_by_word` where it is there).
    ///
    /// A derived curve has the replicates of those that it is derived from, if they are of the same kind and number.
    /// `lexical_damage` has standard errors instead: those of both damages, taken as independent and propagated to their ratio
    /// to first order. Damages in the same windows are positively correlated, so these errors are too large rather than too small.
    /// In how many documents a part of words occurs is not recorded, so its intervals have the degrees of freedom of the corpus, or of
    /// the positions of the rarer part where these are fewer: too many where that part is in a few of the documents only.
    ///
    /// ```
    /// use stratigraph_profile::{Axis, CorpusRecord, Curve, ModelRecord, Profile, Unit};
    ///
    /// let curve = |values: &[f64]| Curve::new(Axis::layers(2), Unit::Fraction, values.to_vec());
    /// let profile = Profile::new(ModelRecord::new("m", 2, 8, 100), CorpusRecord::new("c", 1, 8))
    ///     .with_curve("prev5_attention_mass_after_first", curve(&[0.4, 0.3]))?
    ///     .with_curve("first_token_attention", curve(&[0.0, 0.5]))?;
    /// assert_eq!(profile.curve_or_derived("local_attention").unwrap().mean, [0.4, 0.6]);
    /// assert!(profile.curve_or_derived("mlp_write_ratio").is_none());
    /// # Ok::<(), stratigraph_profile::ProfileError>(())
    /// ```
    pub fn curve_or_derived(&self, name: &str) -> Option<Cow<'_, Curve>> {
        if let Some(curve) = self.curves.get(name) {
            return Some(Cow::Borrowed(curve));
        }
        let of = |name: &str| self.curves.get(name).filter(|curve| curve.len() == curve.axis.len());
        let write = |norm: &str| ratio(of(norm)?, &before_layers(of("resid_norm")?)?, |write, norm| write / norm);
        let derived = match name {
            "local_attention" => {
                let near = of("prev5_attention_mass_after_first").or_else(|| of("prev5_attention_mass"))?;
                ratio(near, of("first_token_attention")?, |near, first| near / (1.0 - first))
            }
            "mlp_write_ratio" => write("mlp_out_norm"),
            "attn_write_ratio" => write("attn_out_norm"),
            "lexical_damage" => {
                let curve = BY_WORD.iter().find_map(|name| last_to_single(self.matrices.get(*name)?));
                curve.map(|curve| Curve { errors: self.errors_by_word(), ..curve })
            }
            _ => None,
        };
        derived.map(Cow::Owned)
    }

    /// What the errors of damage by part of a word are over: what those of the corpus are over, but no more than the positions of
    /// the rarer of the two parts that are compared.
    fn errors_by_word(&self) -> Option<ErrorBasis> {
        let basis = self.error_basis()?;
        let parts = self.interventions.iter().find_map(|run| run.groups.get("word")).into_iter().flatten();
        let compared = parts.filter(|part| part.group == LAST || part.group == SINGLE);
        let n = compared.map(|part| part.positions).fold(basis.n, usize::min);
        Some(ErrorBasis::new(basis.over, n).with_df(basis.df.min(n.saturating_sub(1))))
    }
}

/// A curve over residual positions as one over layers: at the position before each.
fn before_layers(curve: &Curve) -> Option<Curve> {
    let Axis::ResidualPositions { n_layers } = curve.axis else { return None };
    let mut before = Curve::new(Axis::layers(n_layers), curve.unit.clone(), curve.mean[..n_layers].to_vec());
    let replicates = curve.replicates.iter().take(n_layers).cloned().collect();
    before = before.with_replicates(curve.replicate_unit, replicates);
    Some(before)
}

/// Two curves over the same axis, point by point and replicate by replicate.
fn ratio(a: &Curve, b: &Curve, of: impl Fn(f64, f64) -> f64) -> Option<Curve> {
    if a.axis != b.axis {
        return None;
    }
    let is_paired =
        a.replicate_unit == b.replicate_unit && a.n_replicates().is_some() && a.n_replicates() == b.n_replicates();
    let mut curve = Curve::empty(a.axis.clone(), Unit::Dimensionless);
    curve.replicate_unit = a.replicate_unit;
    for (point, (&x, &y)) in a.mean.iter().zip(&b.mean).enumerate() {
        let pairs = || a.replicates[point].iter().zip(&b.replicates[point]).map(|(&x, &y)| of(x, y)).collect();
        curve.push(Estimate::exact(of(x, y)), if is_paired { pairs() } else { Vec::new() });
    }
    Some(curve)
}

/// The damage at the last tokens of words over that at single tokens, by layer.
fn last_to_single(matrix: &Matrix) -> Option<Curve> {
    let Axis::Layers { n_layers } = matrix.rows else { return None };
    let column = |label: &str| (0..matrix.columns.len()).find(|&at| matrix.columns.tick(at) == label);
    let (last, single) = (column(LAST)?, column(SINGLE)?);
    let mut curve = Curve::empty(Axis::layers(n_layers), Unit::Dimensionless);
    for layer in 0..matrix.values.len() {
        let (last, single) = (matrix.estimate(layer, last)?, matrix.estimate(layer, single)?);
        let relative = |of: Estimate| Some(of.sem? / of.mean);
        let ratio = last.mean / single.mean;
        let sem = relative(last).zip(relative(single)).map(|(last, single)| (ratio * last.hypot(single)).abs());
        curve.push(Estimate::new(ratio, sem), Vec::new());
    }
    Some(curve)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CorpusRecord, GroupRecord, InterventionRecord, ModelRecord, ReplicateUnit};

    #[test]
    fn replicates_are_derived_one_by_one() {
        let profile = Profile::new(ModelRecord::new("m", 1, 8, 100), CorpusRecord::new("c", 2, 8));
        let curve = |axis, mean, replicates| {
            Curve::new(axis, Unit::Norm, mean).with_replicates(ReplicateUnit::Windows, replicates)
        };
        let writes = curve(Axis::layers(1), vec![3.0], vec![vec![2.0, 4.0]]);
        let norms = curve(Axis::residual_positions(1), vec![6.0, 9.0], vec![vec![4.0, 8.0], vec![9.0, 9.0]]);
        let profile = profile.with_curve("mlp_out_norm", writes).unwrap().with_curve("resid_norm", norms).unwrap();
        let derived = profile.curve_or_derived("mlp_write_ratio").unwrap();
        assert_eq!((&derived.mean[..], &derived.replicates[0][..]), (&[0.5][..], &[0.5, 0.5][..]));
        assert!(profile.curve_or_derived("attn_write_ratio").is_none());
    }

    #[test]
    fn damage_at_the_ends_of_words_is_compared_with_that_at_single_tokens() {
        let profile = Profile::new(ModelRecord::new("m", 2, 8, 100), CorpusRecord::new("c", 2, 8));
        let groups = Axis::labelled("word", ["single token", "inside", "last token", "no word"]);
        let cells = [(2.0, 0.6), (1.0, 0.1), (6.0, 2.4), (1.0, 0.1), (0.5, 0.0), (1.0, 0.1), (0.25, 0.1), (1.0, 0.1)];
        let cells = cells.map(|(mean, sem)| Estimate::new(mean, Some(sem)));
        let matrix = Matrix::from_estimates(Axis::layers(2), groups, Unit::Nats, cells);
        let profile = profile.with_matrix("delete_kl_by_word", matrix).unwrap();
        let ratio = profile.curve_or_derived("lexical_damage").unwrap();
        assert_eq!(ratio.mean, [3.0, 0.5]);
        // Errors of 30 and 40 % make one of 50 %; errors of 0 and 40 % make one of 40 %.
        assert!((ratio.sem[0].unwrap() - 1.5).abs() < 1e-12 && (ratio.sem[1].unwrap() - 0.2).abs() < 1e-12);
        assert_eq!(ratio.errors, None, "as in files that do not say what errors are over");
        let basis = profile.corpus.window_errors().basis().unwrap();
        let kl = Curve::new(Axis::layers(2), Unit::Nats, vec![1.0, 2.0]).with_errors(basis);
        let profile = profile.with_curve("delete_kl", kl).unwrap();
        assert_eq!(profile.curve_or_derived("lexical_damage").unwrap().errors, Some(basis));
    }

    #[test]
    fn a_part_of_words_has_fewer_degrees_of_freedom_than_positions() {
        let corpus = CorpusRecord::new("c", 12, 8).with_documents((0..12).collect());
        let basis = corpus.window_errors().basis().unwrap();
        let profile = Profile::new(ModelRecord::new("m", 1, 8, 100), corpus);
        let kl = Curve::new(Axis::layers(1), Unit::Nats, vec![1.0]).with_errors(basis);
        let cells = [Estimate::new(2.0, Some(0.5)), Estimate::new(4.0, Some(0.5))];
        let matrix = Matrix::from_estimates(Axis::layers(1), Axis::labelled("word", [SINGLE, LAST]), Unit::Nats, cells);
        let profile = profile.with_curve("delete_kl", kl).unwrap().with_matrix("delete_kl_by_word", matrix).unwrap();
        let df = |n_last: usize| {
            let parts =
                vec![GroupRecord::new(SINGLE, 50), GroupRecord::new(LAST, n_last), GroupRecord::new("inside", 0)];
            let profile = profile.clone().with_intervention(InterventionRecord::clean("0").with_groups("word", parts));
            profile.curve_or_derived("lexical_damage").unwrap().errors.map(|errors| (errors.n, errors.df))
        };
        assert_eq!([40, 3, 0].map(df), [Some((12, 11)), Some((3, 2)), Some((0, 0))]);
    }
}
