//! Metrics, readouts and scores, measures of activations and weights, and measures of words.

mod attribution;
mod difference;
mod lens;
mod metrics;
mod neuron_sets;
mod neurons;
mod planted;
mod readout;
mod scores;
mod torch;
mod toy;
mod wic;
