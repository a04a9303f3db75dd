//! Whether experiments bear out the stories of the stages: [`stories`].

use stratigraph_profile::statistics::{ErrorBasis, cluster_sem};
use stratigraph_profile::{Axis, Curve, Outcome, Profile, Segmentation, Stage, StoryCheck};

use crate::removal::{KL, preferred};
use crate::robust::mean;
use crate::words::number;

use Stage::{Detokenization as D, FeatureEngineering as F, PredictionEnsembling as P, ResidualSharpening as R};

/// The confidence with which a difference decides.
const CONFIDENCE: f64 = 0.95;
/// By how many standard errors a difference decides where it is not known what the error is over.
const DECIDES: f64 = 2.0;

/// A number of each layer.
type ByLayer<'a> = &'a dyn Fn(usize) -> f64;

/// A difference with its standard error, and what that is over.
struct Difference {
    mean: f64,
    sem: Option<f64>,
    basis: Option<ErrorBasis>,
}

impl Difference {
    /// Whether its confidence interval lies on one side of 0.
    fn outcome(&self) -> Outcome {
        let half = |sem: f64| self.basis.map_or(DECIDES * sem, |basis| basis.half_width(sem, CONFIDENCE));
        match self.sem.map(half) {
            Some(half) if self.mean > half => Outcome::Holds,
            Some(half) if self.mean < -half => Outcome::Refuted,
            _ => Outcome::Unclear,
        }
    }

    fn in_words(&self) -> String {
        let error = self.sem.map_or(" without an error".to_owned(), |sem| format!(" ± {}", number(sem)));
        format!("{}{error}", number(self.mean))
    }
}

/// Every claim about a stage that was found, with what the experiments of the profile say.
pub(crate) fn stories(profile: &Profile, found: &Segmentation) -> Vec<StoryCheck> {
    let has = |stage: Stage| found.stages.iter().any(|span| span.stage == stage);
    let mut checks = Vec::new();
    if has(D) && found.stages.len() > 1 {
        checks.extend(of_words(profile, found));
    }
    checks.extend([D, R].into_iter().filter(|stage| has(*stage)).map(|stage| removal(profile, found, stage)));
    if has(F) {
        checks.push(meaning(profile, found));
    }
    if has(P) {
        let claim = "prediction neurons matter more than others of their layers";
        checks.push(neurons(profile, (P, "prediction"), "kl", claim));
    }
    if has(R) {
        let claim = "suppression neurons lower the entropy more than others of their layers";
        checks.push(neurons(profile, (R, "suppression"), "entropy_bits", claim));
        checks.push(entropy(profile, found));
    }
    if (has(F) || has(P)) && (has(D) || has(R)) {
        let ends = inside(found, &[D, R]);
        checks.extend(["attention", "mlp"].map(|sublayer| {
            let claim =
                format!("the first and last layers' {sublayer} has larger total effects than that of the middle");
            layers(profile, (None, &claim), &[&format!("total_{sublayer}")], &ends)
        }));
    }
    checks
}

/// Whether each layer belongs to one of some stages.
fn inside(found: &Segmentation, stages: &[Stage]) -> Vec<bool> {
    (0..found.n_layers).map(|layer| found.stage_of(layer).is_some_and(|stage| stages.contains(&stage))).collect()
}

/// Whether detokenization joins tokens into words.
fn of_words(profile: &Profile, found: &Segmentation) -> [StoryCheck; 3] {
    let within = inside(found, &[D]);
    let claim = "attention within words matters more in its layers than in later ones";
    let knocked = layers(profile, (Some(D), claim), &["knock_out_words_kl", "knock_out_words_nll"], &within);
    let claim = "what deletion costs at the last tokens of words, compared with single tokens, is more in its layers than in \
                 later ones";
    [knocked, layers(profile, (Some(D), claim), &["lexical_damage"], &within), merging(profile, &within)]
}

