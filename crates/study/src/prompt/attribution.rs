//! What raises the logit of a prompt's answer over another token's: [`add`].

use stratigraph_core::Hook;
use stratigraph_probes::attribution::{DifferenceParts, LogitAttribution, attribute_difference};
use stratigraph_profile::prompt::{DifferenceAttribution, LayerAttribution, NeuronAttribution, PromptReading};

use super::{PromptStudy, answers};
use crate::Result;

/// Adds the attribution at the last position, where the model gives its weights.
pub(super) fn add(study: &PromptStudy, reading: &mut PromptReading) -> Result<()> {
    if let Some(reason) = missing(study) {
        reading.remarks.push(format!("logit attribution is left out: {reason}"));
        return Ok(());
    }
    let (tokens, position) = (answers::tokens(study)?, study.prompt.seq_len() - 1);
    let parts = attribute_difference(study.model, &study.prompt, position, tokens)?;
    let unknown: Vec<_> = (0..parts.layers.len()).filter(|&layer| parts.layers[layer].neurons.is_none()).collect();
    if !unknown.is_empty() {
        let layers = unknown.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        reading.remarks.push(format!(
            "neurons of layers {layers} are left out: their output weights do not explain what the MLP writes"
        ));
    }
    reading.attribution = Some(attribution(position, tokens, &parts));
    Ok(())
}

/// Why there is no attribution; none where there is one.
fn missing(study: &PromptStudy) -> Option<String> {
    let offered = study.model.hooks();
    if let Some(hook) = [Hook::Z, Hook::AttnOut, Hook::MlpOut].into_iter().find(|hook| !offered.contains(*hook)) {
        return Some(format!("the model does not offer the hook `{hook}`"));
    }
    LogitAttribution::check_model(study.model).err().map(|reason| reason.to_string())
}

fn attribution(position: usize, tokens: [u32; 2], parts: &DifferenceParts) -> DifferenceAttribution {
    let found = DifferenceAttribution::new(position, tokens, parts.total).with_embedding(parts.embedding, parts.bias);
    let layers = parts.layers.iter();
    let layers =
        layers.map(|it| LayerAttribution::new(it.attention, it.mlp).with_heads(it.heads.clone(), it.attention_bias));
    let of_layer = |(layer, logits): (usize, &Vec<f64>)| -> Vec<NeuronAttribution> {
        logits.iter().enumerate().map(|(neuron, &logits)| NeuronAttribution::new(layer, neuron, logits)).collect()
    };
    let known = parts.layers.iter().enumerate().filter_map(|(layer, it)| Some((layer, it.neurons.as_ref()?)));
    let mut neurons: Vec<_> = known.flat_map(of_layer).collect();
    neurons.sort_by(|a, b| b.logits.abs().total_cmp(&a.logits.abs()));
    neurons.truncate(PromptStudy::NEURONS);
    layers.fold(found, DifferenceAttribution::with_layer).with_neurons(neurons)
}
