//! Facade (being rewritten).

pub use stratigraph_core as core;
