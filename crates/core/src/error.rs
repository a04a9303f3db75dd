//! What can go wrong in the vocabulary itself: [`CoreError`].

use crate::{Hook, HookPoint, Precision, shown};

/// Characters that are shown of an edit or a list of positions.
const EDIT: usize = 200;

/// The result of an operation of this crate.
pub type Result<T, E = CoreError> = std::result::Result<T, E>;

/// An error of `stratigraph-core`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// An unknown name of a hook.
    #[error("unknown hook `{}`; hooks are written like `blocks.5.attn.hook_pattern`", shown(name))]
    UnknownHook {
        /// The name as it was given.
        name: String,
    },
    /// An unknown name of a precision.
    #[error("unknown precision `{}`; known: f32, bf16, f16", shown(name))]
    UnknownPrecision {
        /// The name as it was given.
        name: String,
    },
    /// A model whose weights are held in another precision than the job's or the first device's.
    #[error("the model holds its weights in {found}, but the job or the first device uses {expected}; use {expected}")]
    OtherPrecision {
        /// The precision of the job, or of the first model.
        expected: Precision,
        /// That of the model.
        found: Precision,
    },
    /// A tap asked for an activation that the model does not have.
    #[error("this model does not offer the hook `{hook}`")]
    HookMissing {
        /// The hook that was asked for.
        hook: Hook,
    },
    /// An edit whose hook point was never reached: the run was the same as without it.
    #[error("the edit at `{point}` never fired: no block reached it, or no window is long enough for its positions")]
    EditNeverFired {
        /// Where the edit was to be made.
        point: HookPoint,
    },
    /// An edit that does not fit its hook point.
    #[error("the edit `{}` cannot be made: {reason}", shown(edit).within(EDIT))]
    BadEdit {
        /// The edit, as text.
        edit: String,
        /// Why, and what to do.
        reason: String,
    },
    /// An edit that returned another shape than it was given.
    #[error("the edit at `{point}` returned the shape {after:?} for an activation of shape {before:?}")]
    ShapeChanged {
        /// Where it was made.
        point: HookPoint,
        /// The shape of the activation.
        before: Vec<usize>,
        /// The shape it returned.
        after: Vec<usize>,
    },
    /// An activation that has an axis of heads where none is expected, or the other way round.
    #[error("the activation at `{point}` has the shape {found:?}; {expected} axes were expected")]
    OtherRank {
        /// Where it is from.
        point: HookPoint,
        /// The expected number of axes.
        expected: usize,
        /// Its shape.
        found: Vec<usize>,
    },
    /// An activation that a cache or a sampler does not hold.
    #[error("no activation of `{point}` was kept: it was not asked for, or no block ran in that slot")]
    NotCached {
        /// Where it would be from.
        point: HookPoint,
    },
    /// A sample without a position.
    #[error("the sample of positions would be empty: {reason}")]
    EmptySample {
        /// Why.
        reason: String,
    },
    /// A position that a window does not have.
    #[error("window {window} has no position {position}: it has {seq_len} (0 to {})", seq_len.saturating_sub(1))]
    PositionOutOfRange {
        /// The position that was asked for.
        position: usize,
        /// The window of the corpus.
        window: usize,
        /// How many positions it has.
        seq_len: usize,
    },
    /// A unit that an activation does not have.
    #[error("the activation at `{point}` has no unit {unit}: it has {width} (0 to {})", width.saturating_sub(1))]
    UnitOutOfRange {
        /// Where it is from.
        point: HookPoint,
        /// The unit that was asked for.
        unit: usize,
        /// How many units it has.
        width: usize,
    },
    /// A residual stream of another width than the model's.
    #[error("a residual stream {found} wide does not fit a model of d_model {d_model}")]
    OtherWidth {
        /// The width it has.
        found: usize,
        /// The model's width.
        d_model: usize,
    },
    /// A text that is not an edit.
    #[error(
        "`{}` is not an edit: {reason}; edits are written like `blocks.3.attn.hook_z heads=2 pos=1.. zero`",
        shown(text).within(EDIT)
    )]
    UnknownEdit {
        /// The text as it was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A text that names no positions.
    #[error(
        "`{}` is not a list of positions: {reason}; positions are written like 1.. or 0,3..6",
        shown(text).within(EDIT)
    )]
    NotPositions {
        /// The text as it was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A measure that reads weights, on a model that does not give access to them.
    #[error("this model does not give access to its weights; implement ResidualModel::weights")]
    WeightsMissing,
    /// A measure that reads weights which the model does not give, though it gives others.
    #[error("this model gives access to its weights, but not to {what}; implement ModelWeights::{method}")]
    WeightsIncomplete {
        /// What is missing.
        what: &'static str,
        /// The method that gives it.
        method: &'static str,
    },
    /// A model that cannot run new positions alone was asked to.
    #[error("this model runs whole windows alone; implement ResidualModel::incremental")]
    WholeWindowsOnly,
    /// A layer that was not run on some positions of a window, so that it cannot run the positions after them.
    #[error(
        "layer {layer} has keys and values of {n_kept} positions and cannot continue from position {first}: a tap \
         replaced the output of its attention in some steps and not in others"
    )]
    PositionsSkipped {
        /// The layer.
        layer: usize,
        /// Positions it has seen.
        n_kept: usize,
        /// The position from which on it was to run.
        first: usize,
    },
    /// The model could not run: a checkpoint on disk changed, or a device was lost.
    #[error("layer {layer} could not run: {reason}")]
    LayerFailed {
        /// The layer.
        layer: usize,
        /// What happened.
        reason: String,
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
    /// More or fewer documents than windows.
    #[error("{found} documents are given for {n_sequences} windows; give the document of each window")]
    OtherDocuments {
        /// How many were given.
        found: usize,
        /// How many windows there are.
        n_sequences: usize,
    },
    /// A window that does not begin with the token that all should begin with.
    #[error("window {window} begins with token {found}, not with the BOS token {bos}")]
    NoBos {
        /// The token that begins a text.
        bos: u32,
        /// The window.
        window: usize,
        /// What it begins with.
        found: u32,
    },
    /// Windows of which no position with a next token would be measured.
    #[error(
        "windows of {seq_len} tokens without their first {skip_first} positions have no prediction to measure; skip at most {}",
        seq_len.saturating_sub(2)
    )]
    NothingMeasured {
        /// Positions that are left out.
        skip_first: usize,
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
        id: i64,
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
