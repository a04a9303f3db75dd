//! What a study can do, by name: [`Experiment`].

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use stratigraph_core::{Hook, ResidualModel, Sublayer};
use stratigraph_stages::InterventionKind;
use stratigraph_surgery::{Ablation, LayerPlan, sweep};

use crate::{Error, Result};

/// What makes curves over layers: a family of plans and their scores, or a look into the unchanged model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Experiment {
    /// Each layer left out: curves `delete_*`, a value a layer.
    Delete,
    /// Each layer and the next in the other order: curves `swap_*`, a value for each layer but the last.
    Swap,
    /// The residual stream before each layer, and after the last, read out as if the model ended there: curves
    /// `lens_*`. This is the logit lens, and running no more than the first `l` layers.
    Lens,
    /// Each block of so many layers with every layer run twice in a row: curves `repeat_5_*` (for blocks of five), a value
    /// for each layer that such a block can begin with.
    Repeat(usize),
    /// Each layer without its attention, or its MLP: curves `delete_attention_*` or `delete_mlp_*`, a value a layer.
    DeleteHalf(Sublayer),
    /// Each layer with what its attention or MLP writes replaced by its mean, or by what it writes for another window:
    /// curves `mean_attention_*`, `mean_mlp_*`, `resample_attention_*`, `resample_mlp_*`, a value a layer.
    Ablate(Ablation, Sublayer),
    /// How far the heads of each layer look back, in the unchanged model: curves `attention_at_distance_*`,
    /// `prev5_attention`, `prev5_attention_mass`, `first_token_attention`, a value a layer.
    Attention,
    /// Lengths and directions of the residual stream, in the unchanged model: curves `resid_norm`, `cosine_to_final` (both
    /// also after the last layer), `attn_out_norm`, `mlp_out_norm`, `cosine_in_out`, `block_influence`,
    /// `angular_distance_1`, `cka_adjacent`; matrices `cosine`, `cka`, `cka_last_unbiased`.
    Geometry,
    /// What the neurons of each layer write, by its weights: curves `prediction_neurons`, `suppression_neurons`,
    /// `mean_kurtosis`, `mean_skew`.
    Neurons,
}

impl Experiment {
    /// What the paper does with every model: surgery on whole layers, repeating blocks of three and five, the lens, and
    /// every look into the unchanged model.
    pub const USUAL: [Experiment; 8] = [
        Experiment::Delete,
        Experiment::Swap,
        Experiment::Lens,
        Experiment::Repeat(3),
        Experiment::Repeat(5),
        Experiment::Attention,
        Experiment::Geometry,
        Experiment::Neurons,
    ];

    /// Every way of taking half a layer away: leaving it out, its mean, another window's.
    pub const HALVES: [Experiment; 6] = [
        Experiment::DeleteHalf(Sublayer::Attention),
        Experiment::DeleteHalf(Sublayer::Mlp),
        Experiment::Ablate(Ablation::Mean, Sublayer::Attention),
        Experiment::Ablate(Ablation::Mean, Sublayer::Mlp),
        Experiment::Ablate(Ablation::Resample, Sublayer::Attention),
        Experiment::Ablate(Ablation::Resample, Sublayer::Mlp),
    ];

    /// The plans it runs; none when it looks into the unchanged model.
    pub(crate) fn plans(self, n_layers: usize) -> Vec<LayerPlan> {
        match self {
            Experiment::Delete => sweep::delete_each(n_layers),
            Experiment::Swap => sweep::swap_adjacent(n_layers),
            Experiment::Lens => sweep::prefixes(n_layers),
            Experiment::Repeat(n_blocks) => sweep::repeat_each(n_layers, n_blocks),
            Experiment::DeleteHalf(half) => sweep::delete_each_half(n_layers, half),
            Experiment::Ablate(ablation, half) => sweep::ablate_each(n_layers, half, ablation),
            Experiment::Attention | Experiment::Geometry | Experiment::Neurons => Vec::new(),
        }
    }

