//! The vocabulary that every Stratigraph crate speaks: what a residual model is, and where one can look inside it and
//! change it.
//!
//! In the order of use: [`TokenWindows`] cuts text into windows, a [`ResidualModel`] runs them block by block
//! ([`RunModel`]), a [`Hook`] names an activation inside a block and a [`HookPoint`] says in which slot of the run, an
//! [`Edit`] changes one, a [`Tap`] reads or changes them by code, and an [`ActivationCache`] is the tap that keeps what it
//! sees. What is measured over a corpus is summed up by
//! [`Moments`], [`PerSequence`] and [`Summary`].
//!
//! A user with a burn model of their own implements [`ResidualModel`] and needs nothing else from this workspace's
//! decoder to run surgery and measures on it.

mod activation;
mod cache;
mod edit;
mod error;
mod hook;
mod host;
mod lanes;
mod model;
mod moments;
mod random;
mod run;
mod tap;
mod taps;
mod windows;

pub use activation::Activation;
pub use cache::{ActivationCache, CacheFilter};
pub use edit::{
    BlockEdits, CorpusValues, Edit, EditContext, EditFunction, EditKind, EditTap, EditValues, PositionMask, Positions,
    Units,
};
pub use error::{CoreError, Result};
pub use hook::{Hook, HookPoint, HookSet};
pub use host::lies_in_host_memory;
pub use lanes::Lanes;
pub use model::{HeadShape, ModelShape, ModelWeights, ResidualModel, Site, Sublayer};
pub use moments::{Moments, PerSequence, Summary};
pub use random::SplitMix64;
pub use run::{RunModel, check_tap, check_tokens, embed, finish};
pub use tap::{NoTap, Replacement, Tap};
pub use taps::Taps;
pub use windows::TokenWindows;
