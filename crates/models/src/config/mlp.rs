//! The MLP of a block: [`Mlp`], its [`Activation`], and mixtures of [`Experts`].

use serde::{Deserialize, Serialize};

use super::Bias;

/// The nonlinearity of the MLP.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Activation {
    /// `x * sigmoid(x)`, also called swish.
    Silu,
    /// `x * Phi(x)`, with the normal distribution function.
    Gelu,
    /// The approximation of GELU by a hyperbolic tangent: `x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))`.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)^2`.
    Relu2,
    /// gpt-oss's: of a gate `g` and a value `u`, `g * sigmoid(alpha * g) * (u + 1)`, with `g` at most `limit` and `u` between
    /// `-limit` and `limit`. It needs a gate.
    ClampedSwish {
        /// The slope of the sigmoid.
        alpha: f64,
        /// The largest gate and value.
        limit: f64,
    },
}

/// The shape of the MLP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Mlp {
    /// `down(activation(up(x)))`.
    Plain {
        /// Applied to the neurons.
        activation: Activation,
    },
    /// `down(activation(gate(x)) * up(x))`.
    Gated {
        /// Applied to the gate.
        activation: Activation,
    },
    /// A mixture of gated MLPs; each position uses a few of them.
    Experts(Experts),
}

impl Mlp {
    /// The nonlinearity.
    pub fn activation(&self) -> Activation {
        match self {
            Mlp::Plain { activation } | Mlp::Gated { activation } => *activation,
            Mlp::Experts(experts) => experts.activation,
        }
    }
}

/// A mixture of experts: `sum over the chosen e of weight_e * expert_e(x)`, where the router's softmax chooses `n_active`
/// experts for each position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Experts {
    /// Experts to choose from.
    pub n_experts: usize,
    /// Experts that a position uses.
    pub n_active: usize,
    /// Neurons of an expert.
    pub d_expert: usize,
    /// Applied to the gates of every MLP.
    pub activation: Activation,
    /// What the experts are multiplied by.
    pub weighting: Weighting,
    /// The bias of the router's scores.
    pub router_bias: Bias,
    /// Neurons of an expert that every position uses, multiplied by a sigmoid of its own; `None` when there is none.
    pub d_shared: Option<usize>,
    /// Layers with one gated MLP of `d_mlp` neurons in place of a mixture, in rising order.
    pub dense_layers: Vec<usize>,
}

/// What the chosen experts are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Weighting {
    /// Their probabilities in a softmax over all experts.
    Softmax,
    /// The same, divided by their sum over the chosen ones; a softmax over the chosen ones alone is the same number.
    Renormalized,
}

impl Experts {
    /// A mixture of `n_experts` of `d_expert` neurons each, of which a position uses `n_active`: with SiLU, weights that sum
    /// to one, no bias of the router, no shared expert, and in every layer.
    ///
    /// ```
    /// use stratigraph_models::{DecoderConfig, Experts, Mlp};
    /// let mixtral = DecoderConfig::new(32, 4096, 32, 32_000)
    ///     .with_heads(32, 8, 128)
    ///     .with_mlp(Mlp::Experts(Experts::new(8, 2, 14_336)));
    /// let experts = mixtral.shape().experts.unwrap();
    /// assert_eq!((experts.n_experts, experts.n_active_neurons), (8, 2 * 14_336));
    /// ```
    pub fn new(n_experts: usize, n_active: usize, d_expert: usize) -> Self {
        Self {
            n_experts,
            n_active,
            d_expert,
            activation: Activation::Silu,
            weighting: Weighting::Renormalized,
            router_bias: Bias::Absent,
            d_shared: None,
            dense_layers: Vec::new(),
        }
    }

    /// With another nonlinearity.
    pub fn with_activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// With another weighting of the experts.
    pub fn with_weighting(self, weighting: Weighting) -> Self {
        Self { weighting, ..self }
    }

    /// With or without a bias of the router.
    pub fn with_router_bias(self, router_bias: Bias) -> Self {
        Self { router_bias, ..self }
    }

    /// With an expert of `d_shared` neurons that every position uses.
    pub fn with_shared(self, d_shared: usize) -> Self {
        Self { d_shared: Some(d_shared), ..self }
    }

    /// With one dense MLP in some layers.
    pub fn with_dense_layers(self, dense_layers: impl Into<Vec<usize>>) -> Self {
        Self { dense_layers: dense_layers.into(), ..self }
    }

    /// Neurons of a mixture, those of the shared expert included.
    pub fn n_neurons(&self) -> usize {
        self.n_experts.saturating_mul(self.d_expert).saturating_add(self.d_shared.unwrap_or(0))
    }

    /// Neurons that a position uses, those of the shared expert included.
    pub fn n_active_neurons(&self) -> usize {
        self.n_active.saturating_mul(self.d_expert).saturating_add(self.d_shared.unwrap_or(0))
    }
}
