//! What can go wrong in surgery: [`SurgeryError`].

use std::ops::Range;

use stratigraph_core::{CoreError, shown};

use crate::Step;

/// Characters that are shown of a plan or an edit.
const PLAN: usize = 200;
/// Characters that are shown of a reason, which may quote the file.
const REASON: usize = 600;

/// The result of an operation of this crate.
pub type Result<T, E = SurgeryError> = std::result::Result<T, E>;

/// An error of `stratigraph-surgery`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SurgeryError {
    /// A plan runs a layer that the model does not have, or the model cannot run a part of it.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A slot that the plan does not have.
    #[error("slot {slot} does not exist: the plan has {n_slots} slots")]
    SlotOutOfRange {
        /// The slot that was asked for.
        slot: usize,
        /// How many slots the plan has.
        n_slots: usize,
    },
    /// A range whose end is before its start, or an empty one where something is needed.
    #[error("the range of slots {}..{} is empty", slots.start, slots.end)]
    EmptyRange {
        /// The range as it was given.
        slots: Range<usize>,
    },
    /// A change of a whole layer where the plan has something else.
    #[error("slot {slot} holds `{step}`, and a whole layer is needed there")]
    NotAWholeLayer {
        /// The slot that was asked for.
        slot: usize,
        /// The step there.
        step: Step,
    },
    /// A parallel step without layers.
    #[error("slot {slot} holds a parallel step without layers")]
    EmptyStep {
        /// The slot.
        slot: usize,
    },
    /// A tap on a plan in which several layers share a slot, so that a hook point does not name one activation.
    #[error("a tap cannot tell apart the layers of `{step}`, which share slot {slot}")]
    TapOnParallel {
        /// The slot.
        slot: usize,
        /// The step.
        step: Step,
    },
    /// A resample-ablation over a corpus of one window, which has no other to take from.
    #[error("resampling takes activations from another window, and there is only one; give at least two windows")]
    NothingToResample,
    /// Means that were measured for other interventions.
    #[error("the given means lack some that the interventions need; measure them again")]
    MeansMissing,
    /// A sweep whose plans cannot be limited to positions.
    #[error("the sweep {sweep} cannot be limited to positions: {reason}")]
    CannotLimit {
        /// The sweep.
        sweep: String,
        /// Why not.
        reason: String,
    },
    /// A text that is not a plan.
    #[error(
        "`{}` is not a layer plan: {reason}; plans are written like 0..11-12..30, 0-1-3-2-4 or 0-(1+2)-3, and edits \
         follow after ` | `",
        shown(text).within(PLAN)
    )]
    BadPlan {
        /// The text as it was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A configuration of mergekit that is not a plan of one model.
    #[error("the mergekit configuration cannot be applied: {}", shown(reason).within(REASON))]
    BadMergekit {
        /// The key at fault, and what to do.
        reason: String,
    },
    /// An edit where only a plan can be used.
    #[error(
        "the edit `{}` changes what a layer computes, and a checkpoint can only have other layers: leave it out",
        shown(edit).within(PLAN)
    )]
    NotAPlan {
        /// The edit as text.
        edit: String,
    },
    /// An executor without interventions.
    #[error("there are no interventions to run")]
    NothingToRun,
    /// A sweep that has no point on a model.
    #[error("the sweep {sweep} has no point on a model of {n_layers} layers")]
    EmptySweep {
        /// The sweep.
        sweep: String,
        /// Layers of the model.
        n_layers: usize,
    },
    /// A sweep with more or fewer interventions than its axes have points.
    #[error("the sweep {sweep} has {found} interventions for {expected} points of its axes")]
    SweepShape {
        /// The sweep.
        sweep: String,
        /// Points of the axes.
        expected: usize,
        /// Interventions.
        found: usize,
    },
    /// A search that cannot be done.
    #[error("cannot search: {reason}")]
    BadSearch {
        /// Why not.
        reason: String,
    },
    /// Even one sequence at a time needs more memory than the budget grants.
    #[error(
        "a memory budget of {budget} bytes is too small: one window of this run needs {needed}; raise the budget, or run fewer interventions at once"
    )]
    BudgetTooSmall {
        /// Bytes granted.
        budget: usize,
        /// Bytes that one sequence needs.
        needed: usize,
    },
}
