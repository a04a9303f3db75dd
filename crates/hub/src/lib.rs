//! Checkpoints of the Hugging Face hub: out of the local cache, or downloaded into it.
//!
//! In the order of use: a [`HubId`] names a model; [`Hub`] knows the cache and the server, and gives a [`Snapshot`], a
//! directory that holds the model's configuration and all its weights, and its tokenizer if the hub has one. This crate
//! does not use tensors.
//!
//! ```no_run
//! use stratigraph_hub::{Hub, HubId};
//!
//! let id: HubId = "EleutherAI/pythia-70m@step1000".parse()?;
//! let snapshot = Hub::from_env()?.get(&id, |download| println!("{} {}", download.file, download.received))?;
//! println!("{}", snapshot.path().display());
//! # Ok::<(), stratigraph_hub::HubError>(())
//! ```
//!
//! The cache is the one that `huggingface_hub` keeps, in the same layout, so both find each other's downloads. A file
//! becomes part of a snapshot only when it is complete: its size, and the hash of a large file, are compared with those
//! that the hub reports. Until then it is in a separate folder, where the next attempt resumes it.

mod cache;
#[cfg(feature = "download")]
mod download;
mod error;
#[cfg(feature = "download")]
mod failures;
mod hub;
mod id;

pub use cache::Snapshot;
pub use error::{HubError, Result};
pub use hub::{Download, Hub};
pub use id::HubId;
