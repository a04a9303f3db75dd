//! What the neurons of each layer write, by its weights: [`VocabularyNeurons`].

use stratigraph_probes::neurons::{NeuronProfile, vocabulary_profiles};
use stratigraph_profile::Estimate;

use super::empty_curve;
use crate::{Findings, Measurement, Needs, Result, StudyContext, Work};

/// What the neurons of each layer write, by its weights: curves `prediction_neurons`, `suppression_neurons`,
/// `prediction_neuron_share`, `suppression_neuron_share`, `mean_kurtosis`, `mean_skew` over layers.
#[derive(Debug, Clone, Copy, Default)]
pub struct VocabularyNeurons;

impl VocabularyNeurons {
    pub(super) const NAME: &str = "neurons";
}

impl Measurement for VocabularyNeurons {
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs(&self, _: &StudyContext) -> Needs {
        Needs::nothing().with_weights().with_n_layers(1)
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        let (model, shape) = (context.model, context.model.shape());
        let layer_work = (shape.d_mlp.unwrap_or(4 * shape.d_model) * shape.d_model * shape.d_vocab) as u64;
        Ok(vec![Work::own(layer_work * shape.n_layers as u64, move |findings, progress| {
            add(&vocabulary_profiles(model, |_| progress(layer_work))?, findings)
        })])
    }
}

fn add(profiles: &[Vec<NeuronProfile>], findings: &mut Findings) -> Result<()> {
    let count = |is: fn(&NeuronProfile) -> bool| {
        move |layer: &[NeuronProfile]| layer.iter().filter(|profile| is(profile)).count() as f64
    };
    // A neuron without weights has no profile.
    let mean = |of: fn(&NeuronProfile) -> f64| {
        move |layer: &[NeuronProfile]| {
            let finite: Vec<f64> = layer.iter().map(of).filter(|x| x.is_finite()).collect();
            finite.iter().sum::<f64>() / finite.len() as f64
        }
    };
    add_curve("prediction_neurons", profiles, count(NeuronProfile::is_prediction), findings)?;
    add_curve("suppression_neurons", profiles, count(NeuronProfile::is_suppression), findings)?;
    let share = |is: fn(&NeuronProfile) -> bool| move |layer: &[NeuronProfile]| count(is)(layer) / layer.len() as f64;
    add_curve("prediction_neuron_share", profiles, share(NeuronProfile::is_prediction), findings)?;
    add_curve("suppression_neuron_share", profiles, share(NeuronProfile::is_suppression), findings)?;
    add_curve("mean_kurtosis", profiles, mean(|profile| profile.kurtosis), findings)?;
    add_curve("mean_skew", profiles, mean(|profile| profile.skew), findings)
}

fn add_curve(
    name: &str,
    profiles: &[Vec<NeuronProfile>],
    of_layer: impl Fn(&[NeuronProfile]) -> f64,
    findings: &mut Findings,
) -> Result<()> {
    let mut curve = empty_curve(name, profiles.len());
    profiles.iter().for_each(|layer| curve.push(Estimate::exact(of_layer(layer)), Vec::new()));
    findings.add_curve(name, curve)
}
