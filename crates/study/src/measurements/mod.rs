//! The measurements that come with Stratigraph, beside every [`Sweep`]; [`by_name`] makes them by name.

mod attention;
mod early_guesses;
mod effects;
mod ensembles;
mod generative_curves;
mod generative_scoring;
mod geometry;
mod knock_out_words;
mod lens;
mod neuron_sets;
mod neurons;
mod own_continuation;
mod patching;
mod removal;
mod skip_effects;
mod steering;
mod swept_scores;
mod task_curves;
mod task_scoring;
mod task_sweeps;
mod words;

use stratigraph_core::{Hook, PerSequence, ResidualModel};
use stratigraph_probes::lens::FixedScaleLens;
use stratigraph_profile::{Curve, catalogue};
use stratigraph_surgery::Sweep;

pub use attention::AttentionByDistance;
pub use early_guesses::EarlyGuesses;
pub(crate) use effects::EffectsPass;
pub use effects::{Ablation, EffectTotals, SublayerEffects};
pub use ensembles::SuffixEnsembles;
pub use generative_curves::GenerativeCurves;
pub(crate) use generative_curves::WrittenAnswers;
pub use generative_scoring::{GenerativePart, GenerativeScoring, Questions};
pub use geometry::ResidualGeometry;
pub use knock_out_words::KnockOutWords;
pub use lens::LensCurves;
pub use neuron_sets::{NeuronSetComparison, NeuronSets};
pub use neurons::VocabularyNeurons;
pub use own_continuation::OwnContinuation;
pub use patching::{
    ActivationPatching, EncodedPairs, FittingPairs, PatchDirection, PatchingPart, PromptPair, PromptPairs, TokenPair,
};
pub(crate) use removal::CriterionPasses;
pub use removal::{Criterion, CumulativeRemoval};
pub use skip_effects::SkipEffects;
pub(crate) use steering::TargetRuns;
pub use steering::{Steering, SteeringTarget, SteeringVector};
pub use stratigraph_probes::lens::LogitLens;
pub(crate) use task_curves::TaskAnswers;
pub use task_curves::TaskCurves;
pub use task_scoring::{TaskPart, TaskScoring};
pub use words::{MergingHeads, WordInContext};

use crate::{Measurement, Needs, Result, StudyError, measured_curve};

/// The name of [`FixedScaleLens`].
const FIXED_SCALE: &str = "fixed_scale_lens";

/// A measurement that needs no data of its own, by its name: a sweep, `attention`, `early_guesses`, `effects`,
/// `fixed_scale_lens`, `geometry`, `neurons`, `neuron_sets`, `mean_neuron_sets`, `skip_effects`, `remove_by_block_influence`,
/// `remove_by_angular_distance`, `remove_by_loss` or `own_continuation`.
///
/// # Errors
/// [`StudyError::UnknownMeasurement`], which lists the known names.
pub fn by_name(name: &str) -> Result<Box<dyn Measurement>> {
    Ok(match name {
        AttentionByDistance::NAME => Box::new(AttentionByDistance::default()),
        EarlyGuesses::NAME => Box::new(EarlyGuesses::new(LogitLens)),
        FIXED_SCALE => Box::new(LensCurves::new(FixedScaleLens)),
        SublayerEffects::NAME => Box::new(SublayerEffects::default()),
        ResidualGeometry::NAME => Box::new(ResidualGeometry::default()),
        VocabularyNeurons::NAME => Box::new(VocabularyNeurons),
        OwnContinuation::NAME => Box::new(OwnContinuation::default()),
        SkipEffects::NAME => Box::new(SkipEffects),
        NeuronSets::ZERO => Box::new(NeuronSets::zero()),
        NeuronSets::MEAN => Box::new(NeuronSets::mean()),
        _ => match Sweep::by_name(name) {
            Some(sweep) => Box::new(sweep),
            None => match CumulativeRemoval::by_name(name) {
                Some(removal) => Box::new(removal),
                None => {
                    let (name, known) = (name.to_owned(), known_names().join(", "));
                    return Err(StudyError::UnknownMeasurement { name, known });
                }
            },
        },
    })
}

/// The names that [`by_name`] takes; N stands for a number.
pub fn known_names() -> Vec<&'static str> {
    let own = [
        AttentionByDistance::NAME,
        EarlyGuesses::NAME,
        FIXED_SCALE,
        SublayerEffects::NAME,
        ResidualGeometry::NAME,
        VocabularyNeurons::NAME,
        NeuronSets::ZERO,
        NeuronSets::MEAN,
        OwnContinuation::NAME,
        SkipEffects::NAME,
    ];
    let removals = Criterion::ALL.map(CumulativeRemoval::name_of);
    Sweep::KNOWN.into_iter().chain(removals).chain(own).collect()
}

/// What the paper does with every model, as far as this one has the layers, hooks and weights.
pub fn paper(model: &dyn ResidualModel) -> Vec<Box<dyn Measurement>> {
    let offered = model.hooks();
    let all: [(Box<dyn Measurement>, Needs); 9] = [
        (Box::new(Sweep::delete()), Needs::nothing()),
        (Box::new(Sweep::delete_at(1..)), Needs::hooks([Hook::ResidPre, Hook::ResidPost]).with_n_layers(1)),
        (Box::new(Sweep::swap()), Needs::nothing().with_n_layers(2)),
        (Box::new(Sweep::lens()), Needs::nothing()),
        (Box::new(Sweep::repeat(3)), Needs::nothing().with_n_layers(3)),
        (Box::new(Sweep::repeat(5)), Needs::nothing().with_n_layers(5)),
        (Box::new(AttentionByDistance::default()), AttentionByDistance::requirements()),
        (Box::new(ResidualGeometry::default()), ResidualGeometry::requirements()),
        (Box::new(VocabularyNeurons), Needs::nothing().with_weights().with_n_layers(1)),
    ];
    let possible = |needs: &Needs| {
        needs.hooks.iter().all(|hook| offered.contains(hook))
            && needs.n_layers <= model.n_layers()
            && (!needs.weights || model.weights().is_some())
    };
    all.into_iter().filter(|(_, needs)| possible(needs)).map(|(measurement, _)| measurement).collect()
}

/// A curve of the catalogue, with its axis on a model of `n_layers` layers and its unit.
///
/// # Panics
/// When the catalogue does not have the name, which is this crate's fault.
fn empty_curve(name: &str, n_layers: usize) -> Curve {
    let entry = catalogue::find(name).unwrap_or_else(|| panic!("the catalogue has no curve `{name}`"));
    Curve::empty(entry.axis.of(n_layers), entry.unit)
}

/// A curve of the catalogue of what was measured at each point of its axis, with the mean of each window.
fn curve_of_windows<'a>(name: &str, n_layers: usize, points: impl IntoIterator<Item = &'a PerSequence>) -> Curve {
    let Curve { axis, unit, .. } = empty_curve(name, n_layers);
    measured_curve(axis, unit, points)
}
