//! The sizes of a model and the hooks it offers: [`ModelShape`].

use crate::{HookSet, Precision};

/// The sizes of a model and the hooks it offers.
///
/// ```
/// use stratigraph_core::{Hook, ModelShape};
/// let shape = ModelShape::new(12, 768, 50_257).with_n_ctx(1024).with_heads(12, 12, 64).with_hooks([Hook::ResidPre]);
/// assert!(shape.hooks.contains(Hook::ResidPre));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelShape {
    /// How many layers it has.
    pub n_layers: usize,
    /// The width of the residual stream.
    pub d_model: usize,
    /// The size of the vocabulary.
    pub d_vocab: usize,
    /// The longest window it can run, where there is a limit.
    pub n_ctx: Option<usize>,
    /// Its attention heads, where it has attention.
    pub heads: Option<HeadShape>,
    /// Neurons of an MLP, where it has one; in a mixture those of all its experts, one expert after the other.
    pub d_mlp: Option<usize>,
    /// The experts of its MLPs, where they are mixtures.
    pub experts: Option<ExpertShape>,
    /// The hooks that [`ResidualModel::block`](crate::ResidualModel::block) offers. [`Hook::Embed`](crate::Hook::Embed) and
    /// [`Hook::LnFinalNormalized`](crate::Hook::LnFinalNormalized) exist on every model and need not be named.
    pub hooks: HookSet,
    /// Whether each block is read from disk when it runs, unless it is the last one that ran. An executor then runs as many interventions
    /// through a block together as its budget allows.
    pub streams_blocks: bool,
    /// How it holds its weights.
    pub precision: Precision,
}

/// The attention heads of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadShape {
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads, each shared by `n_heads / n_kv_heads` query heads.
    pub n_kv_heads: usize,
    /// The width of a head.
    pub d_head: usize,
}

/// The experts of a layer whose MLP is a mixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExpertShape {
    /// Experts to choose from.
    pub n_experts: usize,
    /// Experts that one position uses.
    pub n_active: usize,
    /// Neurons that one position uses.
    pub n_active_neurons: usize,
}

impl ExpertShape {
    /// `n_experts`, of which a position uses `n_active` with `n_active_neurons` neurons in all.
    pub fn new(n_experts: usize, n_active: usize, n_active_neurons: usize) -> Self {
        Self { n_experts, n_active, n_active_neurons }
    }
}

impl ModelShape {
    /// A model without hooks and without a limit of its context, whose heads and neurons are unknown.
    pub fn new(n_layers: usize, d_model: usize, d_vocab: usize) -> Self {
        let (heads, hooks) = (None, HookSet::EMPTY);
        let (n_ctx, d_mlp, experts, streams_blocks) = (None, None, None, false);
        let precision = Precision::F32;
        Self { n_layers, d_model, d_vocab, n_ctx, heads, d_mlp, experts, hooks, streams_blocks, precision }
    }

    /// With another number of layers.
    pub fn with_n_layers(self, n_layers: usize) -> Self {
        Self { n_layers, ..self }
    }

    /// With a longest window.
    pub fn with_n_ctx(self, n_ctx: usize) -> Self {
        Self { n_ctx: Some(n_ctx), ..self }
    }

    /// With attention heads.
    pub fn with_heads(self, n_heads: usize, n_kv_heads: usize, d_head: usize) -> Self {
        Self { heads: Some(HeadShape { n_heads, n_kv_heads, d_head }), ..self }
    }

    /// With MLP neurons.
    pub fn with_d_mlp(self, d_mlp: usize) -> Self {
        Self { d_mlp: Some(d_mlp), ..self }
    }

    /// With mixtures of experts as MLPs.
    pub fn with_experts(self, experts: ExpertShape) -> Self {
        Self { experts: Some(experts), ..self }
    }

    /// With blocks that are read from a disk when they run.
    pub fn with_streamed_blocks(self) -> Self {
        Self { streams_blocks: true, ..self }
    }

    /// With weights held in another precision.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// With the hooks that blocks offer.
    pub fn with_hooks(self, hooks: impl Into<HookSet>) -> Self {
        Self { hooks: hooks.into(), ..self }
    }

    /// The number of floats per token of the widest activation inside a block, from which memory budgets are computed:
    /// MLP neurons (those of the experts that a position uses; four times `d_model` where they are not known), queries, or attention scores.
    pub fn widest_activation(&self, seq_len: usize) -> usize {
        let heads = self.heads.map_or(0, |heads| heads.n_heads * heads.d_head.max(seq_len));
        let neurons = self.experts.map(|experts| experts.n_active_neurons).or(self.d_mlp);
        neurons.unwrap_or(4 * self.d_model).max(heads).max(self.d_model)
    }
}
