//! Whether experiments bear out the stories of the stages: [`stories`].

use stratigraph_profile::{Axis, Curve, Outcome, Profile, Segmentation, Stage, StoryCheck};

use crate::robust::mean;
use crate::words::number;

use Stage::{Detokenization as D, FeatureEngineering as F, PredictionEnsembling as P, ResidualSharpening as R};

/// By how many standard errors a difference decides.
const DECIDES: f64 = 2.0;

/// A number of each layer.
type ByLayer<'a> = &'a dyn Fn(usize) -> f64;

/// A difference with its standard error.
struct Difference {
    mean: f64,
    sem: Option<f64>,
}

impl Difference {
    fn outcome(&self) -> Outcome {
        match self.sem {
            Some(sem) if self.mean > DECIDES * sem => Outcome::Holds,
            Some(sem) if self.mean < -DECIDES * sem => Outcome::Refuted,
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
    let inside = |stages: &[Stage]| -> Vec<bool> {
        (0..found.n_layers).map(|layer| found.stage_of(layer).is_some_and(|stage| stages.contains(&stage))).collect()
    };
    let has = |stage: Stage| found.stages.iter().any(|span| span.stage == stage);
    let mut checks = Vec::new();
    if has(D) && found.stages.len() > 1 {
        let claim = "attention within words matters more in its layers than in later ones";
        checks.push(layers(profile, (D, claim), &["knock_out_words_kl", "knock_out_words_nll"], &inside(&[D])));
        let claim = "deletion costs more at the ends of words of several tokens than in later layers";
        checks.push(layers(profile, (D, claim), &["lexical_damage"], &inside(&[D])));
    }
    checks.extend([D, R].into_iter().filter(|stage| has(*stage)).map(|stage| removal(profile, found, stage)));
    if has(P) {
        checks.push(neurons(
            profile,
            (P, "prediction"),
            "kl",
            "prediction neurons matter more than others of their layers",
        ));
    }
    if has(R) {
        let claim = "suppression neurons lower the entropy more than others of their layers";
        checks.push(neurons(profile, (R, "suppression"), "entropy_bits", claim));
    }
    if (has(F) || has(P)) && (has(D) || has(R)) {
        let ends = inside(&[D, R]);
        for sublayer in ["attention", "mlp"] {
            let claim =
                format!("the first and last layers' {sublayer} has larger total effects than that of the middle");
            let mut check = layers(profile, (D, &claim), &[&format!("total_{sublayer}")], &ends);
            check.stage = None;
            checks.push(check);
        }
    }
    checks
}

/// Whether a curve is larger in the layers of a stage than in all others: replicate by replicate where there are any.
fn layers(profile: &Profile, (stage, claim): (Stage, &str), curves: &[&str], inside: &[bool]) -> StoryCheck {
    let check = StoryCheck::new(Some(stage), claim, curves[0]);
    let axis = Axis::layers(inside.len());
    let measured = |name: &&&str| profile.curve_or_derived(name).is_some_and(|it| it.axis == axis && it.has_numbers());
    let Some(name) = curves.iter().find(measured) else { return check };
    let Some(curve) = profile.curve_or_derived(name) else { return check };
    let side = |values: ByLayer, of: bool| {
        mean((0..inside.len()).filter(|&layer| inside[layer] == of).map(values)).unwrap_or(f64::NAN)
    };
    let over = |values: ByLayer| side(values, true) - side(values, false);
    let of_mean = |layer: usize| curve.mean[layer];
    let difference =
        Difference { mean: over(&of_mean), sem: replicated(&curve, &over).or_else(|| pooled(&curve, inside)) };
    let (here, there) = (number(side(&of_mean, true)), number(side(&of_mean, false)));
    let text = format!("{here} on average there, {there} elsewhere; difference {}", difference.in_words());
    check.with_outcome(difference.outcome(), text)
}

/// The standard error of a number of all layers over replicates.
fn replicated(curve: &Curve, over: &dyn Fn(ByLayer) -> f64) -> Option<f64> {
    let n = curve.n_replicates()?;
    let each: Vec<f64> = (0..n).map(|index| over(&|layer| curve.replicates[layer][index])).collect();
    let mean = each.iter().sum::<f64>() / n as f64;
    let squares: f64 = each.iter().map(|x| (x - mean).powi(2)).sum();
    Some((squares / (n as f64 - 1.0) / n as f64).sqrt()).filter(|sem| sem.is_finite())
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
    let names = ["delete_after_first_kl", "delete_kl"];
    let curve = names.into_iter().find_map(|name| Some((name, profile.curves.get(name)?)));
    let claim = "each of its layers costs more than the floor";
    let check = StoryCheck::new(Some(stage), claim, curve.map_or(names[0], |(name, _)| name));
    let span = found.stages.iter().find(|span| span.stage == stage);
    let (Some((_, curve)), Some(span), Some(floor)) = (curve, span, found.floor) else { return check };
    let costs = (span.first..span.end).filter_map(|layer| curve.estimates().nth(layer));
    let least = costs.filter(|it| it.mean.is_finite()).min_by(|a, b| a.mean.total_cmp(&b.mean));
    let Some(least) = least else { return check };
    let difference = Difference { mean: least.mean - floor.nats, sem: least.sem };
    let text = format!("the least costs {} nats, the floor is {}", number(least.mean), number(floor.nats));
    check.with_outcome(difference.outcome(), text)
}

/// Whether a class of neurons does more than random ones of the same layers.
fn neurons(profile: &Profile, (stage, class): (Stage, &str), metric: &str, claim: &str) -> StoryCheck {
    let names = [format!("mean_neuron_sets_difference_{metric}"), format!("neuron_sets_difference_{metric}")];
    let check = StoryCheck::new(Some(stage), claim, names[0].clone());
    let of = |name: &String| {
        let curve = profile.curves.get(name)?;
        let at = (0..curve.axis.len()).find(|&at| curve.axis.tick(at).starts_with(class))?;
        curve.estimates().nth(at).filter(|it| it.mean.is_finite())
    };
    let Some(it) = names.iter().find_map(of) else { return check };
    let difference = Difference { mean: it.mean, sem: it.sem };
    let text = format!("the class less random neurons: {}", difference.in_words());
    check.with_outcome(difference.outcome(), text)
}
