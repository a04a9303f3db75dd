//! The vocabulary that every Stratigraph crate speaks: what a residual model is, and where one can look inside it.
//!
//! In the order of use: [`TokenWindows`] cuts text into windows, [`ResidualModel`] runs them block by block, a [`Site`]
//! says which block runs in which place, a [`Hook`] names an activation inside it, a [`Tap`] reads or edits one, and
//! [`ActivationCache`] is the tap that keeps what it sees. What is measured over a corpus is summed up by [`Moments`],
//! [`PerSequence`] and [`Summary`].
//!
//! A user with a burn model of their own implements [`ResidualModel`] and needs nothing else from this workspace's
//! decoder to run surgery and measures on it.

mod cache;
mod error;
mod hook;
mod host;
mod lanes;
mod model;
mod moments;
mod random;
mod tap;
mod taps;
mod tokens;
mod windows;

pub use cache::ActivationCache;
pub use error::{CoreError, Result};
pub use hook::{Hook, HookPoint};
pub use host::lies_in_host_memory;
pub use lanes::Lanes;
pub use model::{ResidualModel, Site, Sublayer, check_tap, forward, logits};
pub use moments::{Moments, PerSequence, Summary};
pub use random::SplitMix64;
pub use tap::{Edit, NoTap, Tap};
pub use taps::Taps;
pub use tokens::check_tokens;
pub use windows::TokenWindows;
