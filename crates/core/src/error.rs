//! What can go wrong in the vocabulary itself: [`CoreError`].

use crate::{Hook, HookPoint, Sublayer};

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, CoreError>;

/// An error of `stratigraph-core`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// A name that is no hook's.
    #[error("unknown hook `{name}`; hooks are written like `blocks.5.attn.hook_pattern`")]
    UnknownHook {
        /// The name as it was given.
        name: String,
    },
    /// A tap asked for an activation that the model does not have.
    #[error("this model has no `{hook}`")]
    HookMissing {
        /// The hook that was asked for.
        hook: Hook,
    },
    /// An edit whose hook point was never reached: the run was the same as without it.
    #[error("the edit at `{point}` never fired: no block ran in slot {}", point.slot)]
    EditNeverFired {
        /// Where the edit was to happen.
        point: HookPoint,
    },
    /// The model cannot run one sublayer of a block on its own.
    #[error("this model cannot run {sublayer} of a block on its own")]
    SublayerMissing {
        /// The part that was asked for.
        sublayer: Sublayer,
    },
    /// A layer that the model does not have.
    #[error("layer {layer} does not exist: the model has {n_layers} layers (0 to {})", n_layers.saturating_sub(1))]
    LayerOutOfRange {
        /// The layer that was asked for.
        layer: usize,
        /// How many layers the model has.
        n_layers: usize,
    },
    /// A text that does not fill one window.
    #[error("the text has {n_tokens} tokens, which is shorter than one window of {seq_len}")]
    TextTooShort {
        /// Tokens in the text.
        n_tokens: usize,
        /// Tokens in one window.
        seq_len: usize,
    },
    /// A window too short to predict anything in.
    #[error("a window of {seq_len} tokens is too short: one token predicts the next, so it takes at least 2")]
    WindowTooShort {
        /// Tokens in one window.
        seq_len: usize,
    },
    /// A corpus without windows.
    #[error("there are no windows to run")]
    NoWindows,
    /// A token id that the model has no embedding for.
    #[error("token id {id} is outside the model's vocabulary of {d_vocab}")]
    TokenOutOfRange {
        /// The token.
        id: u32,
        /// The size of the vocabulary.
        d_vocab: usize,
    },
    /// A window longer than the model can position.
    #[error("windows of {seq_len} tokens are longer than the model's context of {n_ctx}")]
    WindowTooLong {
        /// Tokens in one window.
        seq_len: usize,
        /// The model's longest context.
        n_ctx: usize,
    },
}
