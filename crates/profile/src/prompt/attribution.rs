//! What raises the logit of one token over another: [`DifferenceAttribution`].

use serde::{Deserialize, Serialize};

/// Direct logit attribution of one token against another at one position: what each part adds to the difference of the two logits,
/// along the direct path to the unembedding. Embedding, biases, attention and MLPs add up to the difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DifferenceAttribution {
    /// The position after which the tokens are predicted.
    pub position: usize,
    /// The token, and the one that it is compared with.
    pub tokens: [u32; 2],
    /// The logit of the first token minus that of the second, from the last residual stream; before a soft cap of the logits, where
    /// the model has one.
    pub difference: f64,
    /// What the embedding adds.
    pub embedding: f64,
    /// What the biases of the final norm and of the unembedding add.
    pub bias: f64,
    /// Each layer.
    pub layers: Vec<LayerAttribution>,
    /// The neurons that add most to either side, by falling size; empty where neurons are not known.
    pub neurons: Vec<NeuronAttribution>,
}

/// What the parts of a layer add.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LayerAttribution {
    /// All of attention: its heads and its output bias.
    pub attention: f64,
    /// Each head.
    pub heads: Vec<f64>,
    /// The output bias of attention.
    pub attention_bias: f64,
    /// The MLP.
    pub mlp: f64,
}

/// What one neuron adds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NeuronAttribution {
    /// Its layer.
    pub layer: usize,
    /// The neuron.
    pub neuron: usize,
    /// What it adds.
    pub logits: f64,
}

impl DifferenceAttribution {
    /// Of a difference, without its parts.
    pub fn new(position: usize, tokens: [u32; 2], difference: f64) -> Self {
        let (layers, neurons) = (Vec::new(), Vec::new());
        Self { position, tokens, difference, embedding: 0.0, bias: 0.0, layers, neurons }
    }

    /// With what the embedding and the biases add.
    pub fn with_embedding(self, embedding: f64, bias: f64) -> Self {
        Self { embedding, bias, ..self }
    }

    /// With one more layer.
    pub fn with_layer(mut self, layer: LayerAttribution) -> Self {
        self.layers.push(layer);
        self
    }

    /// With these neurons.
    pub fn with_neurons(self, neurons: Vec<NeuronAttribution>) -> Self {
        Self { neurons, ..self }
    }

    /// The sum of embedding, biases, attention and MLPs, which is [`difference`](Self::difference) up to rounding.
    pub fn sum(&self) -> f64 {
        self.embedding + self.bias + self.layers.iter().map(|layer| layer.attention + layer.mlp).sum::<f64>()
    }
}

impl LayerAttribution {
    /// What attention and the MLP add.
    pub fn new(attention: f64, mlp: f64) -> Self {
        Self { attention, heads: Vec::new(), attention_bias: 0.0, mlp }
    }

    /// With what each head and the output bias of attention add.
    pub fn with_heads(self, heads: Vec<f64>, attention_bias: f64) -> Self {
        Self { heads, attention_bias, ..self }
    }
}

impl NeuronAttribution {
    /// A neuron of a layer, with what it adds.
    pub fn new(layer: usize, neuron: usize, logits: f64) -> Self {
        Self { layer, neuron, logits }
    }
}