    /// Under which kind its plans are listed among interventions; a lens changes nothing and is not.
    pub(crate) fn intervention(self) -> Option<InterventionKind> {
        use Sublayer::{Attention, Mlp};
        match self {
            Experiment::Delete => Some(InterventionKind::Delete),
            Experiment::Swap => Some(InterventionKind::Swap),
            Experiment::Repeat(n_blocks) => Some(InterventionKind::Repeat(n_blocks)),
            Experiment::DeleteHalf(Attention) => Some(InterventionKind::DeleteAttention),
            Experiment::DeleteHalf(Mlp) => Some(InterventionKind::DeleteMlp),
            Experiment::Ablate(Ablation::Mean, Attention) => Some(InterventionKind::MeanAttention),
            Experiment::Ablate(Ablation::Mean, Mlp) => Some(InterventionKind::MeanMlp),
            Experiment::Ablate(Ablation::Resample, Attention) => Some(InterventionKind::ResampleAttention),
            Experiment::Ablate(Ablation::Resample, Mlp) => Some(InterventionKind::ResampleMlp),
            Experiment::Lens | Experiment::Attention | Experiment::Geometry | Experiment::Neurons => None,
        }
    }

    /// Whether it runs no plan but looks into the unchanged model.
    pub(crate) fn looks_inside(self) -> bool {
        self.is_observed() || self == Experiment::Neurons
    }

    /// Whether it sees activations of the unchanged model.
    pub(crate) fn is_observed(self) -> bool {
        matches!(self, Experiment::Attention | Experiment::Geometry)
    }

    /// Whether the model offers what the experiment reads or edits.
    pub(crate) fn is_possible(self, model: &dyn ResidualModel) -> bool {
        let offered = model.hooks();
        let all = |hooks: &[Hook]| hooks.iter().all(|hook| offered.contains(hook));
        match self {
            Experiment::Delete | Experiment::Swap | Experiment::Lens => true,
            Experiment::Repeat(n_blocks) => n_blocks <= model.n_layers(),
            Experiment::DeleteHalf(_) => model.runs_sublayers(),
            Experiment::Ablate(_, Sublayer::Attention) => all(&[Hook::AttnOut]),
            Experiment::Ablate(_, Sublayer::Mlp) => all(&[Hook::MlpOut]),
            Experiment::Attention => all(&[Hook::Pattern]),
            Experiment::Geometry => all(&[Hook::ResidPre, Hook::AttnOut, Hook::MlpOut]),
            Experiment::Neurons => {
                model.n_layers() > 0 && model.neuron_outputs(0).is_some() && model.unembedding(0..1).is_some()
            }
        }
    }
}

impl fmt::Display for Experiment {
    /// The name under which its curves begin, where it has one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Experiment::Lens => f.write_str("lens"),
            Experiment::Attention => f.write_str("attention"),
            Experiment::Geometry => f.write_str("geometry"),
            Experiment::Neurons => f.write_str("neurons"),
            surgery => write!(f, "{}", surgery.intervention().expect("all others change the model")),
        }
    }
}

impl Serialize for Experiment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Experiment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl FromStr for Experiment {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if let Some(n_blocks) = name.strip_prefix("repeat_").and_then(|n| n.parse().ok()).filter(|n| *n > 0) {
            return Ok(Experiment::Repeat(n_blocks));
        }
        let known = Experiment::USUAL.into_iter().chain(Experiment::HALVES);
        let named = known.into_iter().find(|experiment| experiment.to_string() == name);
        named.ok_or_else(|| Error::UnknownExperiment { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_experiment_is_known_by_its_name() {
        for experiment in Experiment::USUAL.into_iter().chain(Experiment::HALVES).chain([Experiment::Repeat(17)]) {
            assert_eq!(experiment.to_string().parse::<Experiment>().unwrap(), experiment);
        }
        for name in ["repeat_0", "repeat_", "repeat", "Delete", "", "mean"] {
            assert!(name.parse::<Experiment>().is_err(), "{name}");
        }
    }
}