/// Whether a head of a stage attends within words, by more than the largest of all heads does by chance.
fn merging(profile: &Profile, inside: &[bool]) -> StoryCheck {
    let claim = "a head of its layers attends within words";
    let check = StoryCheck::new(Some(D), claim, "merging_heads");
    let (Some(heads), Some(threshold)) =
        (profile.matrices.get("merging_heads"), profile.values.get("merging_heads_threshold"))
    else {
        return check;
    };
    let layers = (0..inside.len()).filter(|&layer| inside[layer]);
    let cells = layers.flat_map(|layer| (0..heads.columns.len()).map(move |head| (layer, head)));
    let errors = |(layer, head)| {
        let it = heads.estimate(layer, head)?;
        Some((it.mean / it.sem?, layer, head)).filter(|(errors, ..)| errors.is_finite())
    };
    let Some((errors, layer, head)) = cells.filter_map(errors).max_by(|a, b| a.0.total_cmp(&b.0)) else { return check };
    let outcome = if errors > threshold.mean { Outcome::Holds } else { Outcome::Unclear };
    let (errors, most) = (number(errors), number(threshold.mean));
    let text = format!("head {head} of layer {layer} differs by {errors} standard errors, chance reaches {most}");
    check.with_outcome(outcome, text)
}

/// Whether words get their meaning within feature engineering: the accuracy of the probes after its last layer minus that before
/// its first.
fn meaning(profile: &Profile, found: &Segmentation) -> StoryCheck {
    let check = StoryCheck::new(Some(F), "Word-in-Context probes get better within its layers", "wic_accuracy");
    let span = found.stages.iter().find(|span| span.stage == F);
    let curve = profile.curves.get("wic_accuracy").filter(|it| it.axis == Axis::residual_positions(found.n_layers));
    let Some((span, curve)) = span.zip(curve).filter(|(span, curve)| span.end < curve.len()) else { return check };
    let [from, to] = [curve.mean[span.first], curve.mean[span.end]];
    let paired = || {
        let pairs = curve.replicates.get(span.end)?.iter().zip(curve.replicates.get(span.first)?);
        let each: Vec<f64> = pairs.map(|(to, from)| to - from).collect();
        (!each.is_empty() && each.len() == curve.clusters.len()).then(|| cluster_sem(&each, &curve.clusters))?
    };
    let difference = Difference { mean: to - from, sem: paired(), basis: curve.errors };
    let text = format!("{} before it, {} after it; difference {}", number(from), number(to), difference.in_words());
    check.with_outcome(difference.outcome(), text)
}

/// Whether the prediction is less certain without a layer of residual sharpening.
fn entropy(profile: &Profile, found: &Segmentation) -> StoryCheck {
    let names = ["delete_after_first_entropy_bits", "delete_entropy_bits"];
    let claim = "the entropy of the prediction is higher without one of its layers";
    let axis = Axis::layers(found.n_layers);
    let of = |name: &'static str| Some((name, profile.curves.get(name).filter(|it| it.axis == axis)?));
    let clean = profile.curves.get("lens_entropy_bits").filter(|it| it.len() == found.n_layers + 1);
    let value = profile.values.get("clean_entropy_bits").map(|value| value.mean).filter(|mean| mean.is_finite());
    let with = clean.map(|clean| clean.mean[found.n_layers]).or(value);
    let Some(((name, curve), with)) = names.into_iter().find_map(of).zip(with) else {
        return StoryCheck::new(Some(R), claim, names[0]);
    };
    let last = inside(found, &[R]);
    let without = |values: ByLayer| mean((0..last.len()).filter(|&at| last[at]).map(values)).unwrap_or(f64::NAN);
    let without_it = without(&|layer| curve.mean[layer]);
    // A value has no means of windows, so that the difference then has no error.
    let sem = clean.filter(|clean| clean.n_windows() == curve.n_windows()).and_then(|clean| {
        let each = |window: usize| {
            without(&|layer| replicate(curve, layer, window)) - replicate(clean, found.n_layers, window)
        };
        by_window(profile, curve.n_windows()?, each)
    });
    let difference = Difference { mean: without_it - with, sem, basis: profile.corpus.window_errors().basis() };
    let [with, without_it] = [with, without_it].map(number);
    let text = format!("{without_it} bits without one, {with} with all; difference {}", difference.in_words());
    StoryCheck::new(Some(R), claim, name).with_outcome(difference.outcome(), text)
}

