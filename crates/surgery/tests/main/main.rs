//! Surgery on real decoders and on a model of simple algebra: plans, edits through the executor, sweeps.

mod by_hand;
mod corpus;
mod counts;
mod edits;
mod errors;
mod executor;
mod frozen;
mod knock_out;
mod mergekit;
mod plans;
mod positions;
mod search;
mod sublayers;
mod support;
mod sweeps;
mod text;