/// Whether the first of some curves that was measured is larger in the layers of a stage than in all others: window by window
/// where the means of windows are known.
fn layers(profile: &Profile, (stage, claim): (Option<Stage>, &str), curves: &[&str], inside: &[bool]) -> StoryCheck {
    let axis = Axis::layers(inside.len());
    let measured = |name: &&str| {
        let curve = profile.curve_or_derived(name).filter(|it| it.axis == axis && it.has_numbers())?;
        Some((name.to_string(), curve))
    };
    let Some((name, curve)) = curves.iter().find_map(measured) else {
        return StoryCheck::new(stage, claim, curves[0]);
    };
    let side = |values: ByLayer, of: bool| {
        mean((0..inside.len()).filter(|&layer| inside[layer] == of).map(values)).unwrap_or(f64::NAN)
    };
    let over = |values: ByLayer| side(values, true) - side(values, false);
    let of_mean = |layer: usize| curve.mean[layer];
    let of_window = |window: usize| over(&|layer| replicate(&curve, layer, window));
    let (sem, basis) = match curve.n_windows().and_then(|n| by_window(profile, n, of_window)) {
        Some(sem) => (Some(sem), profile.corpus.window_errors().basis()),
        None => (pooled(&curve, inside), curve.errors),
    };
    let difference = Difference { mean: over(&of_mean), sem, basis };
    let (here, there) = (number(side(&of_mean, true)), number(side(&of_mean, false)));
    let text = format!("{here} on average there, {there} elsewhere; difference {}", difference.in_words());
    StoryCheck::new(stage, claim, name).with_outcome(difference.outcome(), text)
}

/// The mean of a window; NaN, which no mean over layers counts, where the layer has no value.
fn replicate(curve: &Curve, layer: usize, window: usize) -> f64 {
    curve.replicates[layer].get(window).copied().unwrap_or(f64::NAN)
}

/// The standard error of the mean of a number of each window, as the corpus has errors; none if these are not its `n` windows.
fn by_window(profile: &Profile, n: usize, of: impl Fn(usize) -> f64) -> Option<f64> {
    let each: Vec<f64> = (0..n).map(of).collect();
    let is_corpus = n == profile.corpus.n_sequences;
    is_corpus.then(|| profile.corpus.window_errors().sem(&each))?.filter(|sem| sem.is_finite())
}

/// A standard error that is too large rather than too small: layers share their windows, so the means of both sides have the mean
/// error of their layers.
fn pooled(curve: &Curve, inside: &[bool]) -> Option<f64> {
    let side = |of: bool| {
        let errors = curve.sem.iter().zip(inside).filter(|(_, is_inside)| **is_inside == of);
        mean(errors.filter_map(|(sem, _)| *sem))
    };
    Some(side(true)?.hypot(side(false)?))
}

/// Whether every layer of a stage costs at least the floor.
fn removal(profile: &Profile, found: &Segmentation, stage: Stage) -> StoryCheck {
    let curve = preferred(|name| profile.curves.get(name));
    let claim = "each of its layers costs more than the floor";
    let check = StoryCheck::new(Some(stage), claim, curve.map_or(KL[0], |(name, _)| name));
    let span = found.stages.iter().find(|span| span.stage == stage);
    let (Some((_, curve)), Some(span)) = (curve, span) else { return check };
    let Some(floor) = found.floor else {
        return check.with_outcome(Outcome::NotMeasured, "the floor is not known, since unigram_loss is missing");
    };
    let costs = (span.first..span.end).filter_map(|layer| curve.estimates().nth(layer));
    let least = costs.filter(|it| it.mean.is_finite()).min_by(|a, b| a.mean.total_cmp(&b.mean));
    let Some(least) = least else { return check };
    let difference = Difference { mean: least.mean - floor.nats, sem: least.sem, basis: curve.errors };
    let text = format!("the least costs {} nats, the floor is {}", number(least.mean), number(floor.nats));
    check.with_outcome(difference.outcome(), text)
}

/// Whether a class of neurons does more than random ones of the same layers.
fn neurons(profile: &Profile, (stage, class): (Stage, &str), metric: &str, claim: &str) -> StoryCheck {
    let names = [format!("mean_neuron_sets_difference_{metric}"), format!("neuron_sets_difference_{metric}")];
    let of = |name: &String| {
        let curve = profile.curves.get(name)?;
        let at = (0..curve.axis.len()).find(|&at| curve.axis.tick(at).starts_with(class))?;
        let it = curve.estimates().nth(at).filter(|it| it.mean.is_finite())?;
        Some((name.clone(), Difference { mean: it.mean, sem: it.sem, basis: curve.errors }))
    };
    let Some((name, difference)) = names.iter().find_map(of) else {
        return StoryCheck::new(Some(stage), claim, names[0].clone());
    };
    let text = format!("the class minus random neurons: {}", difference.in_words());
    StoryCheck::new(Some(stage), claim, name).with_outcome(difference.outcome(), text)
}
